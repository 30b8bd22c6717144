"""Everything closed, and proved by asking the venue: what the kill switch does at `flatten`.

In rounds: cancel what rests, close what is held, ask again. A round's closes have the switch's own moment in their ids, so that a
flatten that was killed is carried on by the next one instead of being sent a second time.
"""

import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.clock import Clock
from ffe.errors import LedgerError, NotSentError, OutcomeUnknownError, UnknownNameError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.money import ZERO
from ffe.orders.close import Close, Desk, closable, close, key_time
from ffe.orders.models import Leg, Order, Side
from ffe.orders.ownership import owner_of
from ffe.orders.reconcile import catch_up
from ffe.orders.resolve import UNSENT, Sleep, recover
from ffe.orders.service import no_step
from ffe.orders.switch import KillSwitch
from ffe.venues.models import VenuePosition, WorkingOrder
from ffe.venues.protocol import Broker

ROUNDS = 3
# A flatten belongs to no bar; the id of an order needs a timeframe all the same.
NO_TIMEFRAME = Timeframe.M1

log = logging.getLogger(__name__)


class Flattened(BaseModel):
    """What the venue said last. `left`: what is still held; `dust`: too little to be sold, counted as flat; `working`: what still rests.

    `others`: held by somebody else, and left alone because only ours was asked for. `pending`: orders that were sent and whose outcome is not known yet: one of them may still open something.
    """

    model_config = ConfigDict(frozen=True)

    venue: str
    orders: tuple[Order, ...]
    left: tuple[VenuePosition, ...]
    dust: tuple[VenuePosition, ...]
    working: tuple[WorkingOrder, ...]
    pending: tuple[Order, ...]
    others: tuple[VenuePosition, ...] = ()

    @property
    def flat(self) -> bool:
        return not (self.left or self.working or self.pending)


def flatten(
    ledger: Ledger,
    broker: Broker,
    clock: Clock,
    switch: KillSwitch,
    *,
    cycle_id: str,
    only_ours: bool = False,
    sleep: Sleep = time.sleep,
    on_step: Callable[[str], None] = no_step,
) -> Flattened:
    """Closes all positions of the account (`only_ours`: the units of our own orders) and cancels all that rests there.

    Raises:
        VenueError: a query failed: nothing is claimed to be flat. Whatever could be closed is closed before it is raised.
        LedgerError: the switch was never set.
    """
    if switch.at is None:
        raise LedgerError("flatten has no moment: set the kill switch first")
    desk = Desk(ledger, broker, clock, cycle_id, sleep, on_step)
    recover(ledger, broker, clock, sleep)
    _book_news(desk)
    orders: list[Order] = []
    for _ in range(ROUNDS):
        sent, done = _round(desk, switch, switch.at, only_ours=only_ours)
        orders += sent
        if done or any(not order.state.final for order in sent):
            break
    left, dust = _held(desk, only_ours=only_ours)
    return Flattened(
        venue=broker.venue,
        orders=tuple(orders),
        left=tuple(left),
        dust=tuple(dust),
        working=tuple(_resting(desk, only_ours=only_ours)),
        pending=tuple(_pending(desk)),
        others=tuple(_others(desk)) if only_ours else (),
    )


def _round(desk: Desk, switch: KillSwitch, start: datetime, *, only_ours: bool) -> tuple[list[Order], bool]:
    """The closes of one round, and whether there was nothing left to do. One that fails keeps none of the others from being sent.

    Where the market is closed, or the instrument is none that we know, nothing can be closed, and the stop is left where it is.
    """
    symbols = [position.instrument for position in desk.broker.positions()]
    times = {symbol: key_time(desk, symbol, NO_TIMEFRAME, start, Leg.FLATTEN) for symbol in symbols}
    failures: list[VenueError] = []
    shut = {symbol for symbol in symbols if _is_shut(desk, symbol, failures)}
    # What is needed to close is read once before a stop is taken away: a venue that can't be read keeps them.
    _held(desk, only_ours=only_ours)
    cancelled = _cancel(desk, shut, only_ours=only_ours)
    left = [position for position in _held(desk, only_ours=only_ours)[0] if position.instrument not in shut]
    sent: list[Order] = []
    for position in left:
        try:
            sent.append(close(desk, _close(desk, position, times.get(position.instrument, start), switch)))
        except VenueError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return sent, cancelled and not left


def _held(desk: Desk, *, only_ours: bool) -> tuple[list[VenuePosition], list[VenuePosition]]:
    """Positions to close, and those that are too small for the venue to take an order."""
    left: list[VenuePosition] = []
    dust: list[VenuePosition] = []
    for position in desk.broker.positions():
        units = _ours(desk, position) if only_ours else position.units
        if units != 0:
            wanted = position.model_copy(update={"units": units})
            (dust if _closable(desk, wanted) == 0 else left).append(wanted)
    return left, dust


def _closable(desk: Desk, position: VenuePosition) -> Decimal:
    """Units of one close, zero for dust; all of them where we know no such instrument, so that it is not called flat."""
    try:
        instrument = parse_instrument(position.instrument)
    except UnknownNameError:
        return abs(position.units)
    spec = desk.broker.spec(instrument)
    price = None if spec.min_notional is None else desk.broker.quote(instrument).bid
    return closable(spec, position.units, price)


def _others(desk: Desk) -> list[VenuePosition]:
    rest = [each.model_copy(update={"units": each.units - _ours(desk, each)}) for each in desk.broker.positions()]
    return [each for each in rest if each.units != 0]


def _ours(desk: Desk, position: VenuePosition) -> Decimal:
    managed = desk.ledger.position(desk.broker.venue, desk.broker.account, position.instrument).units
    return ZERO if managed * position.units <= 0 else min(managed, position.units, key=abs)


def _book_news(desk: Desk) -> None:
    """Trades that nobody here has seen yet would be taken for ours. An activity that can't be read stops no flatten."""
    try:
        catch_up(desk.ledger, desk.broker, desk.clock)
    except VenueError as error:
        log.warning("flattening without the venue's latest activity: %s", error)


def _resting(desk: Desk, *, only_ours: bool) -> list[WorkingOrder]:
    return [order for order in desk.broker.working_orders() if not only_ours or _is_ours(desk, order)]


def _is_ours(desk: Desk, order: WorkingOrder) -> bool:
    if order.protects is not None:
        return desk.ledger.order_by_client_id(order.protects) is not None
    return owner_of(desk, order.instrument, order.venue_order_id, order.client_order_id) is not None


def _is_shut(desk: Desk, symbol: str, failures: list[VenueError]) -> bool:
    """Whether nothing can be sold there now, so that the stop had better stay; a price that can't be had is a failure too."""
    try:
        return not desk.broker.quote(parse_instrument(symbol)).tradeable
    except UnknownNameError:
        return True
    except VenueError as error:
        failures.append(error)
        return True


def _cancel(desk: Desk, shut: Collection[str], *, only_ours: bool) -> bool:
    """False when something may still rest. What filled instead of being cancelled shows in the position."""
    resting = [order for order in _resting(desk, only_ours=only_ours) if order.instrument not in shut]
    if resting:
        try:
            desk.broker.cancel([order.venue_order_id for order in resting])
        except (NotSentError, OutcomeUnknownError) as error:
            log.warning("not everything was cancelled: %s", error)
            return False
    return True


def _pending(desk: Desk) -> list[Order]:
    """Sent, not ended, and not a stop or target: those rest at the venue and are seen there."""
    orders = desk.ledger.open_orders(desk.broker.venue, desk.broker.account)
    return [order for order in orders if order.state not in UNSENT and order.leg is not Leg.PROTECTION]


def _close(desk: Desk, position: VenuePosition, at: datetime, switch: KillSwitch) -> Close:
    return Close(
        instrument=position.instrument,
        timeframe=NO_TIMEFRAME,
        at=at,
        leg=Leg.FLATTEN,
        side=Side.SELL if position.units > 0 else Side.BUY,
        units=_closable(desk, position),
        code="flatten",
        reasoning=f"the kill switch is at {switch}",
    )
