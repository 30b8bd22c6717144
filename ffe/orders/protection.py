"""A filled entry has its stop working at the venue, or is watched by us, or is closed: nothing in between for longer than one run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ffe.clock import Clock
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.market.models import parse_instrument
from ffe.money import ZERO, plain
from ffe.orders.close import Close, Desk, closable, close, key_time
from ffe.orders.findings import Trouble
from ffe.orders.models import Leg, Order, Side
from ffe.orders.ownership import covers, ids_of, protecting, protection_of
from ffe.orders.resolve import Sleep
from ffe.orders.units import booked
from ffe.venues.models import Quote, WorkingOrder
from ffe.venues.protocol import Broker

# The submitter of a young entry may still be reading which orders the venue attached to it.
YOUNG = timedelta(seconds=20)
POLLS = (0.5, 1.0, 2.0)
# The trade that the protection should hang on is gone.
NO_SUCH_TRADE = "NO_SUCH_TRADE"
# The words of a venue that has no such order for us. Any other refusal is about this one.
UNSUPPORTED = frozenset({"UNSUPPORTED_ORDER_CONFIGURATION", "GEOFENCING_RESTRICTION"})
PROTECTION_STEPS = ("protecting", "protected")


@dataclass(frozen=True)
class Guarded:
    """What was done for one entry, in words; what deserves an incident; and whether it is still without its stop."""

    settled: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    unprotected: str | None = None
    order: Order | None = None


def guard(desk: Desk, entry: Order, held: Decimal, working: Sequence[WorkingOrder]) -> Guarded:
    """Verifies the protection of `entry`, of which `held` signed units are at the venue; puts it back, watches or closes it.

    Raises:
        VenueError: the venue's rules, its working orders, a price or the position can't be read.
    """
    if entry.watched or (entry.stop_loss is None and entry.trailing_distance is None):
        return Guarded()
    mine = protecting(desk, entry, working)
    if not covers(mine, held) and desk.clock.now() - (entry.submitted_at or entry.created_at) < YOUNG:
        mine = _wait(desk, entry, held)
    if covers(mine, held):
        return _verified(desk, entry, mine)
    units = closable(desk.broker.spec(parse_instrument(entry.instrument)), held, entry.average_price)
    if units == 0:
        return Guarded()
    if covers(mine, units):
        return _verified(desk, entry, mine)
    found = f"{entry.instrument}: {plain(held)} held by order {entry.client_order_id} without its stop"
    if desk.broker.capabilities.protection == "none" and entry.stop_loss is not None:
        return _watched(desk, entry, f"{desk.broker.venue} can't hold a stop")
    return _put_back(desk, entry, units.copy_sign(held), mine, found)


def _wait(desk: Desk, entry: Order, held: Decimal) -> list[WorkingOrder]:
    mine: list[WorkingOrder] = []
    for delay in POLLS:
        desk.sleep(delay)
        mine = protecting(desk, entry, desk.broker.working_orders())
        if covers(mine, held):
            break
    return mine


def _verified(desk: Desk, entry: Order, mine: Sequence[WorkingOrder]) -> Guarded:
    ids = ids_of(mine)
    if set(ids) == set(entry.protection_ids):
        return Guarded()
    desk.ledger.set_protection(entry.id, ids, desk.clock.now(), "seen working at the venue")
    return Guarded(settled=(f"{entry.instrument}: protection {', '.join(ids)} seen working",))


def _watched(desk: Desk, entry: Order, reason: str) -> Guarded:
    desk.ledger.watch(entry.id, desk.clock.now(), reason)
    return Guarded(settled=(f"{entry.instrument}: {reason}; its exit is watched from here",))


def _put_back(desk: Desk, entry: Order, held: Decimal, mine: Sequence[WorkingOrder], found: str) -> Guarded:
    """What is left of the old protection goes first where it would hold the units that the new one needs.

    What stopped working is counted before the new one gets its id, so that a dead one's id is never used again.
    """
    try:
        if mine and desk.broker.capabilities.protection_holds_units:
            desk.broker.cancel(ids_of(mine))
            mine = ()
        entry = desk.ledger.set_protection(entry.id, ids_of(mine), desk.clock.now(), "stopped working at the venue")
        desk.on_step("protecting")
        ids = desk.broker.protect(protection_of(entry, held))
    except OrderRejectedError as error:
        if error.reason == NO_SUCH_TRADE:
            # What is held is not this entry's any more: a close would take units of somebody else.
            return Guarded(troubles=(_trouble(entry, found, error),), unprotected=f"{found}; {error}")
        if error.reason in UNSUPPORTED and entry.stop_loss is not None:
            return _watched(desk, entry, f"{desk.broker.venue} can't hold its stop ({error.reason})")
        return _closed(desk, entry, mine, found, error)
    except NotSentError as error:
        return _closed(desk, entry, mine, found, error)
    except OutcomeUnknownError as error:
        again = protecting(desk, entry, desk.broker.working_orders())
        if not covers(again, held):
            return Guarded(troubles=(_trouble(entry, found, error),), unprotected=f"{found}; {error}")
        ids = ids_of(again)
    desk.on_step("protected")
    desk.ledger.set_protection(entry.id, ids, desk.clock.now(), "put back by reconciliation")
    done = f"{found}; put back as {', '.join(ids)}"
    return Guarded(settled=(done,), troubles=(_trouble(entry, done),))


def _trouble(entry: Order, message: str, error: VenueError | None = None) -> Trouble:
    return Trouble(
        type="UnprotectedPosition",
        message=message if error is None else f"{message}: {error}",
        instrument=entry.instrument,
        order_id=entry.id,
        request=None if error is None else error.request,
        response=None if error is None else error.response,
    )


def _closed(desk: Desk, entry: Order, mine: Sequence[WorkingOrder], found: str, error: VenueError) -> Guarded:
    """Closes what is held now, which may be nothing: the very stop that was missed may just have filled."""
    at = key_time(desk, entry.instrument, entry.timeframe, entry.bar_close, Leg.REPAIR)
    units, quote = _ours(desk, entry), desk.broker.quote(parse_instrument(entry.instrument))
    if units == 0:
        return Guarded()
    if not quote.tradeable:
        line = f"{found}, and the market is {quote.status}"
        return Guarded(troubles=(_trouble(entry, line, error),), unprotected=line)
    reason = f"{found}, and the venue does not take it: {error}"
    order = _close(desk, entry, at, Leg.REPAIR, units, why=("unprotected", reason), cancel=ids_of(mine))
    line = f"{found}; {type(error).__name__}; close {order.client_order_id} is {order.state}"
    left = None if order.filled_units >= abs(units) else line
    return Guarded(settled=(line,), troubles=(_trouble(entry, line, error),), unprotected=left, order=order)


def _ours(desk: Desk, entry: Order) -> Decimal:
    """Signed units of ours that the venue still has and takes a close for."""
    instrument = parse_instrument(entry.instrument)
    there = desk.broker.position(instrument).units
    managed = desk.ledger.position(entry.venue, entry.account, entry.instrument).units
    if there * managed <= 0:
        return ZERO
    held = min(there, managed, key=abs)
    return closable(desk.broker.spec(instrument), held, entry.average_price).copy_sign(held)


def _close(
    desk: Desk, entry: Order, at: datetime, leg: Leg, units: Decimal, *, why: tuple[str, str], cancel: tuple[str, ...]
) -> Order:
    """`units` signed as held; `why` is the decision's code and its reasoning."""
    code, reasoning = why
    wanted = Close(
        instrument=entry.instrument,
        timeframe=entry.timeframe,
        at=at,
        leg=leg,
        side=Side.SELL if units > 0 else Side.BUY,
        units=abs(units),
        code=code,
        reasoning=reasoning,
        protection=cancel,
    )
    return close(desk, wanted)


def check_exits(
    ledger: Ledger, broker: Broker, clock: Clock, *, cycle_id: str, sleep: Sleep = time.sleep
) -> list[Order]:
    """Closes every watched entry whose stop or target the market has reached, cancelling what else rests for it.

    Nothing in an account that was not reconciled since the ledger was restored: the exit may have been sent already.

    Raises:
        VenueError: a price or a position can't be read: nothing is known, nothing is sent.
    """
    desk, closes = Desk(ledger, broker, clock, cycle_id, sleep), []
    if ledger.unread(broker.venue, broker.account):
        return []
    for position in booked(desk):
        entry = ledger.open_entry(broker.venue, broker.account, position.instrument)
        if entry is not None and entry.watched:
            closes += _check(desk, entry, position.units)
    return closes


def _check(desk: Desk, entry: Order, managed: Decimal) -> list[Order]:
    at = key_time(desk, entry.instrument, entry.timeframe, entry.bar_close, Leg.WATCHED)
    quote = desk.broker.quote(parse_instrument(entry.instrument))
    reached = _reached(entry, managed, quote) if quote.tradeable else None
    units = _ours(desk, entry)
    if reached is None or units == 0:
        return []
    siblings = ids_of(protecting(desk, entry, desk.broker.working_orders()))
    return [_close(desk, entry, at, Leg.WATCHED, units, why=reached, cancel=siblings)]


def _reached(entry: Order, managed: Decimal, quote: Quote) -> tuple[str, str] | None:
    """A long leaves at the bid, a short at the ask."""
    price, sign = (quote.bid, 1) if managed > 0 else (quote.ask, -1)
    for code, level, way in (("stop_reached", entry.stop_loss, -1), ("target_reached", entry.take_profit, 1)):
        if level is not None and (price - level) * sign * way >= 0:
            return code, f"{entry.instrument} at {plain(price)} has reached {code.split('_')[0]} {plain(level)}"
    return None
