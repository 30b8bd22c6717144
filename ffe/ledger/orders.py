"""Orders and their append-only events. Every change of state passes through `move`, which holds the row and checks the table."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import Session, col, select

from ffe.errors import IllegalTransitionError
from ffe.ledger.models import OrderEvent
from ffe.ledger.order_tables import OrderEventRow, OrderRow
from ffe.ledger.reservations import release
from ffe.ledger.rows import insert_once, locked, newest, record_of, records_of
from ffe.market.models import Timeframe
from ffe.orders.models import Intent, Leg, Order, OrderState, check_transition

OPEN_STATES = tuple(state.value for state in OrderState if not state.final)
_UNKNOWN = (OrderState.SUBMITTING, OrderState.UNRESOLVED)


def order_for(
    session: Session, account: str, instrument: str, *, timeframe: Timeframe, bar_close: datetime, leg: Leg
) -> Order | None:
    query = select(OrderRow).where(
        OrderRow.account == account,
        OrderRow.instrument == instrument,
        OrderRow.timeframe == timeframe.value,
        OrderRow.bar_close == bar_close,
        OrderRow.leg == leg.value,
    )
    row = session.exec(query).first()
    return None if row is None else record_of(Order, row)


def by_client_id(session: Session, client_order_id: str) -> Order | None:
    row = session.exec(select(OrderRow).where(OrderRow.client_order_id == client_order_id)).first()
    return None if row is None else record_of(Order, row)


def order(session: Session, order_id: str) -> Order:
    """Raises LedgerError when there is none."""
    return record_of(Order, locked(session, OrderRow, order_id))


def plan(session: Session, intent: Intent, at: datetime) -> tuple[Order, bool]:
    """Inserts the intent as PLANNED, or finds the order its key already has; True when it is new."""
    row = OrderRow(
        **intent.model_dump(),
        id=uuid4().hex,
        client_order_id=intent.client_order_id,
        state=OrderState.PLANNED,
        created_at=at,
        updated_at=at,
    )
    if insert_once(session, row):
        append(session, row.id, at, None, OrderState.PLANNED)
        return order(session, row.id), True
    held = session.exec(select(OrderRow).where(OrderRow.client_order_id == intent.client_order_id)).one()
    return record_of(Order, held), False


def move(
    session: Session,
    row: OrderRow,
    to: OrderState,
    at: datetime,
    *,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Takes a locked row to `to`, with its event, releasing the reservation when `to` is final.

    Raises:
        IllegalTransitionError: the table does not allow it.
    """
    old = OrderState(row.state)
    check_transition(row.id, old, to)
    row.state, row.reason, row.updated_at = to, reason, at
    if to is OrderState.SUBMITTING:
        row.submitted_at = at
    append(session, row.id, at, old, to, reason=reason, detail=detail)
    if to.final:
        release(session, row.id, at, used=row.filled_units > 0)


def transition(
    session: Session,
    order_id: str,
    to: OrderState,
    at: datetime,
    *,
    reason: str | None = None,
    venue_order_id: str | None = None,
    checkpoint: str | None = None,
    detail: dict[str, Any] | None = None,
    only_from: Collection[OrderState] | None = None,
) -> Order:
    """One step of the table. Reaching a final state again is no step: the order is returned as it stands."""
    row = locked(session, OrderRow, order_id)
    if to.final and row.state == to:
        return record_of(Order, row)
    if only_from is not None and row.state not in only_from:
        raise IllegalTransitionError(f"order {order_id} is {row.state} by now, so it does not become {to}")
    row.venue_order_id = row.venue_order_id if venue_order_id is None else venue_order_id
    row.checkpoint = row.checkpoint if checkpoint is None else checkpoint
    move(session, row, to, at, reason=reason, detail=detail)
    return record_of(Order, row)


def resending(session: Session, order_id: str, at: datetime, reason: str) -> Order:
    """Announces that the identical request goes out once more: an event, and a new start of the quiet period.

    Raises:
        IllegalTransitionError: its outcome is not unknown, or not any more.
    """
    row = locked(session, OrderRow, order_id)
    if row.state not in _UNKNOWN:
        raise IllegalTransitionError(f"order {order_id} is {row.state}: its request must not go out again")
    row.submitted_at = row.updated_at = at
    append(session, order_id, at, OrderState(row.state), OrderState(row.state), reason=reason)
    return record_of(Order, row)


def note(session: Session, order_id: str, at: datetime, reason: str) -> Order:
    """News that changes no state; nothing is written when it is no news."""
    row = locked(session, OrderRow, order_id)
    if row.reason != reason:
        row.reason, row.updated_at = reason, at
        append(session, order_id, at, OrderState(row.state), OrderState(row.state), reason=reason)
    return record_of(Order, row)


def append(
    session: Session,
    order_id: str,
    at: datetime,
    old: OrderState | None,
    new: OrderState,
    *,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    session.flush()
    session.add(OrderEventRow(order_id=order_id, at=at, from_state=old, to_state=new, reason=reason, detail=detail))
    session.flush()


def open_orders(
    session: Session, venue: str | None, account: str | None, states: Iterable[str] = OPEN_STATES
) -> list[Order]:
    """Orders in `states` (default: not final), oldest first; None means every venue or account."""
    query = select(OrderRow).where(col(OrderRow.state).in_(list(states)))
    if venue is not None:
        query = query.where(OrderRow.venue == venue)
    if account is not None:
        query = query.where(OrderRow.account == account)
    return records_of(Order, session.exec(query.order_by(col(OrderRow.created_at))).all())


def orders(session: Session, limit: int) -> list[Order]:
    """Newest first."""
    return records_of(Order, newest(session, OrderRow, OrderRow.created_at, limit))


def events(session: Session, order_id: str) -> list[OrderEvent]:
    query = select(OrderEventRow).where(OrderEventRow.order_id == order_id).order_by(col(OrderEventRow.id))
    return records_of(OrderEvent, session.exec(query).all())
