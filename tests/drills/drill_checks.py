"""What must hold when everything has come to rest, however bad the way there was. Each failure is one line with both sides."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from drill_actor import ACCOUNT, VENUES
from drill_venue import DrillVenue
from sqlalchemy import text

from ffe.ledger.ledger import Ledger
from ffe.ledger.schema import METADATA
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import TRANSITIONS, Leg, Order, OrderState
from ffe.orders.switch import SwitchState
from ffe.venues.models import Execution

ZERO = Decimal(0)
STOPPING = {SwitchState.HALT, SwitchState.FLATTEN, SwitchState.REDUCE_ONLY}


def wrong(ledger: Ledger, venue: DrillVenue, *, settled: bool) -> Iterator[str]:
    """One line for each thing that is not as it must be. `settled`: every difference was looked at by a person."""
    orders = ledger.orders(limit=10_000)
    yield from _duplicates(venue)
    yield from _fills(ledger, venue, orders)
    yield from _at_rest(ledger, orders)
    yield from _positions(ledger, venue)
    yield from _histories(ledger, orders)
    yield from _protection(ledger, venue)
    yield from _differences(ledger, venue, settled=settled)


def _duplicates(venue: DrillVenue) -> Iterator[str]:
    for name, count in Counter(each.request.client_order_id for each in venue.placed).items():
        if count > 1:
            yield f"duplicate: {count} orders at the venue under {name}"
    for name, count in venue.wire.items():
        if count > 1 and venue.margin:
            yield f"duplicate: {name} went to the wire {count} times"


def _fills(ledger: Ledger, venue: DrillVenue, orders: list[Order]) -> Iterator[str]:
    """Every execution at the venue is booked once, where it belongs; and nothing else is booked."""
    by_name = {order.client_order_id: order for order in orders}
    brackets = {each.name for each in venue.resting if each.name is not None}
    booked = {fill.venue_fill_id: order for order in orders for fill in ledger.fills(order.id)}
    adjustments = ledger.adjustments(VENUES[venue.kind], ACCOUNT)
    external = {each.time for each in adjustments}
    opened = {each.instrument: each.time for each in adjustments if each.cause == "opening"}
    for _, each, _ in venue.executions:
        number, owner = each.fill.venue_fill_id, booked.pop(each.fill.venue_fill_id, None)
        if each.client_order_id in by_name:
            if owner is None or owner.client_order_id != each.client_order_id:
                yield f"lost fill: {number} of {each.client_order_id} ({by_name[each.client_order_id].leg})"
        elif each.protects is not None or each.client_order_id in brackets:
            if owner is None or owner.leg is not Leg.PROTECTION:
                yield f"lost fill: {number} of the protection of {each.protects}"
        elif each.fill.time not in external and not _before(each, opened):
            yield f"lost fill: {number} of somebody else, {each.cause}"
    for number, order in booked.items():
        yield f"made up: fill {number} of order {order.client_order_id} is not at the venue"


def _before(each: Execution, opened: dict[str, datetime]) -> bool:
    """Whether it is one of those that made what was held when the account was first reconciled."""
    return each.instrument in opened and each.fill.time <= opened[each.instrument]


def _at_rest(ledger: Ledger, orders: list[Order]) -> Iterator[str]:
    for kept in ledger.open_reservations():
        yield f"leaked reservation: {kept.amount} {kept.currency} of order {kept.order_id}"
    for order in orders:
        if not order.state.final and order.leg is not Leg.PROTECTION:
            yield f"unsettled: {order.leg} {order.client_order_id} is {order.state}: {order.reason}"


def _positions(ledger: Ledger, venue: DrillVenue) -> Iterator[str]:
    for symbol in venue.prices:
        here, there = ledger.position(VENUES[venue.kind], ACCOUNT, symbol), venue.units(symbol)
        if here.units + here.external != there:
            yield f"position: the venue holds {there} {symbol}, the ledger {here.units} and {here.external} external"
        entry = ledger.open_entry(VENUES[venue.kind], ACCOUNT, symbol)
        if here.units != 0 and (entry is None or entry.side.sign * here.units < 0):
            yield f"position: {here.units} {symbol} are ours, and no entry of ours made them"


def _histories(ledger: Ledger, orders: list[Order]) -> Iterator[str]:
    for order in orders:
        before: OrderState | None = None
        for each in ledger.order_events(order.id):
            if each.from_state is not before:
                yield f"history: {order.client_order_id} goes on from {each.from_state} after {before}"
            if before is not None and each.to_state is not before and each.to_state not in TRANSITIONS[before]:
                yield f"history: {order.client_order_id} {before} -> {each.to_state}"
            before = each.to_state
        if before is not order.state:
            yield f"history: {order.client_order_id} is {order.state}, its last event says {before}"


def halted(ledger: Ledger, switched: list[tuple[datetime, SwitchState]]) -> Iterator[str]:
    """No entry was claimed while the switch certainly stood in its way: it had been set, and nobody had begun to set it again."""
    lines = [line.at for line in ledger.switch_history(1000) if line.at is not None]
    for order in ledger.orders(limit=10_000):
        claims = [e.at for e in ledger.order_events(order.id) if e.from_state is OrderState.RESERVED]
        for at in claims if order.leg is Leg.ENTRY and order.submitted_at is not None else []:
            before = [known for known in switched if known[0] < at]
            if before and before[-1][1] in STOPPING and not any(before[-1][0] < line <= at for line in lines):
                yield f"halted: entry {order.client_order_id} was claimed at {at}, the switch was at {before[-1][1]}"


def _protection(ledger: Ledger, venue: DrillVenue) -> Iterator[str]:
    """What is held and ours has a stop, is watched, or is named as unprotected; nothing protects what is closed."""
    resting = venue.open()
    named = {each.instrument for each in ledger.differences() if each.kind is DifferenceKind.UNPROTECTED}
    for symbol in venue.prices:
        held = ledger.position(VENUES[venue.kind], ACCOUNT, symbol).units
        there = venue.units(symbol)
        entry = ledger.open_entry(VENUES[venue.kind], ACCOUNT, symbol)
        stops = [each for each in resting if each.symbol == symbol and each.stop is not None]
        if entry is None or held * there <= 0:
            yield from (
                f"orphan: {each.number} rests for {each.entry}, nothing is held" for each in stops if each.entry
            )
            continue
        covered = sum((abs(there) if each.units is None else each.units for each in stops), ZERO)
        needed = min(abs(held), abs(there))
        if covered < needed and not entry.watched and symbol not in named:
            yield f"unprotected: {needed} {symbol} held, {covered} covered"


def _differences(ledger: Ledger, venue: DrillVenue, *, settled: bool) -> Iterator[str]:
    for each in ledger.differences():
        if settled or not each.kind.event:
            yield f"difference: {each.kind} {each.message}"


def dump(ledger: Ledger) -> dict[str, list[str]]:
    with ledger.database.engine.connect() as connection:
        return {
            name: sorted(repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"')))
            for name in METADATA.tables
        }
