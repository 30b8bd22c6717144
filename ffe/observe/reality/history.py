"""Runs on record: what is broken since when, what is newly broken, and how many were broken in the runs before."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from ffe.clock import parse_time
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import CheckRun
from ffe.observe.reality.models import BAD, Holds, Invariant, Reality

KIND = "reality-check"
RUNS = 48


class Point(BaseModel):
    """One run of the past: what held and what did not, by name."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    holds: dict[str, Holds]

    @property
    def broken(self) -> tuple[str, ...]:
        return tuple(name for name, holds in self.holds.items() if holds in BAD)


class Remembered(NamedTuple):
    """The reality with `since` for everything broken, and of that what the run before did not have."""

    reality: Reality
    news: tuple[Invariant, ...]


def remember(ledger: Ledger, reality: Reality) -> Remembered:
    """Records the run. An invariant that was broken in the run before of its mode keeps the time at which it was first seen so."""
    last = ledger.checks(KIND, 1, mode=reality.mode, until=reality.at)
    before = _broken_since(last[0]) if last else {}
    dated = tuple(
        each.model_copy(update={"since": before.get(each.name, reality.at)}) if each.bad else each
        for each in reality.invariants
    )
    kept = reality.model_copy(update={"invariants": dated})
    ledger.record_check(KIND, kept.at, passed=kept.holds, broken=len(kept.broken), document=kept.document())
    return Remembered(kept, tuple(each for each in kept.broken if each.name not in before))


def _broken_since(run: CheckRun) -> dict[str, datetime]:
    found = {}
    for each in run.document["invariants"]:
        if Holds(each["holds"]) in BAD:
            found[str(each["name"])] = run.at if each["since"] is None else parse_time(each["since"])
    return found


def trend(ledger: Ledger, limit: int = RUNS, mode: str | None = None) -> list[Point]:
    """The newest `limit` runs of a mode, or of all, oldest first."""
    return [_point(run) for run in reversed(ledger.checks(KIND, limit, mode=mode))]


def _point(run: CheckRun) -> Point:
    return Point(at=run.at, holds={each["name"]: each["holds"] for each in run.document["invariants"]})


def counts(points: Sequence[Point]) -> list[int]:
    """How many invariants were broken in each run."""
    return [len(point.broken) for point in points]
