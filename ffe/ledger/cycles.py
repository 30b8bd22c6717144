"""Cycles: one row per run, opened before anything else and closed with its summary."""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from ffe.errors import LedgerError
from ffe.ledger.models import Cycle
from ffe.ledger.rows import insert_once, locked, newest, records_of
from ffe.ledger.tables import CycleRow

# Ids of cycles that only looked begin so: what they decided is never traded and never graded.
ANALYSIS = "analysis-"


def start_cycle(session: Session, cycle_id: str, mode: str, timeframe: str, started_at: datetime) -> None:
    insert_once(session, CycleRow(id=cycle_id, mode=mode, timeframe=timeframe, started_at=started_at))


def finish_cycle(session: Session, cycle_id: str, finished_at: datetime, summary: dict[str, Any]) -> None:
    row = locked(session, CycleRow, cycle_id)
    row.finished_at, row.summary = finished_at, summary


def cycle(session: Session, cycle_id: str) -> Cycle:
    """Raises LedgerError when there is no such cycle."""
    row = session.get(CycleRow, cycle_id)
    if row is None:
        raise LedgerError(f"the ledger has no cycle {cycle_id}")
    return records_of(Cycle, [row])[0]


def cycles(session: Session, limit: int) -> list[Cycle]:
    return records_of(Cycle, newest(session, CycleRow, CycleRow.started_at, limit))
