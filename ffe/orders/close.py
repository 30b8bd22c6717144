"""Closing what is held, reduce-only, without a model: a repair, a watched exit, a flatten.

Such a close has no bar of its own. The time in its client order id is that of what it belongs to, plus one second for each close of
that kind which has ended before. It is fixed before the position is read, so that two processes make the same id and one of them
sends. Its decision has a cycle of its own: a cycle holds one decision on each instrument, and a run may need several closes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from ffe.clock import Clock
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.money import ZERO, round_down
from ffe.orders.models import Intent, Leg, Order, Side, client_order_id
from ffe.orders.resolve import Sleep
from ffe.orders.service import OrderService, no_step
from ffe.venues.models import InstrumentSpec
from ffe.venues.protocol import Broker

AUTHORS = {Leg.REPAIR: Author.RISK_GATE, Leg.WATCHED: Author.RISK_GATE, Leg.FLATTEN: Author.HALT}
ROUND = timedelta(seconds=1)
# Fixed for ever: the decision of a close is the same one in whichever process it is made.
DECISION_NAMESPACE = UUID("7d0c2f55-93f1-5d0e-9a7b-3b1c6f0e8a42")


@dataclass(frozen=True)
class Desk:
    """What account work is carried out with, and the run in whose name. `on_step` hears every step: crash drills kill there."""

    ledger: Ledger
    broker: Broker
    clock: Clock
    cycle_id: str
    sleep: Sleep = time.sleep
    on_step: Callable[[str], None] = no_step


@dataclass(frozen=True)
class Close:
    """What to close and why. `at` is its `key_time`; `protection` are the orders at the venue to cancel before it."""

    instrument: str
    timeframe: Timeframe
    at: datetime
    leg: Leg
    side: Side
    units: Decimal
    code: str
    reasoning: str
    protection: tuple[str, ...] = ()


def key_time(desk: Desk, instrument: str, timeframe: Timeframe, start: datetime, leg: Leg) -> datetime:
    """`start` plus one second for each close of this kind that has ended."""
    at = start
    while True:
        order = desk.ledger.order_for(desk.broker.account, instrument, timeframe, at, leg)
        if order is None or not order.state.final:
            return at
        at += ROUND


def closable(spec: InstrumentSpec, units: Decimal, price: Decimal | None) -> Decimal:
    """How many of `units` (signed or not) one close can take: on the venue's grid, at most its largest order, zero for dust."""
    size = round_down(abs(units), spec.size_increment)
    size = size if spec.max_size is None else min(size, round_down(spec.max_size, spec.size_increment))
    if size < spec.min_size:
        return ZERO
    if spec.min_notional is not None and price is not None and size * price < spec.min_notional:
        return ZERO
    return size


def close(desk: Desk, wanted: Close) -> Order:
    """One close, settled as far as it can be. One that is under way is carried on as it was planned, whatever is wanted now.

    Raises:
        VenueError: no quote: nothing was sent.
    """
    place = (desk.broker.account, wanted.instrument, wanted.timeframe, wanted.at, wanted.leg)
    order = desk.ledger.order_for(*place)
    if order is None:
        intent = _intent(desk, wanted, client_order_id(*place))
    else:
        intent = Intent(**order.model_dump(include=set(Intent.model_fields)), confidence=100)
    service = OrderService(desk.ledger, desk.broker, desk.clock, sleep=desk.sleep, on_step=desk.on_step)
    return service.execute(intent, ZERO)


def _intent(desk: Desk, wanted: Close, order_id: str) -> Intent:
    instrument = parse_instrument(wanted.instrument)
    quote = desk.broker.quote(instrument)
    return Intent(
        decision_id=_decide(desk, wanted, order_id),
        venue=desk.broker.venue,
        account=desk.broker.account,
        instrument=wanted.instrument,
        timeframe=wanted.timeframe,
        bar_close=wanted.at,
        leg=wanted.leg,
        side=wanted.side,
        units=wanted.units,
        reference_price=quote.bid if wanted.side is Side.SELL else quote.ask,
        price_bound=None,
        stop_loss=None,
        take_profit=None,
        reserve_currency=instrument.quote,
        reserve_amount=ZERO,
        cancel_first=wanted.protection,
        confidence=100,
    )


def _decide(desk: Desk, wanted: Close, order_id: str) -> str:
    """Id of the decision to close, recorded once under a cycle that names the run it was made in."""
    decision_id, cycle_id, now = uuid5(DECISION_NAMESPACE, order_id).hex, f"{wanted.leg}-{order_id}", desk.clock.now()
    desk.ledger.start_cycle(cycle_id, "close", wanted.leg.value, now)
    desk.ledger.record_decision(
        Decision(
            id=decision_id,
            cycle_id=cycle_id,
            instrument=wanted.instrument,
            timeframe=wanted.timeframe,
            bar_close=wanted.at,
            action=Action(wanted.side.value),
            confidence=100,
            decided_by=AUTHORS[wanted.leg],
            reason_code=wanted.code,
            reasoning=wanted.reasoning,
            decided_at=now,
        )
    )
    desk.ledger.finish_cycle(cycle_id, now, {"run": desk.cycle_id, "client_order_id": order_id})
    return decision_id
