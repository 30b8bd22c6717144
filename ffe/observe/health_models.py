"""What a look at the running system found, component by component."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Status(StrEnum):
    """degraded: it works, with less or on old results. unhealthy: it can't do its work, or a person is needed now."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


WORSE = (Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY)


class Component(BaseModel):
    """`value` was held against `limit`, in the unit that `detail` says; None where there are no numbers."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    detail: str
    value: float | None = None
    limit: float | None = None


class Health(BaseModel):
    """`status` is the worst of its components."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    mode: str
    status: Status
    components: tuple[Component, ...]


def worst(components: Iterable[Component]) -> Status:
    return max((each.status for each in components), key=WORSE.index, default=Status.UNHEALTHY)


def healthy(name: str, detail: str, value: float | None = None, limit: float | None = None) -> Component:
    return Component(name=name, status=Status.HEALTHY, detail=detail, value=value, limit=limit)


def degraded(name: str, detail: str, value: float | None = None, limit: float | None = None) -> Component:
    return Component(name=name, status=Status.DEGRADED, detail=detail, value=value, limit=limit)


def unhealthy(name: str, detail: str, value: float | None = None, limit: float | None = None) -> Component:
    return Component(name=name, status=Status.UNHEALTHY, detail=detail, value=value, limit=limit)
