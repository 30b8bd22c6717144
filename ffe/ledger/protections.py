"""An entry's protection: which orders at the venue hold it, whether we watch its exit ourselves, and what it filled.

The venue places stop and target with the entry, so nobody here ever sent them. What they fill is adopted into one order of leg
PROTECTION under the entry's decision, however many venue orders it came from.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import uuid4

from sqlmodel import Session, select

from ffe.errors import LedgerError
from ffe.ledger.fills import book, fills_of, replace_protection
from ffe.ledger.order_tables import OrderRow
from ffe.ledger.orders import append
from ffe.ledger.positions import lock_position
from ffe.ledger.rows import exact_sum, locked, record_of
from ffe.market.models import Timeframe
from ffe.money import ZERO
from ffe.orders.models import Fill, Leg, Order, OrderState, Side, client_order_id
from ffe.venues.models import VenueOrder

PLACED = "placed by the venue with its entry"


class Closing(NamedTuple):
    """What a trade that no order of ours made has closed of ours, as `adopt_protection` takes it."""

    entry_id: str
    report: VenueOrder
    side: Side
    at: datetime


def adopt_protection(session: Session, entry_id: str, venue_order: VenueOrder, side: Side, at: datetime) -> Order:
    """Books a fill of the entry's stop or target, once by fill id. `side` is the closing one.

    FILLED when the venue says so or the entry's units are all out, PARTIAL otherwise. Entry, position and protection are
    locked in this order, as `fills.book` does, so that two processes can't wait for each other.

    Raises:
        LedgerError: there is nothing filled to adopt, or the side would add to the entry.
    """
    entry = locked(session, OrderRow, entry_id)
    if side == entry.side:
        raise LedgerError(f"order {entry_id} is {entry.side}: a {side} does not protect it")
    held = lock_position(session, entry.venue, entry.account, entry.instrument)
    row = _adopted(session, entry, venue_order, side, at)
    known = fills_of(session, row.id)
    news = [fill for fill in venue_order.fills if fill.venue_fill_id not in {old.venue_fill_id for old in known}]
    units = ZERO if held is None else held.units
    left = exact_sum((units, *(fill.units * side.sign for fill in news)))
    out = left == 0 or _units([*known, *news]) >= entry.filled_units
    state = OrderState.FILLED if out or venue_order.state is OrderState.FILLED else OrderState.PARTIAL
    changes = {
        "client_order_id": row.client_order_id,
        "state": state,
        "venue_order_id": venue_order.venue_order_id if news else None,
        "protection_ids": (),
    }
    return book(session, row.id, venue_order.model_copy(update=changes), at)


def _adopted(session: Session, entry: OrderRow, venue_order: VenueOrder, side: Side, at: datetime) -> OrderRow:
    """The row of the entry's protection, locked; made when this is its first fill."""
    timeframe = Timeframe(entry.timeframe)
    name = client_order_id(entry.account, entry.instrument, timeframe, entry.bar_close, Leg.PROTECTION)
    row = session.exec(select(OrderRow).where(OrderRow.client_order_id == name).with_for_update()).first()
    if row is not None:
        return row
    if not venue_order.fills:
        raise LedgerError(f"protection {venue_order.venue_order_id} of order {entry.id} has no fill to adopt")
    made = _row(entry, name, side, venue_order.fills[0], at)
    session.add(made)
    append(session, made.id, at, None, OrderState.ACCEPTED, reason=PLACED)
    return made


def _row(entry: OrderRow, name: str, side: Side, first: Fill, at: datetime) -> OrderRow:
    """Never sent by us, so without `submitted_at`. The reference price is where it first filled."""
    return OrderRow(
        id=uuid4().hex,
        client_order_id=name,
        decision_id=entry.decision_id,
        venue=entry.venue,
        account=entry.account,
        instrument=entry.instrument,
        timeframe=entry.timeframe,
        bar_close=entry.bar_close,
        leg=Leg.PROTECTION,
        side=side,
        units=entry.filled_units,
        reference_price=first.price,
        price_bound=None,
        stop_loss=None,
        take_profit=None,
        reserve_currency=entry.reserve_currency,
        reserve_amount=ZERO,
        confidence=entry.confidence,
        cancel_first=[],
        state=OrderState.ACCEPTED,
        reason=PLACED,
        checkpoint=entry.checkpoint,
        created_at=at,
        updated_at=at,
    )


def _units(fills: Sequence[Fill]) -> Decimal:
    return exact_sum(fill.units for fill in fills)


def set_protection(session: Session, order_id: str, ids: Sequence[str], at: datetime, reason: str) -> Order:
    """The ids that protect the entry from now on; earlier ones that are not among them are counted as dead."""
    row = locked(session, OrderRow, order_id)
    before = list(row.protection_ids)
    if replace_protection(row, ids):
        row.updated_at = at
        detail = {"protection_ids": list(ids), "before": before}
        append(session, order_id, at, OrderState(row.state), OrderState(row.state), reason=reason, detail=detail)
    return record_of(Order, row)


def watch(session: Session, order_id: str, at: datetime, reason: str) -> Order:
    """The entry's exit is watched by us from now on."""
    row = locked(session, OrderRow, order_id)
    if not row.watched:
        row.watched, row.updated_at = True, at
        detail = {"watched": True}
        append(session, order_id, at, OrderState(row.state), OrderState(row.state), reason=reason, detail=detail)
    return record_of(Order, row)
