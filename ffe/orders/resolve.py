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
from ffe.errors import LedgerError, OrderRejectedError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Order, OrderState
from ffe.orders.request import request_for
from ffe.venues.models import VenueOrder
from ffe.venues.protocol import Broker

Sleep = Callable[[float], None]

# venues.md 4.1: 15.5 s in all; a request that reached the venue is listed there well within it.
POLLS = (0.5, 1.0, 2.0, 4.0, 8.0)
# Counted from the newest send. After it, a venue that has not heard of the order will not hear of it any more.
QUIET = timedelta(seconds=60)
# Counted from the plan. A later resend would trade on an old decision.
RESEND_WITHIN = timedelta(minutes=5)

SENT = frozenset({OrderState.SUBMITTING, OrderState.UNRESOLVED})
UNSENT = frozenset({OrderState.PLANNED, OrderState.RESERVED})

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
    machine, and their decision is old. Those of the newest bar are left for its rerun to carry on.
    """
    settled = []
    for order in ledger.open_orders(broker.venue, broker.account):
        if order.state not in UNSENT:
            settled.append(resolve(order, ledger, broker, clock, sleep))
        elif clock.now() >= order.bar_close + order.timeframe.duration:
            reason = "abandoned_before_sending"
            settled.append(ledger.transition(order.id, OrderState.DENIED, clock.now(), reason=reason))
    return settled


def blocked(ledger: Ledger, venue: str, account: str, instrument: str, *, but: str | None = None) -> Order | None:
    """The order of unknown outcome that blocks new exposure on `instrument`; `but` is an order id that may not block itself."""
    for order in ledger.open_orders(venue, account):
        if order.instrument == instrument and order.state in SENT and order.id != but:
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
    if broker.resendable() and clock.now() - order.created_at <= RESEND_WITHIN:
        return _resend(order, ledger, broker, clock, sleep)
    if clock.now() - _sent_at(order) > QUIET:
        return ledger.transition(order.id, OrderState.CANCELLED, clock.now(), reason="never_reached_venue")
    return _keep(order, ledger, clock, "sent; the venue has not heard of it")


def _resend(order: Order, ledger: Ledger, broker: Broker, clock: Clock, sleep: Sleep) -> Order:
    """The identical body under the same client id, once, announced first. What it raises is looked into, not believed."""
    order = _keep(order, ledger, clock, "sent; the venue has not heard of it")
    order = ledger.resending(order.id, clock.now(), "sending the identical request again")
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
        return ledger.transition(order.id, OrderState.REJECTED, clock.now(), reason=rejected.reason)
    return _keep(order, ledger, clock, "sent twice; the venue has not heard of it")


def _keep(order: Order, ledger: Ledger, clock: Clock, reason: str) -> Order:
    """UNRESOLVED with this reason, whatever it was before."""
    order = ledger.order(order.id)
    if order.state.final:
        return order
    if order.state is OrderState.UNRESOLVED:
        return ledger.note(order.id, clock.now(), reason)
    return ledger.transition(order.id, OrderState.UNRESOLVED, clock.now(), reason=reason)
