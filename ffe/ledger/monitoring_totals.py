"""Cycles and decisions of a stretch of time, counted for a monitor: added up over stretches they are those of all time.

Nothing here is ever deleted (retention keeps cycles and decisions, docs/operations.md), so a total only grows, as a counter of
Prometheus has to. A look at an instrument (`ffe analyze`) is no cycle and its decision is none.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from ffe.ledger.cycles import ANALYSIS
from ffe.ledger.tables import CycleRow, DecisionRow

COMPLETED, FAILED = "completed", "failed"
# Newest cycles of a timeframe that are kept one by one, to tell a schedule from a single run.
KEPT = 20
# Seconds. A stage takes milliseconds; reconciling many accounts, or a model on a busy CPU, takes minutes.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Decided(NamedTuple):
    decided_by: str
    action: str
    reason_code: str


class Ran(NamedTuple):
    """A finished cycle and the instruments that it was about."""

    started_at: datetime
    finished_at: datetime
    instruments: tuple[str, ...]


@dataclass(frozen=True)
class Latency:
    """How often something took how long: `counts` of each bucket of `BUCKETS` alone, and of what took longer.

    The sum is whole microseconds: one of floats depends on the order of adding, and a counter that falls by a rounding error would
    show as a restart.
    """

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    microseconds: int = 0

    @property
    def seconds(self) -> float:
        return self.microseconds / 1_000_000

    def with_one(self, seconds: float) -> Self:
        place = sum(seconds > bound for bound in BUCKETS)
        counts = tuple(count + (at == place) for at, count in enumerate(self.counts))
        return type(self)(counts, self.microseconds + round(seconds * 1_000_000))

    def __add__(self, other: Self) -> Self:
        counts = tuple(ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True))
        return type(self)(counts, self.microseconds + other.microseconds)


@dataclass
class CycleTotals:
    """`outcomes` by mode, timeframe and outcome; `stages` by timeframe and stage; `newest` by mode and timeframe, oldest first."""

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    stages: dict[tuple[str, str], Latency] = field(default_factory=dict)
    newest: dict[tuple[str, str], tuple[Ran, ...]] = field(default_factory=dict)

    def __add__(self, later: Self) -> Self:
        """`later` began after these."""
        sums = {key: self.stages.get(key, Latency()) + taken for key, taken in later.stages.items()}
        last = {key: (*self.newest.get(key, ()), *ran)[-KEPT:] for key, ran in later.newest.items()}
        return type(self)(self.outcomes + later.outcomes, self.stages | sums, self.newest | last)


def decisions_between(session: Session, since: datetime, until: datetime) -> Counter[Decided]:
    """Decisions made in [since, until)."""
    names = col(DecisionRow.decided_by), col(DecisionRow.action), col(DecisionRow.reason_code)
    query = (
        select_columns(*names, func.count())
        .where(col(DecisionRow.decided_at) >= since, col(DecisionRow.decided_at) < until)
        .where(col(DecisionRow.cycle_id).not_like(f"{ANALYSIS}%"))
        .group_by(*names)
    )
    return Counter({Decided(*names): count for *names, count in session.connection().execute(query)})


def cycles_between(session: Session, since: datetime, until: datetime) -> CycleTotals:
    """Cycles that were started in [since, until) and have finished."""
    totals, newest = CycleTotals(), dict[tuple[str, str], list[Ran]]()
    for row in _finished(session, since, until):
        summary = row.summary or {}
        instruments = summary.get("instruments", ())
        failed = any(instrument.get("error") is not None for instrument in instruments)
        totals.outcomes[row.mode, row.timeframe, FAILED if failed else COMPLETED] += 1
        names = tuple(instrument["instrument"] for instrument in instruments)
        newest.setdefault((row.mode, row.timeframe), []).append(Ran(row.started_at, row.finished_at, names))
        for stage, milliseconds in summary.get("timings_ms", {}).items():
            key = (row.timeframe, stage)
            totals.stages[key] = totals.stages.get(key, Latency()).with_one(milliseconds / 1000)
    totals.newest = {key: tuple(ran[-KEPT:]) for key, ran in newest.items()}
    return totals


def _finished(session: Session, since: datetime, until: datetime) -> Iterator[Any]:
    """Rows in the order of their start, a thousand at a time: a summary has some kilobytes."""
    columns = CycleRow.mode, CycleRow.timeframe, CycleRow.started_at, CycleRow.finished_at, CycleRow.summary
    query = select_columns(*map(col, columns)).where(
        col(CycleRow.started_at) >= since,
        col(CycleRow.started_at) < until,
        col(CycleRow.finished_at).is_not(None),
        col(CycleRow.id).not_like(f"{ANALYSIS}%"),
    )
    yield from session.connection().execution_options(yield_per=1000).execute(query.order_by(col(CycleRow.started_at)))


def unfinished_cycles(session: Session, since: datetime, before: datetime) -> Counter[tuple[str, str]]:
    """Cycles started in [since, before) that never finished, by mode and timeframe."""
    query = select(CycleRow.mode, CycleRow.timeframe).where(
        col(CycleRow.started_at) >= since,
        col(CycleRow.started_at) < before,
        col(CycleRow.finished_at).is_(None),
        col(CycleRow.id).not_like(f"{ANALYSIS}%"),
    )
    return Counter((mode, timeframe) for mode, timeframe in session.exec(query).all())
