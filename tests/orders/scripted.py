"""A venue in a dict (or a file, so that it survives a killed client) and a broker that loses what it is told to lose."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ffe.clock import FixedClock, parse_time, rfc3339
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.market.models import Instrument
from ffe.orders.models import Fill, OrderState
from ffe.venues.models import AccountState, InstrumentSpec, OrderRequest, Quote, VenueOrder, VenuePosition

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


@dataclass
class Placed:
    """An order that the venue has, or (`arrives` in the future) will have."""

    client_order_id: str
    units: str
    plan: str
    arrives: str
    looks: int = 0


@dataclass
class Venue:
    """What the venue knows. `dedupes`: a client id it already has returns the first order instead of making a second one."""

    dedupes: bool
    path: Path | None = None
    placed: list[Placed] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path, *, dedupes: bool) -> "Venue":
        rows = json.loads(path.read_text()) if path.exists() else []
        return cls(dedupes, path, [Placed(**row) for row in rows])

    def place(self, request: OrderRequest, plan: str, arrives: datetime) -> Placed:
        known = [order for order in self.placed if order.client_order_id == request.client_order_id]
        if known and self.dedupes:
            known[0].arrives = min(known[0].arrives, rfc3339(arrives))
        else:
            known = [Placed(request.client_order_id, str(request.units), plan, rfc3339(arrives))]
            self.placed += known
        self.save()
        return known[0]

    def save(self) -> None:
        if self.path is not None:
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps([asdict(order) for order in self.placed]))
            os.replace(fresh, self.path)

    def report(self, order: Placed) -> VenueOrder:
        """FILLED at once, or ACCEPTED first and FILLED, half filled or cancelled when looked at again."""
        state, share = OrderState.FILLED, Decimal(1)
        if order.plan == "accept" and order.looks < 2:
            state, share = OrderState.ACCEPTED, Decimal(0)
        elif order.plan == "partial":
            state, share = (OrderState.PARTIAL if order.looks < 2 else OrderState.CANCELLED), Decimal("0.5")
        elif order.plan == "kill_rest":
            state, share = OrderState.CANCELLED, Decimal(0)
        return VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=f"v-{order.client_order_id}",
            state=state,
            reason="MARKET_HALTED" if order.plan == "kill_rest" else None,
            fills=(self.fill(order, share),) if share > 0 else (),
        )

    def fill(self, order: Placed, share: Decimal) -> Fill:
        number = self.placed.index(order)
        return Fill(
            venue_fill_id=f"f{number}-{order.client_order_id}",
            units=Decimal(order.units) * share,
            price=Decimal("1.2272"),
            fee=Decimal("0.25"),
            fee_currency="USD",
            time=parse_time(order.arrives),
        )


class ScriptedBroker:
    """`outcomes` are taken one per submit (then `fill`); `unreadable` lookups and checkpoints fail first."""

    def __init__(
        self,
        venue: Venue,
        clock: FixedClock,
        *,
        outcomes: Sequence[str] = (),
        account: str = "101-001-1",
        unreadable: int = 0,
        on_wire: Callable[[str], None] = lambda place: None,
    ) -> None:
        self.venue, self.account = "oanda", account
        self._venue, self._clock, self._outcomes, self._on_wire = venue, clock, list(outcomes), on_wire
        self.unreadable, self.checkpoint_error, self.sent = unreadable, None, 0
        self.seen: list[OrderRequest] = []

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        raise VenueReadError("not scripted")

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        raise VenueReadError("not scripted")

    def quote(self, instrument: Instrument) -> Quote:
        raise VenueReadError("not scripted")

    def position(self, instrument: Instrument) -> VenuePosition:
        raise VenueReadError("not scripted")

    def positions(self) -> list[VenuePosition]:
        raise VenueReadError("not scripted")

    def checkpoint(self) -> str:
        if self.checkpoint_error is not None:
            raise self.checkpoint_error
        return "6410"

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
        late = timedelta(seconds=20 if outcome == "late" else 0)
        order = self._venue.place(request, outcome, self._clock.now() + late)
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
        for order in self._venue.placed:
            if order.client_order_id == request.client_order_id and parse_time(order.arrives) <= self._clock.now():
                order.looks += 1
                self._venue.save()
                return self._venue.report(order)
        return None


def _refusal(outcome: str) -> Exception | None:
    if outcome == "reject":
        return OrderRejectedError("400", reason="INSUFFICIENT_MARGIN")
    if outcome == "not_sent":
        return NotSentError("connection refused")
    return OutcomeUnknownError("reset") if outcome == "lost_before" else None
