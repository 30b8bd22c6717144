"""One account at the scripted venue with its ledger: enter, reconcile, and look at both sides."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from builders import AT, BAR, bare_decision, intent
from scripted import ScriptedBroker, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Position
from ffe.orders.close import Desk
from ffe.orders.findings import Reconciliation
from ffe.orders.models import Leg, Order, Side
from ffe.orders.reconcile import reconcile
from ffe.orders.service import OrderService

PLENTY = Decimal(1_000_000)


@dataclass
class Account:
    """`spot`: BTCUSD at a venue like Coinbase; otherwise EURUSD at one like OANDA."""

    ledger: Ledger
    clock: SleepingClock
    venue: Venue
    broker: ScriptedBroker = field(init=False)

    def __post_init__(self) -> None:
        bare_decision(self.ledger)
        self.broker = ScriptedBroker(self.venue, self.clock, name="coinbase" if self.spot else "oanda")

    @property
    def spot(self) -> bool:
        return self.venue.dedupes

    @property
    def symbol(self) -> str:
        return "BTCUSD" if self.spot else "EURUSD"

    @property
    def desk(self) -> Desk:
        return Desk(self.ledger, self.broker, self.clock, "run", self.clock.sleep)

    @property
    def service(self) -> OrderService:
        return OrderService(self.ledger, self.broker, self.clock, sleep=self.clock.sleep)

    def wanted(self, **changes: Any) -> Any:
        return intent(**{"venue": self.broker.venue, "instrument": self.symbol} | changes)

    def enter(self, *outcomes: str, bars: int = 0, **changes: Any) -> Order:
        """A BUY of 4000, `bars` bars later than the first."""
        self.broker._outcomes = list(outcomes)
        return self.service.execute(self.wanted(bar_close=BAR + timedelta(minutes=5 * bars), **changes), PLENTY)

    def leave(self, *outcomes: str, bars: int = 1, **changes: Any) -> Order:
        given = {"leg": Leg.EXIT, "side": Side.SELL, "stop_loss": None, "take_profit": None} | changes
        return self.enter(*outcomes, bars=bars, cancel_first=tuple(self.resting), **given)

    def reconcile(self, **changes: Any) -> Reconciliation:
        return reconcile(
            self.ledger, self.broker, self.clock, **{"cycle_id": "run", "sleep": self.clock.sleep} | changes
        )

    @property
    def resting(self) -> list[str]:
        return [order.venue_order_id for order in self.venue.state.resting]

    @property
    def position(self) -> Position:
        return self.ledger.position(self.broker.venue, self.broker.account, self.symbol)

    @property
    def agrees(self) -> bool:
        """Whether the ledger explains the units that the venue has."""
        return self.position.units + self.position.external == self.venue.units(self.symbol)

    def protection(self) -> Order | None:
        return self.ledger.order_for(
            self.broker.account, self.symbol, self.wanted().timeframe, self.wanted().bar_close, Leg.PROTECTION
        )


def long_after() -> timedelta:
    """Beyond every quiet period, from the first bar on."""
    return timedelta(minutes=10) + (AT - BAR)
