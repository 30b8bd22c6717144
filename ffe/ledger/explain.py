"""One id to the whole chain behind it: bars, quality, question, answer, decision, sizing, order, events, fills, position.

A link that should be there and is not is named under `missing`: a broken chain never looks like a short one.
"""

from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import or_
from sqlmodel import Session, col, select

from ffe.decision.models import Author
from ffe.errors import LedgerError
from ffe.ledger.evidence import batch_of
from ffe.ledger.feedback_tables import GradeRow, VerdictRow
from ffe.ledger.incidents import incident
from ffe.ledger.order_tables import FillRow, IncidentRow, OrderEventRow, OrderRow, PositionRow, ReservationRow
from ffe.ledger.rows import values_of
from ffe.ledger.shadow import shadows_of
from ffe.ledger.tables import (
    BarBatchRow,
    CycleRow,
    DecisionRow,
    LedgerRow,
    ModelCallRow,
    QualityReportRow,
    SizingRow,
)
from ffe.orders.models import Leg

SHORTEST_PREFIX = 6
Document = dict[str, Any]


def explain(session: Session, text: str) -> Document | None:
    """The chain of a cycle, decision, order or client order id, or of a unique prefix of one, or an incident; None when nothing has it.

    Raises:
        LedgerError: the prefix fits several ids.
    """
    found = _find(session, text.strip())
    if found is None:
        return _incident(session, text.strip())
    if isinstance(found, CycleRow):
        return _cycle(session, found)
    if isinstance(found, OrderRow):
        decision = session.get(DecisionRow, found.decision_id)
        others = [row for row in _orders_of(session, found.decision_id) if row.id != found.id]
        return {"kind": "order", "id": found.id} | _chain(session, decision, [found, *others])
    return {"kind": "decision", "id": found.id} | _chain(session, found, _orders_of(session, found.id))


def _find(session: Session, text: str) -> CycleRow | DecisionRow | OrderRow | None:
    if len(text) < SHORTEST_PREFIX:
        return None
    rows: dict[str, CycleRow | DecisionRow | OrderRow] = {}
    orders = select(OrderRow).where(
        or_(
            col(OrderRow.id).startswith(text, autoescape=True),
            col(OrderRow.client_order_id).startswith(text, autoescape=True),
        )
    )
    for order in session.exec(orders.limit(3)).all():
        rows[order.id] = order
    for decision in session.exec(_by_prefix(DecisionRow, text)).all():
        rows[decision.id] = decision
    for cycle in session.exec(_by_prefix(CycleRow, text)).all():
        rows[cycle.id] = cycle
    exact = [row for row in rows.values() if text in _names(row)]
    matches = exact or list(rows.values())
    if len(matches) > 1:
        raise LedgerError(f"{text!r} fits several ids: {', '.join(sorted(row.id for row in matches))}")
    return matches[0] if matches else None


def _by_prefix(table: Any, text: str) -> Any:
    return select(table).where(col(table.id).startswith(text, autoescape=True)).limit(3)


def _names(row: CycleRow | DecisionRow | OrderRow) -> tuple[str, ...]:
    return (row.id, row.client_order_id) if isinstance(row, OrderRow) else (row.id,)


def _cycle(session: Session, cycle: CycleRow) -> Document:
    query = select(DecisionRow).where(DecisionRow.cycle_id == cycle.id).order_by(col(DecisionRow.decided_at))
    chains = [_chain(session, row, _orders_of(session, row.id)) for row in session.exec(query).all()]
    incidents = session.exec(select(IncidentRow).where(IncidentRow.cycle_id == cycle.id)).all()
    return {
        "kind": "cycle",
        "id": cycle.id,
        "cycle": _plain(cycle),
        "decisions": chains,
        "incidents": [_plain(row) for row in incidents],
        "shadow_decisions": [each.model_dump(mode="json") for each in shadows_of(session, cycle.id)],
    }


def _incident(session: Session, text: str) -> Document | None:
    """With its cycle, whose own chain leads on."""
    found = incident(session, text)
    if found is None:
        return None
    cycle = None if found.cycle_id is None else session.get(CycleRow, found.cycle_id)
    return {"kind": "incident", "id": found.id, "incident": found.model_dump(mode="json"), "cycle": _plain(cycle)}


def _orders_of(session: Session, decision_id: str) -> list[OrderRow]:
    query = select(OrderRow).where(OrderRow.decision_id == decision_id).order_by(col(OrderRow.created_at))
    return list(session.exec(query).all())


def _chain(session: Session, decision: DecisionRow | None, orders: list[OrderRow]) -> Document:
    chain: Document = {
        "cycle": None if decision is None else _plain(session.get(CycleRow, decision.cycle_id)),
        "batch": None if decision is None else _batch(session, decision.batch_id),
        "quality": None if decision is None else _linked(session, QualityReportRow, decision.quality_report_id),
        "model_call": None if decision is None else _linked(session, ModelCallRow, decision.model_call_id),
        "other_calls": [] if decision is None else _other_calls(session, decision),
        "verdict": None if decision is None else _verdict(session, decision),
        "decision": _plain(decision),
        "sizing": None if decision is None else _plain(session.get(SizingRow, decision.id)),
        "orders": [_order(session, row) for row in orders],
        "grade": None if decision is None else _plain(session.get(GradeRow, decision.id)),
    }
    return chain | {"missing": _missing(chain, decision, orders)}


def _other_calls(session: Session, decision: DecisionRow) -> list[Document]:
    """Refused answers, repairs and the other members of an ensemble, in the order in which they were asked."""
    query = select(ModelCallRow).where(
        ModelCallRow.cycle_id == decision.cycle_id, ModelCallRow.instrument == decision.instrument
    )
    rows = session.exec(query.order_by(col(ModelCallRow.started_at), col(ModelCallRow.attempt))).all()
    return [_document(row) for row in rows if row.id != decision.model_call_id]


def _verdict(session: Session, decision: DecisionRow) -> Document | None:
    """What the question came to: answer, votes, error, and what was remembered. The rest of the context is in the decision and its call."""
    row = session.get(VerdictRow, (decision.cycle_id, decision.instrument))
    if row is None:
        return None
    kept = {name: getattr(row, name) for name in ("answer", "error", "votes", "ensemble")}
    return kept | {"memory": row.context["memory"], "recorded_at": to_jsonable_python(row.recorded_at)}


def _missing(chain: Document, decision: DecisionRow | None, orders: list[OrderRow]) -> list[str]:
    """A close that a gate or the kill switch asked for has no question and no answer behind it."""
    needed = ["decision"] if orders else []
    entered = any(order.leg == Leg.ENTRY for order in orders)
    if entered or (decision is not None and decision.decided_by == Author.MODEL):
        needed += ["cycle", "batch", "quality", "model_call"]
    if entered:
        needed.append("sizing")
    return [name for name in needed if chain[name] is None]


def _order(session: Session, order: OrderRow) -> Document:
    events = select(OrderEventRow).where(OrderEventRow.order_id == order.id).order_by(col(OrderEventRow.id))
    fills = select(FillRow).where(FillRow.order_id == order.id).order_by(col(FillRow.id))
    incidents = select(IncidentRow).where(IncidentRow.order_id == order.id)
    return _document(order) | {
        "events": [_plain(row) for row in session.exec(events).all()],
        "fills": [_plain(row) for row in session.exec(fills).all()],
        "reservation": _plain(session.get(ReservationRow, order.id)),
        "position": _plain(session.get(PositionRow, (order.venue, order.account, order.instrument))),
        "incidents": [_plain(row) for row in session.exec(incidents).all()],
    }


def _batch(session: Session, batch_id: str | None) -> Document | None:
    """With `sha256` and `bar_close` spelled out: the id is the hash, the close follows from the newest open."""
    row = None if batch_id is None else session.get(BarBatchRow, batch_id)
    if row is None:
        return None
    return _document(row) | {"sha256": row.id, "bar_close": to_jsonable_python(batch_of(row).bar_close)}


def _linked(session: Session, table: type[LedgerRow], key: str | None) -> Document | None:
    return None if key is None else _plain(session.get(table, key))


def _plain(row: LedgerRow | None) -> Document | None:
    return None if row is None else _document(row)


def _document(row: LedgerRow) -> Document:
    return {name: to_jsonable_python(value) for name, value in values_of(row).items()}
