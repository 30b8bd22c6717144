"""The few things that the engine asks of the Prefect API, by plain HTTP: Prefect's own client would cost a command 100 MB and seconds."""

import base64
import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

import httpx

from ffe.clock import parse_time
from ffe.errors import ConfigurationError, RefusedError

TIMEOUT = 5.0
# The API gives at most 200 rows of anything at once.
PAGE = 200
# Types of an automation's actions that reach somebody outside of Prefect.
NOTES = frozenset({"send-notification", "call-webhook"})


@dataclass(frozen=True)
class WorkerSeen:
    """`status` is the API's own word; it says ONLINE long after a kill, so go by the age of `last_heartbeat`."""

    name: str
    last_heartbeat: datetime | None
    status: str


@dataclass(frozen=True)
class AutomationSeen:
    """`notifies`: one of its actions sends a note to somebody."""

    name: str
    enabled: bool
    notifies: bool = False


@dataclass(frozen=True)
class DeploymentSeen:
    """`name` is "flow/deployment", as on Prefect's command line; `scheduled`: at least one of its schedules is active."""

    name: str
    paused: bool
    scheduled: bool = False


@dataclass(frozen=True)
class Api:
    """`headers` carry the key or password. `forgery` are those of Prefect's CSRF protection, fetched when a server wants them."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    forgery: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_environment(cls) -> Self:
        """From PREFECT_API_URL, with PREFECT_API_KEY or PREFECT_API_AUTH_STRING as Prefect's client would send them.

        Raises:
            ConfigurationError: no URL. A worker without one would serve an API of its own, where nobody submits anything.
        """
        api = cls.find()
        if api is None:
            raise ConfigurationError(
                "PREFECT_API_URL is not set: it names the API of `ffe up` or `prefect server start`"
            )
        return api

    @classmethod
    def find(cls) -> Self | None:
        """As `from_environment`; None when no URL is set."""
        url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
        return cls.at(url) if url else None

    @classmethod
    def at(cls, url: str) -> Self:
        """The API at that URL, with the environment's key or password."""
        key, password = os.environ.get("PREFECT_API_KEY"), os.environ.get("PREFECT_API_AUTH_STRING")
        if key:
            return cls(url, {"Authorization": f"Bearer {key}"})
        if password:
            return cls(url, {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"})
        return cls(url)

    def last_heartbeat(self, pool: str, worker: str) -> str | None:
        """When the worker was last heard, as the API writes it; None: never.

        Raises:
            ConfigurationError: no such pool; a stock worker would make one, without the limits.
            RefusedError: no answer, or a refusal.
        """
        seen = [str(each["last_heartbeat_time"]) for each in self._workers(pool) if each["name"] == worker]
        return seen[0] if seen else None

    def healthy(self) -> None:
        """One read that needs the password, where the server has one: /health answers without.

        Raises:
            RefusedError: no answer, a refusal, or a server that can't reach its database.
        """
        self._count("flows/count", {})

    def workers(self, pool: str) -> tuple[WorkerSeen, ...]:
        """Everybody who ever polled the pool and was not deleted.

        Raises:
            ConfigurationError: no such pool.
            RefusedError: no answer, or a refusal.
        """
        return tuple(
            WorkerSeen(str(each["name"]), _time(each.get("last_heartbeat_time")), str(each.get("status")))
            for each in self._workers(pool)
        )

    def automations(self) -> tuple[AutomationSeen, ...]:
        """Raises RefusedError: no answer, or a refusal."""
        rows = self._every("automations/filter")
        return tuple(AutomationSeen(str(e["name"]), bool(e["enabled"]), _notifies(e.get("actions", ()))) for e in rows)

    def late_runs(self) -> int:
        """How many scheduled runs nobody has started 15 s after their time: Prefect names that state Late.

        Raises:
            RefusedError: no answer, or a refusal.
        """
        return self._count("flow_runs/count", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}})

    def deployments(self) -> tuple[DeploymentSeen, ...]:
        """Raises RefusedError: no answer, or a refusal."""
        flows = {str(each["id"]): str(each["name"]) for each in self._every("flows/filter")}
        rows = self._every("deployments/filter")
        return tuple(
            DeploymentSeen(f"{flows.get(str(e['flow_id']), '?')}/{e['name']}", bool(e["paused"]), _scheduled(e))
            for e in rows
        )

    def _workers(self, pool: str) -> list[dict[str, Any]]:
        return self._every(
            f"work_pools/{pool}/workers/filter",
            absent=f"the Prefect API at {self.url} has no work pool {pool}; `python -m deployments.bootstrap` makes cpu and gpu",
        )

    def _every(self, path: str, absent: str | None = None) -> list[dict[str, Any]]:
        """Every row behind a filter, page by page."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self._post(path, {"limit": PAGE, "offset": len(rows)}, absent)
            if not isinstance(page, list):
                raise RefusedError(
                    f"the Prefect API at {self.url} answers {path} with {type(page).__name__}, not a list"
                )
            rows += page
            if len(page) < PAGE:
                return rows

    def _count(self, path: str, filters: dict[str, Any]) -> int:
        count = self._post(path, filters, None)
        if not isinstance(count, int):
            raise RefusedError(
                f"the Prefect API at {self.url} answers {path} with {type(count).__name__}, not a number"
            )
        return count

    def _post(self, path: str, body: dict[str, Any], absent: str | None) -> Any:
        try:
            reply = self._sent(path, body)
            if reply.status_code == httpx.codes.FORBIDDEN and self._token_fetched():
                reply = self._sent(path, body)
            if absent is not None and reply.status_code == httpx.codes.NOT_FOUND:
                raise ConfigurationError(absent)
            reply.raise_for_status()
            return reply.json()
        except httpx.HTTPError as error:
            raise RefusedError(f"the Prefect API at {self.url} does not answer: {error}") from error
        except ValueError as error:
            raise RefusedError(f"the Prefect API at {self.url} answers {path} with something else than JSON") from error

    def _sent(self, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = self.headers | self.forgery
        return httpx.post(f"{self.url}/{path}", json=body, headers=headers, timeout=TIMEOUT, trust_env=False)

    def _token_fetched(self) -> bool:
        """Takes a CSRF token, good for an hour; False from a server that has none to give, whose 403 means something else."""
        client = self.forgery.get("Prefect-Csrf-Client") or str(uuid4())
        reply = httpx.get(
            f"{self.url}/csrf-token",
            params={"client": client},
            headers=self.headers,
            timeout=TIMEOUT,
            trust_env=False,
        )
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            reply.raise_for_status()
        token = None
        with contextlib.suppress(ValueError, KeyError, TypeError):
            token = str(reply.json()["token"]) if reply.status_code == httpx.codes.OK else None
        if token is not None:
            self.forgery.update({"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token})
        return token is not None


def _notifies(actions: Iterable[dict[str, Any]]) -> bool:
    return any(each.get("type") in NOTES for each in actions)


def _scheduled(deployment: dict[str, Any]) -> bool:
    return any(each.get("active") for each in deployment.get("schedules", ()))


def distance(age: float) -> str:
    """How far from now a heartbeat of that age in seconds is, in words: a negative one is of the future."""
    return f"{age:.0f} s ago" if age >= 0 else f"{-age:.0f} s in the future"


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
