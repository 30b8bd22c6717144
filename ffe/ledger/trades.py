"""Round trips, computed from the fills on record by playing them back in the order in which they were booked.

The same netting as the positions (`position.after_fill`), so that what the trades realised adds up to what the position realised.
An entry's fees are carried until its units leave, and leave with them pro rata.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlmodel import Session, col, select

from ffe.ledger.models import ClosedTrade
from ffe.ledger.order_tables import FillRow, OrderRow, PositionRow
from ffe.ledger.position import FLAT, Holding, after_fill, own_units
from ffe.ledger.rows import exact_sum, record_of
from ffe.market.models import INSTRUMENTS
from ffe.money import ZERO
from ffe.orders.models import Leg, Order, Side


class Played(NamedTuple):
    """A fill with what its order says of it. `units` positive; `quoted`: its fee is in the quote currency."""

    order_id: str
    decision_id: str
    leg: Leg
    side: Side
    units: Decimal
    price: Decimal
    fee: Decimal
    quoted: bool
    time: datetime


@dataclass
class _Trip:
    """From flat to flat. The fees are those of units that are still held."""

    side: Side
    decision_id: str
    opened_at: datetime
    fees: Decimal = ZERO
    quoted_fees: Decimal = ZERO


@dataclass
class _Part:
    """What one order took out of one trip; values are in the quote currency."""

    trip: _Trip
    closed_at: datetime
    units: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    quoted_fees: Decimal = ZERO


def closed_trades(
    session: Session, venue: str, account: str, *, since: datetime | None, limit: int
) -> list[ClosedTrade]:
    """What each closing order realised, newest first; `since` is compared with the time of its last fill."""
    query = select(FillRow, OrderRow.decision_id, OrderRow.leg).join(
        OrderRow, col(OrderRow.id) == col(FillRow.order_id)
    )
    query = query.where(FillRow.venue == venue, FillRow.account == account).order_by(col(FillRow.id))
    fills: defaultdict[str, list[Played]] = defaultdict(list)
    for row, decision_id, leg in session.exec(query).all():
        fills[row.instrument].append(_played(row, decision_id, Leg(leg)))
    trades = [trade for instrument, played in fills.items() for trade in trades_of(instrument, played)]
    wanted = [trade for trade in trades if since is None or trade.closed_at >= since]
    return sorted(wanted, key=lambda trade: trade.closed_at, reverse=True)[:limit]


def _played(row: FillRow, decision_id: str, leg: Leg) -> Played:
    quoted = row.fee_currency == INSTRUMENTS[row.instrument].quote
    return Played(row.order_id, decision_id, leg, Side(row.side), row.units, row.price, row.fee, quoted, row.time)


def trades_of(instrument: str, fills: Iterable[Played]) -> list[ClosedTrade]:
    """The closed trades of one instrument's fills, in the order in which they began to close."""
    held = FLAT
    trips: list[_Trip] = []
    parts: dict[tuple[int, str], _Part] = {}
    for each in fills:
        own = own_units(held.units, each.leg, each.side, each.units)
        if own == 0:
            continue
        fill = each._replace(units=own, fee=each.fee * own / each.units)
        before, held = held, after_fill(held, fill.side, fill.units, fill.price)
        along = before.units * fill.side.sign
        closing = min(-along, fill.units) if along < 0 else ZERO
        if closing > 0:
            part = parts.setdefault((len(trips), fill.order_id), _Part(trips[-1], fill.time))
            _close(part, before, held, fill, closing)
        if closing < fill.units:
            if along <= 0:
                trips.append(_Trip(fill.side, fill.decision_id, fill.time))
            _carry(trips[-1], fill, fill.units - closing)
    return [_trade(instrument, part) for part in parts.values()]


def _close(part: _Part, before: Holding, after: Holding, fill: Played, units: Decimal) -> None:
    trip, share, left = part.trip, units / fill.units, units / abs(before.units)
    entered, entered_quoted = trip.fees * left, trip.quoted_fees * left
    trip.fees, trip.quoted_fees = trip.fees - entered, trip.quoted_fees - entered_quoted
    part.closed_at = max(part.closed_at, fill.time)
    part.units += units
    realised = exact_sum((after.realised, -before.realised))
    part.exit_value += units * fill.price
    part.entry_value += units * fill.price - realised * trip.side.sign
    part.realised = exact_sum((part.realised, realised))
    part.fees += entered + fill.fee * share
    part.quoted_fees += entered_quoted + (fill.fee * share if fill.quoted else ZERO)


def _carry(trip: _Trip, fill: Played, units: Decimal) -> None:
    fee = fill.fee * units / fill.units
    trip.fees += fee
    trip.quoted_fees += fee if fill.quoted else ZERO


def _trade(instrument: str, part: _Part) -> ClosedTrade:
    return ClosedTrade(
        instrument=instrument,
        side=part.trip.side,
        units=part.units,
        entry_price=part.entry_value / part.units,
        exit_price=part.exit_value / part.units,
        realised=part.realised,
        fees=part.fees,
        return_on_notional=(part.realised - part.quoted_fees) / part.entry_value,
        opened_at=part.trip.opened_at,
        closed_at=part.closed_at,
        decision_id=part.trip.decision_id,
    )


def open_entry(session: Session, venue: str, account: str, instrument: str) -> Order | None:
    """The entry with fills on the side that we hold which was sent last; None when flat.

    Two processes may have entered against each other: what is left then belongs to the entry of its own side, as do its stops.
    And one that was planned earlier may be sent later, by a process that carries on for a dead one.
    """
    held = session.get(PositionRow, (venue, account, instrument))
    if held is None or held.units == 0:
        return None
    query = select(OrderRow).where(
        OrderRow.venue == venue,
        OrderRow.account == account,
        OrderRow.instrument == instrument,
        OrderRow.leg == Leg.ENTRY.value,
        OrderRow.side == (Side.BUY.value if held.units > 0 else Side.SELL.value),
        col(OrderRow.average_price).is_not(None),
    )
    newest = (col(OrderRow.submitted_at).desc(), col(OrderRow.created_at).desc())
    row = session.exec(query.order_by(*newest).limit(1)).first()
    return None if row is None else record_of(Order, row)
