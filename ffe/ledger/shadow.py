"""Shadow decisions, and the decisions of the trader that they are compared with, as functions of a session."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from ffe.decision.models import Author, Decision
from ffe.ledger.cycles import ANALYSIS
from ffe.ledger.models import ShadowDecision
from ffe.ledger.rows import insert_once, records_of
from ffe.ledger.shadow_tables import ShadowDecisionRow
from ffe.ledger.tables import CycleRow, DecisionRow


def record_shadows(session: Session, decisions: Sequence[ShadowDecision]) -> int:
    """How many were new: what a strategy said first in a cycle stands."""
    return sum(insert_once(session, ShadowDecisionRow(**each.model_dump())) for each in decisions)


def shadows(
    session: Session, mode: str, timeframe: str, since: datetime | None, until: datetime | None
) -> list[ShadowDecision]:
    """Of cycles in `mode` on bars that closed in [since, until], by bar, then in the order in which they were made."""
    row = ShadowDecisionRow
    query = select(row).join(CycleRow, col(CycleRow.id) == col(row.cycle_id))
    query = query.where(CycleRow.mode == mode, row.timeframe == timeframe)
    if since is not None:
        query = query.where(row.bar_close >= since)
    if until is not None:
        query = query.where(row.bar_close <= until)
    ordered = query.order_by(col(row.bar_close), col(row.decided_at), col(row.instrument), col(row.strategy))
    return records_of(ShadowDecision, session.exec(ordered).all())


def trader_decisions(session: Session, mode: str, timeframe: str, since: datetime, until: datetime) -> list[Decision]:
    """Decisions that the model was asked for, whoever had the last word, on bars that closed in [since, until], oldest first.

    A question of `ffe analyze` is no decision of the trader's: nothing could have come of it.
    """
    row = DecisionRow
    asked = (col(row.opinion).is_not(None)) | (col(row.decided_by) == Author.FALLBACK.value)
    query = select(row).join(CycleRow, col(CycleRow.id) == col(row.cycle_id))
    query = query.where(CycleRow.mode == mode, row.timeframe == timeframe, asked)
    query = query.where(col(row.cycle_id).not_like(f"{ANALYSIS}%"))
    within = query.where(col(row.bar_close) >= since, col(row.bar_close) <= until)
    return records_of(Decision, session.exec(within.order_by(col(row.bar_close), col(row.decided_at))).all())


def shadows_of(session: Session, cycle_id: str) -> list[ShadowDecision]:
    """Of one cycle, by instrument and strategy."""
    row = ShadowDecisionRow
    query = select(row).where(row.cycle_id == cycle_id).order_by(col(row.instrument), col(row.strategy))
    return records_of(ShadowDecision, session.exec(query).all())
