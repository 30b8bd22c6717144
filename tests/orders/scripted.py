"""A broker over the scripted venue that loses what it is told to lose, and a clock that only moves when somebody sleeps."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

from scripted_venue import Placed, Venue

from ffe.clock import FixedClock
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.market.models import Instrument
from ffe.venues.models import (
    AccountState,
    Activity,
    Balance,
    Capabilities,
    Conversion,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
    WorkingOrder,
)

__all__ = ["OUTCOMES", "CrashError", "Placed", "ScriptedBroker", "SleepingClock", "Venue"]

OUTCOMES = (
    "fill",
    "accept",
    "partial",
    "kill_rest",
    "reject",
    "not_sent",
    "lost_before",
    "lost_after",
    "late",
    "bug",
)


class SleepingClock(FixedClock):
    """Time passes only in `sleep`, so a test's 15 s window costs nothing."""

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))


class CrashError(BaseException):
    """The process ends here: not an Exception, so no handler of the engine may swallow it."""


class ScriptedBroker:
    """`outcomes` are taken one per submit (then `fill`); `unreadable` lookups fail first.

    `protections` and `cancels` are the same for `protect` and `cancel` (`ok`, `reject`, `unsupported`, `not_sent`, `lost_before`,
    `lost_after`). `broken` names queries that fail; `on_read` is called with the name of each query before it is answered.
    """

    def __init__(
        self,
        venue: Venue,
        clock: FixedClock,
        *,
        outcomes: Sequence[str] = (),
        account: str = "101-001-1",
        unreadable: int = 0,
        on_wire: Callable[[str], None] = lambda place: None,
        name: str = "oanda",
    ) -> None:
        self.venue, self.account = name, account
        self._venue, self._clock, self._outcomes, self._on_wire = venue, clock, list(outcomes), on_wire
        self.unreadable, self.checkpoint_error, self.sent = unreadable, None, 0
        self.seen: list[OrderRequest] = []
        self.protections: list[str] = []
        self.cancels: list[str] = []
        self.protected: list[Protection] = []
        self.broken: set[str] = set()
        self.on_read: Callable[[str], None] = lambda name: None

    @property
    def capabilities(self) -> Capabilities:
        spot = self._venue.dedupes
        return Capabilities(
            short=not spot,
            margin=not spot,
            dedupes_client_order_id=spot,
            part_fills=True,
            protection="attached" if self._venue.holds_stops else "none",
            protection_follows_position=not spot,
            trailing_stop=not spot,
            protection_holds_units=spot,
        )

    def _read(self, name: str) -> None:
        self.on_read(name)
        if name in self.broken:
            raise VenueReadError(f"502 on {name}")
        with self._venue.opened():
            self._venue.settle(self._clock.now())

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        self._read("account_state")
        totals = self._venue.activity(self._venue.checkpoint()).totals
        one = Conversion(gain=Decimal(1), loss=Decimal(1), position=Decimal(1))
        return AccountState(
            venue=self.venue,
            account=self.account,
            currency="USD",
            equity=totals["USD"],
            available=totals["USD"],
            balances=(Balance(currency="USD", available=totals["USD"], hold=Decimal(0)),),
            conversions={"USD": one, "GBP": one},
            source="scripted",
            time=self._clock.now(),
        )

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        spot = self._venue.dedupes
        return InstrumentSpec(
            instrument=instrument.symbol,
            venue=self.venue,
            price_increment=Decimal("0.00001"),
            size_increment=Decimal("0.0001") if spot else Decimal(1),
            min_size=Decimal("0.001") if spot else Decimal(1),
            max_size=Decimal(1_000_000),
            min_notional=Decimal(1) if spot else None,
            max_notional=None,
            margin_rate=None if spot else Decimal("0.02"),
            taker_fee_rate=Decimal(0),
            pip=Decimal("0.0001"),
            tradeable=not self._venue.closed,
            status="closed" if self._venue.closed else "online",
            fetched_at=self._clock.now(),
        )

    def quote(self, instrument: Instrument) -> Quote:
        self._read("quote")
        bid, ask = self._venue.prices.get(instrument.symbol, (Decimal("1.2271"), Decimal("1.2273")))
        return Quote(
            instrument=instrument.symbol,
            bid=bid,
            ask=ask,
            time=self._clock.now(),
            tradeable=not self._venue.closed,
            status="closed" if self._venue.closed else "online",
        )

    def position(self, instrument: Instrument) -> VenuePosition:
        self._read("position")
        flat = VenuePosition(instrument=instrument.symbol, units=Decimal(0), average_price=None)
        return next((held for held in self._venue.positions() if held.instrument == instrument.symbol), flat)

    def positions(self) -> list[VenuePosition]:
        self._read("positions")
        return self._venue.positions()

    def working_orders(self) -> list[WorkingOrder]:
        self._read("working_orders")
        return list(self._venue.state.resting)

    def activity(self, since: str) -> Activity:
        self._read("activity")
        return self._venue.activity(since)

    def protect(self, protection: Protection) -> tuple[str, ...]:
        self.protected.append(protection)
        outcome = self.protections.pop(0) if self.protections else "ok"
        self._on_wire("protect before")
        refusal = _refusal(outcome)
        if refusal is not None:
            raise refusal
        ids = self._venue.protect(protection)
        self._on_wire("protect after")
        if outcome == "lost_after":
            raise OutcomeUnknownError("no reply", request="PUT orders")
        return ids

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        outcome = self.cancels.pop(0) if self.cancels else "ok"
        refusal = _refusal(outcome)
        if refusal is not None:
            raise refusal
        self._venue.cancel(venue_order_ids)
        if outcome == "lost_after":
            raise OutcomeUnknownError("no reply")

    def checkpoint(self) -> str:
        self._read("checkpoint")
        if self.checkpoint_error is not None:
            raise self.checkpoint_error
        return self._venue.checkpoint()

    def resendable(self) -> bool:
        return self._venue.dedupes

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        self.sent += 1
        self.seen.append(request)
        outcome = self._outcomes.pop(0) if self._outcomes else "fill"
        self._on_wire("before")
        refusal = _refusal(outcome)
        if refusal is not None:
            raise refusal
        now = self._clock.now()
        late = timedelta(seconds=20 if outcome == "late" else 0)
        order = self._venue.place(request, outcome, now + late, now)
        self._on_wire("after")
        if outcome in {"lost_after", "late"}:
            raise OutcomeUnknownError("no reply")
        if outcome == "bug":
            raise RuntimeError("the reply could not be understood")
        return self._venue.report(order)

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        if self.unreadable > 0:
            self.unreadable -= 1
            raise VenueReadError("502")
        self.on_read("lookup")
        with self._venue.opened() as state:
            for order in state.placed:
                if order.client_order_id == request.client_order_id and order.arrives <= self._clock.now():
                    order.looks += 1
                    self._venue.settle(self._clock.now())
                    return self._venue.report(order)
        return None

    def close(self) -> None:
        """Nothing is open."""


def _refusal(outcome: str) -> Exception | None:
    if outcome == "reject":
        return OrderRejectedError("400", reason="INSUFFICIENT_MARGIN", request="POST orders", response="400")
    if outcome == "no_such_trade":
        return OrderRejectedError("404", reason="NO_SUCH_TRADE")
    if outcome == "unsupported":
        return OrderRejectedError("400", reason="UNSUPPORTED_ORDER_CONFIGURATION")
    if outcome == "not_sent":
        return NotSentError("connection refused")
    return OutcomeUnknownError("reset") if outcome == "lost_before" else None
