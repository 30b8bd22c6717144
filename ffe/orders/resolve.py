"""Settles orders whose outcome nobody saw: asks the venue, and sends again only where the venue itself dedupes.

A failed query is never "not found". A lookup that finds nothing ends in one of three ways: the identical request once more (the
venue dedupes the client id, and the decision is still young), CANCELLED `never_reached_venue` (the quiet period is over and the
venue has still never heard of it), or UNRESOLVED, which blocks the instrument until a later run asks again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ffe.clock import Clock
from ffe.errors import HaltedError, IllegalTransitionError, LedgerError, OrderRejectedError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Leg, Order, OrderState
from ffe.orders.request import request_for
from ffe.venues.models import VenueOrder
from ffe.venues.protocol import Broker

Sleep = Callable[[float], None]

# 15.5 s in all; a request that reached the venue is listed there well within it.
POLLS = (0.5, 1.0, 2.0, 4.0, 8.0)
# Counted from the newest send. After it, a venue that has not heard of the order will not hear of it any more.
QUIET = timedelta(seconds=60)
# Counted from the plan. A later resend would trade on an old decision.
RESEND_WITHIN = timedelta(minutes=5)

SENT = frozenset({OrderState.SUBMITTING, OrderState.UNRESOLVED})
UNSENT = frozenset({OrderState.PLANNED, OrderState.RESERVED})
# Legs whose decision was made on a bar and grows old with it.
DECIDED = frozenset({Leg.ENTRY, Leg.EXIT})

log = logging.getLogger(__name__)


def resolve(order: Order, ledger: Ledger, broker: Broker, clock: Clock, sleep: Sleep = time.sleep) -> Order:
    """The order as it stands after asking the venue. Final and never-sent orders come back untouched.

    Bounded: about 15 s while the send is younger than `QUIET`, twice that with a resend, one query later on.
    """
    order = ledger.order(order.id)
    if order.state.final or order.state in UNSENT:
        return order
    young = clock.now() - _sent_at(order) < QUIET
    found, error = _look(order, broker, sleep, POLLS if young and order.state in SENT else ())
    if found is not None:
        return ledger.book(order.id, found, clock.now())
    if error is not None:
        return _keep(order, ledger, clock, f"lookup failed: {error}")
    return _not_found(order, ledger, broker, clock, sleep)


def recover(ledger: Ledger, broker: Broker, clock: Clock, sleep: Sleep = time.sleep) -> list[Order]:
    """Settles what earlier runs left behind at this venue and account; returns every order it looked at.

    Planned or reserved rows whose bar is no longer the newest are DENIED `abandoned_before_sending`: they never left this
    machine, and their decision is old. Those of the newest bar are left for its rerun to carry on, and so are young closes that
    belong to no bar. A protection is not ours to look up: nobody here sent it.
    """
    settled = []
    for order in ledger.open_orders(broker.venue, broker.account):
        if order.leg is Leg.PROTECTION:
            continue
        if order.state not in UNSENT:
            settled.append(resolve(order, ledger, broker, clock, sleep))
        elif clock.now() >= _carried_on_until(order):
            settled.append(_abandon(order, ledger, clock))
    return settled


def _carried_on_until(order: Order) -> datetime:
    if order.leg in DECIDED:
        return order.bar_close + order.timeframe.duration
    return order.updated_at + QUIET


def _abandon(order: Order, ledger: Ledger, clock: Clock) -> Order:
    """DENIED, unless its own process claimed it this very moment."""
    reason = "abandoned_before_sending"
    try:
        return ledger.transition(order.id, OrderState.DENIED, clock.now(), reason=reason, only_from=UNSENT)
    except IllegalTransitionError:
        return ledger.order(order.id)


def blocked(
    ledger: Ledger, venue: str, account: str, instrument: str, *, but: str | None = None, closing: bool = False
) -> Order | None:
    """The order of unknown outcome that stands in the way on `instrument`: any before an entry, only a close before a close.

    `but` is an order id that may not block itself.
    """
    for order in ledger.open_orders(venue, account):
        in_the_way = order.instrument == instrument and order.state in SENT and order.id != but
        if in_the_way and not (closing and order.leg.opens):
            return order
    return None


def _sent_at(order: Order) -> datetime:
    if order.submitted_at is None:
        raise LedgerError(f"order {order.id} is {order.state} but was never submitted")
    return order.submitted_at


def _look(
    order: Order, broker: Broker, sleep: Sleep, delays: Sequence[float]
) -> tuple[VenueOrder | None, VenueError | None]:
    """What the venue says, asking again after each delay; the error is that of the last query, None when it answered."""
    if order.checkpoint is None:
        raise LedgerError(f"order {order.id} is {order.state} without the venue's checkpoint")
    error: VenueError | None = None
    for delay in (0.0, *delays):
        if delay > 0:
            sleep(delay)
        try:
            found = broker.lookup(request_for(order), order.checkpoint)
        except VenueError as failure:
            error = failure
            continue
        if found is not None:
            return found, None
        error = None
    return None, error


def _not_found(order: Order, ledger: Ledger, broker: Broker, clock: Clock, sleep: Sleep) -> Order:
    if order.venue_order_id is not None:
        return _keep(order, ledger, clock, f"the venue acknowledged {order.venue_order_id} and does not find it now")
    reason = "sent; the venue has not heard of it"
    if broker.resendable() and clock.now() - order.created_at <= RESEND_WITHIN:
        try:
            return _resend(order, ledger, broker, clock, sleep)
        except HaltedError as error:
            reason = f"{reason}, and it is not sent again: {error}"
    if clock.now() - _sent_at(order) > QUIET:
        return _settle(order, ledger, clock, OrderState.CANCELLED, "never_reached_venue")
    return _keep(order, ledger, clock, reason)


def _resend(order: Order, ledger: Ledger, broker: Broker, clock: Clock, sleep: Sleep) -> Order:
    """The identical body under the same client id, once, announced first. What it raises is looked into, not believed.

    Not while somebody else has settled it: an order that was denied or given up must not come back.

    Raises:
        HaltedError: the kill switch or a difference stands before it by now: nothing was sent.
    """
    order = _keep(order, ledger, clock, "sent; the venue has not heard of it")
    try:
        order = ledger.resending(order.id, clock.now(), "sending the identical request again")
    except IllegalTransitionError:
        return ledger.order(order.id)
    rejected: OrderRejectedError | None = None
    try:
        found: VenueOrder | None = broker.submit(request_for(order), str(order.checkpoint))
    except OrderRejectedError as error:
        rejected, found = error, None
    except Exception:
        log.exception("resend of order %s", order.id)
        found = None
    failure: VenueError | None = None
    if found is None:
        found, failure = _look(order, broker, sleep, POLLS)
    if found is not None:
        return ledger.book(order.id, found, clock.now())
    if rejected is not None and failure is None:
        return _settle(order, ledger, clock, OrderState.REJECTED, rejected.reason)
    return _keep(order, ledger, clock, "sent twice; the venue has not heard of it")


def _keep(order: Order, ledger: Ledger, clock: Clock, reason: str) -> Order:
    """UNRESOLVED with this reason, whatever it was before."""
    order = ledger.order(order.id)
    if order.state.final:
        return order
    if order.state is OrderState.UNRESOLVED:
        return ledger.note(order.id, clock.now(), reason)
    return _settle(order, ledger, clock, OrderState.UNRESOLVED, reason)


def _settle(order: Order, ledger: Ledger, clock: Clock, state: OrderState, reason: str) -> Order:
    """The state that asking the venue has led to, unless another process has found out more in the meantime."""
    try:
        return ledger.transition(order.id, state, clock.now(), reason=reason)
    except IllegalTransitionError:
        log.warning("order %s was settled by another process", order.client_order_id)
        return ledger.order(order.id)
