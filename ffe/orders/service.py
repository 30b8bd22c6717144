"""From intent to a settled order: the path on which money moves, each write before the step that it announces.

plan -> reserve -> checkpoint -> SUBMITTING (committed) -> one send -> book. The step to SUBMITTING is the claim: of two workers on
one intent only one gets it, so only one sends, and the kill switch is read in the same transaction. Whatever goes wrong after it is
UNKNOWN unless the venue said no or the request certainly never left. A close reserves its units, and no money.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from ffe.clock import Clock
from ffe.errors import (
    FfeError,
    HaltedError,
    IllegalTransitionError,
    InsufficientAvailableError,
    NothingToCloseError,
    NotSentError,
    OrderRejectedError,
    VenueError,
)
from ffe.ledger.ledger import Ledger
from ffe.money import ZERO
from ffe.orders.models import Intent, Order, OrderState
from ffe.orders.request import request_for
from ffe.orders.resolve import QUIET, SENT, UNSENT, Sleep, blocked, resolve
from ffe.venues.models import VenueOrder
from ffe.venues.protocol import Broker

# A market order is done within a second or it is not; what stays open after this is settled by `recover`.
READ_BACK = (0.2, 0.5, 1.0, 2.0)
STEPS = ("planned", "reserved", "checkpointed", "submitting", "answered", "booked")

log = logging.getLogger(__name__)


def no_step(step: str) -> None:
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
        on_step: Callable[[str], None] = no_step,
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
        blocker = self._blocker(order)
        if blocker is not None:
            return self._deny(order, f"blocked_by_unresolved_order {blocker.client_order_id}")
        amount, now = order.reserve_amount if order.leg.opens else ZERO, self._clock.now()
        try:
            self._ledger.reserve(order.id, order.reserve_currency, amount, available, now, available_at=available_at)
            self._on_step("reserved")
            checkpoint = self._broker.checkpoint()
            self._on_step("checkpointed")
            order = self._ledger.claim(order.id, self._clock.now(), checkpoint)
        except (InsufficientAvailableError, NothingToCloseError, HaltedError, VenueError) as error:
            return self._deny(order, _denial(error), str(error))
        self._on_step("submitting")
        return order

    def _blocker(self, order: Order) -> Order | None:
        """An order of unknown outcome stops every entry; a close is stopped only by another close, which may have done its work."""
        place = (order.venue, order.account, order.instrument)
        return blocked(self._ledger, *place, but=order.id, closing=not order.leg.opens)

    def _send(self, order: Order) -> Order:
        now = self._clock.now()
        stalled = now - (order.submitted_at or now)
        if stalled > QUIET / 2:
            # Whoever looked in the meantime may soon say that it never reached the venue: then it must not.
            text = f"{stalled.total_seconds():.0f} s passed between the claim and the wire"
            return self._settle(order, OrderState.DENIED, "stalled_before_sending", text)
        try:
            answer = self._broker.submit(request_for(order), str(order.checkpoint))
        except NotSentError as error:
            return self._settle(order, OrderState.DENIED, "not_sent", str(error))
        except OrderRejectedError as error:
            return self._settle(order, OrderState.REJECTED, error.reason, str(error))
        except Exception as error:
            log.exception("order %s was sent with an unknown outcome", order.client_order_id)
            order = self._settle(order, OrderState.UNRESOLVED, "outcome_unknown", f"{type(error).__name__}: {error}")
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
        """Raises IllegalTransitionError when another worker has claimed it: what may be at the venue is not denied here."""
        detail = None if message is None else {"message": message}
        now = self._clock.now()
        return self._ledger.transition(order.id, OrderState.DENIED, now, reason=reason, detail=detail, only_from=UNSENT)

    def _settle(self, order: Order, state: OrderState, reason: str, message: str) -> Order:
        """The state after sending, unless another process has looked the order up in the meantime: what it found stands."""
        detail = {"message": message}
        try:
            return self._ledger.transition(order.id, state, self._clock.now(), reason=reason, detail=detail)
        except IllegalTransitionError:
            log.warning("order %s was settled by another worker", order.id)
            return self._ledger.order(order.id)


def _denial(error: FfeError) -> str:
    """The reason of a denial by what stood in the way."""
    if isinstance(error, InsufficientAvailableError):
        return "insufficient_available_balance"
    if isinstance(error, NothingToCloseError):
        return "nothing_to_close"
    if isinstance(error, HaltedError):
        by_switch = f"kill_switch_{error.state.replace('-', '_')}"
        return "blocked_by_difference" if error.state == "difference" else by_switch
    return "venue_unreachable_before_sending"
