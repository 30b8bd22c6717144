"""Round trips of one account: the closed trades that rules look at, netted by the ledger's own arithmetic, and the rows of the result."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe.ledger.models import ClosedTrade
from ffe.ledger.position import FLAT, Holding, after_fill
from ffe.ledger.trades import Played, trades_of
from ffe.money import ZERO
from ffe.orders.models import Intent, Leg, Side
from ffe.replay.models import ExitReason
from ffe.risk.models import Sizing
from ffe.venues.models import Quote

# What `Ledger.closed_trades` gives the rules.
REMEMBERED = 200


@dataclass
class Costs:
    """Home money: `fees` paid; `slippage` beyond the side of the quote; `spread` from the mid to it."""

    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    spread: Decimal = ZERO

    def add(self, fill: Played, quote: Quote, factor: Decimal) -> None:
        """`factor`: quote currency to home. The fee is in home money already."""
        side = quote.ask if fill.side is Side.BUY else quote.bid
        self.fees += fill.fee
        self.slippage += (fill.price - side) * fill.side.sign * fill.units * factor
        self.spread += (side - quote.mid) * fill.side.sign * fill.units * factor


@dataclass
class Trip:
    """From flat to flat. `entry` is the newest one, whose levels protect it; `opened_at` when that was sent."""

    entry: Intent
    opened_at: datetime
    entry_bar: int
    entry_time: datetime
    planned_risk: Decimal = ZERO
    holding: Holding = FLAT
    played: list[Played] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)
    gained: Decimal = ZERO
    notional: Decimal = ZERO
    # Of `entry`; its id is a hash that every look asks for.
    order_id: str = ""

    def __post_init__(self) -> None:
        self.order_id = self.entry.client_order_id

    def play(self, fill: Played, moved: Decimal, quote: Quote, factor: Decimal) -> None:
        """`moved`: what the fill did to the home currency."""
        self.played.append(fill)
        self.holding = after_fill(self.holding, fill.side, fill.units, fill.price)
        self.costs.add(fill, quote, factor)
        self.gained += moved
        if fill.leg is Leg.ENTRY:
            self.notional += fill.units * fill.price * factor

    @property
    def flat(self) -> bool:
        return self.holding.units == 0

    def row(
        self, reason: ExitReason, exit_time: int, exit_bar: int, exit_price: Decimal | None = None
    ) -> dict[str, Any]:
        """Of `TRADE_SCHEMA`. `exit_price` None: as filled."""
        entered = [fill for fill in self.played if fill.leg is Leg.ENTRY]
        left = [fill for fill in self.played if fill.leg is not Leg.ENTRY]
        intent = self.entry
        return {
            "instrument": intent.instrument,
            "side": entered[0].side.value,
            "units": float(sum(fill.units for fill in entered)),
            "entry_time": int(self.entry_time.timestamp()),
            "exit_time": exit_time,
            "entry_price": float(_average(entered)),
            "exit_price": float(_average(left) if exit_price is None else exit_price),
            "stop_loss": None if intent.stop_loss is None else float(intent.stop_loss),
            "take_profit": None if intent.take_profit is None else float(intent.take_profit),
            "exit_reason": reason.value,
            "pnl": float(self.gained),
            "fees": float(self.costs.fees),
            "slippage": float(self.costs.slippage),
            "spread": float(self.costs.spread),
            "notional": float(self.notional),
            "planned_risk": float(self.planned_risk),
            "confidence": intent.confidence,
            "entry_bar": self.entry_bar,
            "exit_bar": exit_bar,
        }


def _average(fills: Iterable[Played]) -> Decimal:
    parts = list(fills)
    return sum((fill.units * fill.price for fill in parts), ZERO) / sum((fill.units for fill in parts), ZERO)


def entered(trip: Trip | None, intent: Intent, sizing: Sizing, now: datetime, bar: int) -> Trip:
    """The trip that an entry begins, or adds to where dust was still held."""
    if trip is None:
        return Trip(entry=intent, opened_at=now, entry_bar=bar, entry_time=now, planned_risk=sizing.risk_amount)
    trip.entry, trip.order_id, trip.opened_at = intent, intent.client_order_id, now
    trip.planned_risk += sizing.risk_amount
    return trip


class Closed:
    """The closed trades of an account, newest first, as many as the ledger gives to the rules."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}
        self._kept: list[ClosedTrade] = []

    def first_fill(self, symbol: str) -> None:
        """Trades that closed at the same time stand in the order in which the account first traded their instruments."""
        self._ranks.setdefault(symbol, len(self._ranks))

    def add(self, symbol: str, played: Iterable[Played]) -> None:
        """What a trip that has ended realised."""
        for trade in trades_of(symbol, played):
            self._kept.insert(self._place(trade), trade)
        del self._kept[REMEMBERED:]

    def _place(self, trade: ClosedTrade) -> int:
        """Behind what closed later, or at the same time in an instrument that was traded first or earlier in this one."""
        rank = self._ranks[trade.instrument]
        for place, kept in enumerate(self._kept):
            if kept.closed_at < trade.closed_at:
                return place
            if kept.closed_at == trade.closed_at and self._ranks[kept.instrument] > rank:
                return place
        return len(self._kept)

    @property
    def trades(self) -> tuple[ClosedTrade, ...]:
        return tuple(self._kept)
