"""Books what a venue says of an order: its fills once each, the position they make, and the state they imply, all at once."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.account_tables import AdjustmentRow
from ffe.ledger.models import event_id
from ffe.ledger.order_tables import FillRow, OrderRow, PositionRow
from ffe.ledger.orders import append, move
from ffe.ledger.position import Holding, after_fill, own_units
from ffe.ledger.rows import exact_sum, insert_once, locked, record_of
from ffe.money import ZERO
from ffe.orders.models import Fill, Leg, Order, OrderState, Side
from ffe.venues.models import VenueOrder

_LIVE = frozenset({OrderState.ACCEPTED, OrderState.PARTIAL})


def book(session: Session, order_id: str, venue_order: VenueOrder, at: datetime) -> Order:
    """Idempotent: a fill already booked under its venue id is not booked again, and an old report moves nothing back.

    Raises:
        LedgerError: the report is of another order.
        IllegalTransitionError: the order was never sent.
    """
    row = locked(session, OrderRow, order_id)
    if venue_order.client_order_id != row.client_order_id:
        raise LedgerError(
            f"order {order_id} is {row.client_order_id}; the venue reported {venue_order.client_order_id}"
        )
    if venue_order.venue_order_id is not None:
        row.venue_order_id = venue_order.venue_order_id
    before = list(row.protection_ids)
    if venue_order.protection_ids:
        replace_protection(row, venue_order.protection_ids)
    news = _book_fills(session, row, venue_order.fills, at)
    _sum_up(session, row)
    old, new = OrderState(row.state), _implied(venue_order.state, row)
    detail = {"venue_state": venue_order.state, "fills": [fill.venue_fill_id for fill in news], "before": before}
    if new is not old and not old.final and not _backwards(old, new):
        move(session, row, new, at, reason=venue_order.reason, detail=detail)
    elif news:
        row.updated_at = at
        append(session, order_id, at, old, old, reason=venue_order.reason, detail=detail)
    return record_of(Order, row)


def _implied(said: OrderState, row: OrderRow) -> OrderState:
    """The state that the venue's word and the fills on record imply together.

    A fill list can lag behind the order: FILLED without a fill is not believed yet, so that the fill is not lost.
    """
    filled = row.filled_units > 0
    if said in _LIVE or (said is OrderState.FILLED and not filled):
        return OrderState.PARTIAL if filled else OrderState.ACCEPTED
    if said is OrderState.REJECTED and filled:
        return OrderState.CANCELLED
    return said


def _backwards(old: OrderState, new: OrderState) -> bool:
    return old is OrderState.PARTIAL and new is OrderState.ACCEPTED


def replace_protection(row: OrderRow, ids: Sequence[str]) -> bool:
    """The ids that protect a locked entry; those that are no longer among them are counted. False when they are the same."""
    before = set(row.protection_ids)
    if before == set(ids):
        return False
    row.protection_ids, row.dead_protection = list(ids), row.dead_protection + len(before.difference(ids))
    return True


def _book_fills(session: Session, order: OrderRow, fills: Sequence[Fill], at: datetime) -> list[Fill]:
    """The new ones. The position is held first: fills get their numbers in the order in which they moved it."""
    if not fills:
        return []
    place: dict[str, Any] = {"venue": order.venue, "account": order.account, "instrument": order.instrument}
    insert_once(session, PositionRow(**place, units=ZERO, average_price=None, realised=ZERO, updated_at=at))
    position = locked(session, PositionRow, *place.values())
    news = [fill for fill in fills if _is_new(session, order, fill, place, at)]
    for fill in news:
        own = own_units(position.units, Leg(order.leg), Side(order.side), fill.units)
        if own != 0:
            _move(position, Side(order.side), own, fill.price, at=at)
        if own != fill.units:
            _move_external(session, order, fill, fill.units - own)
    if news and position.units == 0:
        _end_protection(session, order, at)
    session.flush()
    return news


def _is_new(session: Session, order: OrderRow, fill: Fill, place: dict[str, Any], at: datetime) -> bool:
    row = FillRow(order_id=order.id, **place, side=order.side, **fill.model_dump(), booked_at=at)
    if insert_once(session, row):
        return True
    query = select(FillRow).where(
        FillRow.venue == order.venue, FillRow.account == order.account, FillRow.venue_fill_id == fill.venue_fill_id
    )
    owner = session.exec(query).one().order_id
    if owner != order.id:
        raise LedgerError(f"fill {fill.venue_fill_id} belongs to order {owner}, not to {order.id}")
    return False


def _move(row: PositionRow, side: Side, units: Decimal, price: Decimal, *, at: datetime) -> None:
    now = after_fill(Holding(row.units, row.average_price, row.realised), side, units, price)
    row.units, row.average_price, row.realised, row.updated_at = now.units, now.average_price, now.realised, at


def _move_external(session: Session, order: OrderRow, fill: Fill, units: Decimal) -> None:
    """Units that a flatten took which were never ours."""
    row = AdjustmentRow(
        id=event_id(order.venue, order.account, fill.venue_fill_id),
        venue=order.venue,
        account=order.account,
        instrument=order.instrument,
        units=units * Side(order.side).sign,
        price=fill.price,
        cause=order.leg,
        time=fill.time,
    )
    insert_once(session, row)


def _end_protection(session: Session, order: OrderRow, at: datetime) -> None:
    """A stop that filled in part has nothing left to protect once something else closed the rest."""
    query = select(OrderRow).where(
        OrderRow.venue == order.venue,
        OrderRow.account == order.account,
        OrderRow.instrument == order.instrument,
        OrderRow.leg == Leg.PROTECTION.value,
        OrderRow.id != order.id,
        col(OrderRow.state).in_([state.value for state in _LIVE]),
    )
    for row in session.exec(query.with_for_update()).all():
        move(session, row, OrderState.CANCELLED, at, reason="position_closed")


def _sum_up(session: Session, row: OrderRow) -> None:
    fills = session.exec(select(FillRow).where(FillRow.order_id == row.id)).all()
    row.filled_units = exact_sum(fill.units for fill in fills)
    row.fees = exact_sum(fill.fee for fill in fills)
    row.average_price = _average([(fill.units, fill.price) for fill in fills])


def _average(parts: list[tuple[Decimal, Decimal]]) -> Decimal | None:
    if not parts:
        return None
    with localcontext(prec=60):
        total = sum((units * price for units, price in parts), ZERO)
    return total / exact_sum(units for units, _ in parts)


def fills_of(session: Session, order_id: str) -> list[Fill]:
    query = select(FillRow).where(FillRow.order_id == order_id).order_by(col(FillRow.time), col(FillRow.id))
    return [record_of(Fill, row) for row in session.exec(query).all()]
