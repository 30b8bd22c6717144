"""Model calls, decisions and the sizing arithmetic that follows one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from ffe.decision.models import Decision, ModelCall
from ffe.errors import LedgerError
from ffe.ledger.rows import insert_once, locked, newest, records_of
from ffe.ledger.tables import DecisionRow, ModelCallRow, SizingRow
from ffe.risk.models import Denial, Sizing, Verdict


def record_model_calls(
    session: Session, cycle_id: str, instrument: str, bar_close: datetime, calls: Sequence[ModelCall]
) -> None:
    for attempt, call in enumerate(calls, start=1):
        digest = None if call.identity is None else call.identity.digest
        place: dict[str, Any] = {
            "cycle_id": cycle_id,
            "instrument": instrument,
            "bar_close": bar_close,
            "attempt": attempt,
        }
        insert_once(session, ModelCallRow(**call.model_dump(), **place, model_digest=digest))


def model_calls(session: Session, cycle_id: str, instrument: str) -> list[ModelCall]:
    """In the order in which they were made."""
    query = select(ModelCallRow).where(ModelCallRow.cycle_id == cycle_id, ModelCallRow.instrument == instrument)
    rows = session.exec(query.order_by(col(ModelCallRow.started_at), col(ModelCallRow.attempt))).all()
    return records_of(ModelCall, rows)


def record_decision(session: Session, decision: Decision) -> None:
    """Recorded once; the same record again changes nothing.

    Raises:
        LedgerError: its cycle already holds another decision on this instrument, or what it refers to is not on record.
    """
    if insert_once(session, DecisionRow(**decision.model_dump())):
        return
    if session.get(DecisionRow, decision.id) is None:
        raise LedgerError(f"cycle {decision.cycle_id} already has a decision on {decision.instrument}")


def record_sizing(
    session: Session, decision_id: str, sizing: Sizing | None, denial: Denial | None, verdicts: Sequence[Verdict]
) -> None:
    row = SizingRow(
        decision_id=decision_id,
        arithmetic=None if sizing is None else sizing.model_dump(mode="json"),
        denial_code=None if denial is None else denial.code,
        denial_reason=None if denial is None else denial.reason,
        verdicts=[verdict.model_dump(mode="json") for verdict in verdicts],
    )
    if not insert_once(session, row):
        held = locked(session, SizingRow, decision_id)
        if held.arithmetic is None and held.denial_code is None:
            # The close of a reversal came first, which sizes nothing; this is its entry.
            held.arithmetic, held.verdicts = row.arithmetic, row.verdicts
            held.denial_code, held.denial_reason = row.denial_code, row.denial_reason


def sizing(session: Session, decision_id: str) -> Sizing | None:
    """The arithmetic of a decision's order; None for a close, a denial and a HOLD."""
    row = session.get(SizingRow, decision_id)
    return None if row is None or row.arithmetic is None else Sizing.model_validate(row.arithmetic)


def decision(session: Session, decision_id: str) -> Decision:
    row = session.get(DecisionRow, decision_id)
    if row is None:
        raise LedgerError(f"the ledger has no decision {decision_id}")
    return records_of(Decision, [row])[0]


def decisions(session: Session, limit: int) -> list[Decision]:
    return records_of(Decision, newest(session, DecisionRow, DecisionRow.decided_at, limit))
