"""What is deleted when it has grown old, and what never is. `FFE_RETENTION__*` says after how many days; unset is never.

Never deleted: orders, their events, fills and reservations, positions, the kill switch, differences, decisions, shadow decisions, sizings,
grades, calibrations, evaluations and cycles. Whatever a decision with an order rests on stays whole, however old: its batch of bars and those of its
other timeframes with their files, its quality report, its question, every call of the model and its answer. Beside those goes

bars         batch files and quality pages. The row of a batch stays while a decision or its quality report names it
incidents    those that no order is part of
model calls  the texts. The row of a call stays while a decision quotes it, without its texts; `ffe models replay` counts such a decision
             as older than its records. A question whose decision may still be graded is left alone
checks       runs of standing checks but the newest of each kind, and hours of API usage

Grades and calibrations rest on rows that stay: the decision, the call that it quotes (model, prompt version, numbers), the grade itself.
The store's monthly bars are not trimmed: they are what history is replayed from.

Rows go in transactions of at most 200 rows with a pause after each, so that a cycle that waits for the database gets its turn. Each
transaction is whole by itself, rows go before files, and what is left of a run that was killed is found by the next one.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import and_, exists, not_
from sqlalchemy.orm import aliased
from sqlmodel import col

from ffe.ledger.database import Database
from ffe.ledger.operations_tables import ApiUsageRow, CheckRunRow
from ffe.ledger.order_tables import IncidentRow, OrderRow
from ffe.ledger.retention_bars import remove_bars, remove_parts
from ffe.ledger.retention_calls import remove_calls
from ffe.ledger.retention_sweep import Removal, Sweep
from ffe.settings_operations import RetentionSettings

__all__ = ["Removal", "RetentionReport", "sweep"]


class RetentionReport(BaseModel):
    """`longest_ms` is the longest transaction that wrote: as long as a cycle may have had to wait. `dry_run`: nothing was removed."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    dry_run: bool
    removals: tuple[Removal, ...]
    transactions: int
    longest_ms: float
    seconds: float


def sweep(
    database: Database,
    data_dir: Path,
    settings: RetentionSettings,
    now: datetime,
    *,
    wall: datetime,
    horizon_bars: int,
    dry_run: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> RetentionReport:
    """Removes what is older than its days at `now`. `horizon_bars` is that of the feedback: what may still be graded waits.

    Raises:
        LedgerError: the database refused; what was removed until then stays removed.
        DataError: a file can't be removed.
    """
    began = time.monotonic()
    run = Sweep(database, data_dir, now, wall, dry_run, sleep)
    removals = (
        *remove_bars(run, settings.bars_days),
        remove_incidents(run, settings.incidents_days),
        *remove_calls(run, settings.model_calls_days, horizon_bars),
        *remove_checks(run, settings.checks_days),
        remove_parts(run),
    )
    return RetentionReport(
        at=now,
        dry_run=dry_run,
        removals=removals,
        transactions=len(run.spent),
        longest_ms=1000 * max(run.spent, default=0.0),
        seconds=time.monotonic() - began,
    )


def remove_incidents(run: Sweep, days: int | None) -> Removal:
    """Last seen before the limit; those of an order stay."""
    kind = "incidents"
    if days is None:
        return Removal(kind=kind, days=None)
    # The creation has the index, and nothing was seen before it was created.
    old = and_(col(IncidentRow.created_at) < run.before(days), col(IncidentRow.last_at) < run.before(days))
    of_order = exists().where(col(OrderRow.id) == col(IncidentRow.order_id))
    kept = run.count(IncidentRow, and_(old, of_order))
    return Removal(kind=kind, days=days, removed=run.delete(IncidentRow, and_(old, not_(of_order))), kept=kept)


def remove_checks(run: Sweep, days: int | None) -> tuple[Removal, ...]:
    """Runs of standing checks but the newest of each kind, and hours of API usage that are over."""
    if days is None:
        return tuple(Removal(kind=kind, days=None) for kind in ("checks", "API usage"))
    later = aliased(CheckRunRow)
    newer = exists().where(col(later.kind) == col(CheckRunRow.kind), col(later.at) > col(CheckRunRow.at))
    old = col(CheckRunRow.at) < run.before(days)
    kept = run.count(CheckRunRow, and_(old, not_(newer)))
    removed = run.delete(CheckRunRow, and_(old, newer))
    hours = run.delete(ApiUsageRow, col(ApiUsageRow.hour) < run.before(days))
    return (
        Removal(kind="checks", days=days, removed=removed, kept=kept),
        Removal(kind="API usage", days=days, removed=hours),
    )
