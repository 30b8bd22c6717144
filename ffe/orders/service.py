"""From intent to a settled order: the path on which money moves, each write before the step that it announces.

plan -> reserve -> checkpoint -> SUBMITTING (committed) -> one send -> book. The step to SUBMITTING is the claim: of two workers on
one intent only one gets it, so only one sends. Whatever goes wrong after it is UNKNOWN unless the venue said no or the
request certainly never left.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from ffe.clock import Clock
from ffe.errors import (
    IllegalTransitionError,
    InsufficientAvailableError,
    NotSentError,
    OrderRejectedError,
    VenueError,
)
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Intent, Leg, Order, OrderState
from ffe.orders.request import request_for
from ffe.orders.resolve import SENT, Sleep, blocked, resolve
from ffe.venues.models import VenueOrder
from ffe.venues.protocol import Broker

# A market order is done within a second or it is not; what stays open after this is settled by `recover`.
READ_BACK = (0.2, 0.5, 1.0, 2.0)
STEPS = ("planned", "reserved", "checkpointed", "submitting", "answered", "booked")

log = logging.getLogger(__name__)


def _no_step(step: str) -> None:
    del step


class OrderService:
    """One broker's order path. `on_step` is called with each name of `STEPS` as it is passed: crash drills kill there."""

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        clock: Clock,
        *,
        sleep: Sleep = time.sleep,
        on_step: Callable[[str], None] = _no_step,
    ) -> None:
        self._ledger, self._broker, self._clock = ledger, broker, clock
        self._sleep, self._on_step = sleep, on_step

    def execute(self, intent: Intent, available: Decimal, available_at: datetime | None = None) -> Order:
        """The order of this intent, settled as far as it can be; at most one request ever goes out for it.

        An order that exists is returned as it stands, with two exceptions: one that was never sent is carried on, and one of
        unknown outcome goes to the resolver. `available` is the venue's free balance in the intent's reserve currency, read
        at `available_at`; money that other orders spent since then is counted against it when that is given.
        """
        order, created = self._ledger.plan(intent, self._clock.now())
        self._on_step("planned")
        if not created:
            log.info("order %s exists already as %s", order.client_order_id, order.state)
        if order.state in SENT:
            return self._read_back(self._resolve(order))
        if order.state in {OrderState.ACCEPTED, OrderState.PARTIAL}:
            return self._read_back(order)
        if order.state.final:
            return order
        return self._carry_out(order, available, available_at)

    def _carry_out(self, order: Order, available: Decimal, available_at: datetime | None) -> Order:
        try:
            claimed = self._claim(order, available, available_at)
        except IllegalTransitionError:
            log.warning("order %s was taken over by another worker", order.id)
            return self._ledger.order(order.id)
        return claimed if claimed.state.final else self._send(claimed)

    def _claim(self, order: Order, available: Decimal, available_at: datetime | None) -> Order:
        """SUBMITTING and committed, or DENIED with nothing sent."""
        blocker = blocked(self._ledger, order.venue, order.account, order.instrument, but=order.id)
        if blocker is not None and order.leg is Leg.ENTRY:
            return self._deny(order, f"blocked_by_unresolved_order {blocker.client_order_id}")
        currency, amount = order.reserve_currency, order.reserve_amount
        now = self._clock.now()
        try:
            self._ledger.reserve(order.id, currency, amount, available, now, available_at=available_at)
        except InsufficientAvailableError as error:
            return self._deny(order, "insufficient_available_balance", str(error))
        self._on_step("reserved")
        try:
            checkpoint = self._broker.checkpoint()
        except VenueError as error:
            return self._deny(order, "venue_unreachable_before_sending", str(error))
        self._on_step("checkpointed")
        now = self._clock.now()
        order = self._ledger.transition(order.id, OrderState.SUBMITTING, now, checkpoint=checkpoint)
        self._on_step("submitting")
        return order

    def _send(self, order: Order) -> Order:
        try:
            answer = self._broker.submit(request_for(order), str(order.checkpoint))
        except NotSentError as error:
            return self._deny(order, "not_sent", str(error))
        except OrderRejectedError as error:
            return self._to(order, OrderState.REJECTED, error.reason, str(error))
        except Exception as error:
            log.exception("order %s was sent with an unknown outcome", order.client_order_id)
            order = self._to(order, OrderState.UNRESOLVED, "outcome_unknown", f"{type(error).__name__}: {error}")
            return self._read_back(self._resolve(order))
        self._on_step("answered")
        return self._read_back(self._book(order, answer))

    def _read_back(self, order: Order) -> Order:
        """Asks again until an accepted order is final, a bounded number of times; fills are booked as they are seen."""
        for delay in READ_BACK:
            if order.state not in {OrderState.ACCEPTED, OrderState.PARTIAL}:
                break
            self._sleep(delay)
            try:
                answer = self._broker.lookup(request_for(order), str(order.checkpoint))
            except VenueError as error:
                log.warning("order %s could not be read back: %s", order.client_order_id, error)
                continue
            if answer is not None:
                order = self._book(order, answer)
        return order

    def _book(self, order: Order, answer: VenueOrder) -> Order:
        order = self._ledger.book(order.id, answer, self._clock.now())
        self._on_step("booked")
        return order

    def _resolve(self, order: Order) -> Order:
        return resolve(order, self._ledger, self._broker, self._clock, self._sleep)

    def _deny(self, order: Order, reason: str, message: str | None = None) -> Order:
        return self._to(order, OrderState.DENIED, reason, message)

    def _to(self, order: Order, state: OrderState, reason: str, message: str | None) -> Order:
        detail = None if message is None else {"message": message}
        return self._ledger.transition(order.id, state, self._clock.now(), reason=reason, detail=detail)
