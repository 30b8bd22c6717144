"""One venue's account in a replay: paper's desk and book of the venue, in memory, with what the ledger would know of it.

Every fill that the desk makes, of an order or of a stop, passes `_book`.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, PrivateAttr

from ffe.ledger.trades import Played
from ffe.market.models import Instrument
from ffe.money import ZERO
from ffe.orders.models import Leg, OrderState, Side
from ffe.replay.exact_switch import Marks
from ffe.replay.exact_trips import Closed, Trip, entered
from ffe.replay.journal import Filled
from ffe.replay.market import Market, Tape
from ffe.replay.models import ExitReason
from ffe.risk.gate import TradePlan
from ffe.venues.models import AccountState, Execution, Protection, Quote, VenueOrder
from ffe.venues.paper import DESKS
from ffe.venues.paper_desk import Desk, closing_price
from ffe.venues.paper_models import HOME, Booked, LineKind, PaperAccount, Prices
from ffe.venues.paper_valuation import home

_STOPS = frozenset({"STOP_LOSS_ORDER", "TRAILING_STOP_LOSS_ORDER"})


class Book(PaperAccount):
    """Keeps no lines; hands out what was executed since it was last asked."""

    _executed: list[tuple[Execution, Decimal]] = PrivateAttr(default_factory=list)

    def add(self, kind: LineKind, key: str, body: BaseModel | str) -> str:
        del kind, key
        self.number += 1
        if isinstance(body, Booked) and body.execution is not None:
            self._executed.append((body.execution, body.moved[HOME]))
        return self.name_of(self.number)

    def executed(self) -> list[tuple[Execution, Decimal]]:
        """With what each did to the home currency."""
        news, self._executed = self._executed, []
        return news


class Account:
    """`trips` by symbol of what is held; `gained` by symbol is all that fills did to the home currency; `rows` of ended trips."""

    def __init__(self, market: Market, capital: Decimal, slippage_bps: Decimal) -> None:
        self.venue, self.market = market.venue, market
        self.instruments: Sequence[Instrument] = [tape.instrument for tape in market.tapes.values()]
        self.desk: Desk = DESKS[market.venue](market.venue, f"replay-{market.venue}", slippage_bps)
        self.book = Book(book=f"replay-{market.venue}", cash={HOME: capital})
        self.capital, self.marks, self.closed = capital, Marks(), Closed()
        self.trips: dict[str, Trip] = {}
        self.gained: dict[str, Decimal] = dict.fromkeys(market.tapes, ZERO)
        self.rows: list[tuple[int, int, dict[str, Any]]] = []
        self.fills: list[Filled] = []
        self._order: TradePlan | None = None

    def prices(self, now: datetime, traded: Sequence[Instrument] = ()) -> Prices:
        """Of everything that is held, and of what is to be traded."""
        symbols = {*self.trips, *(item.symbol for item in traded)}
        return self.market.prices(symbols, now) if traded else self.market.glance(symbols, now)

    def state(self, prices: Prices) -> AccountState:
        known = [item for item in self.instruments if item.symbol in prices.sheets]
        return self.desk.state(self.book, known, prices)

    def look(self, prices: Prices, moment: int) -> None:
        """Meets what rests with these prices."""
        if self.book.resting:
            self.desk.settle(self.book, prices)
            self._book(prices, moment)

    def guard(self, prices: Prices) -> None:
        """Puts back protection that went for a close which the desk then refused, as reconciliation does."""
        for trip in self.trips.values():
            if not self.book.protecting(trip.order_id):
                self._protect(trip, prices)

    def _protect(self, trip: Trip, prices: Prices) -> None:
        entry, units = trip.entry, trip.holding.units
        wanted = Protection(
            client_order_id=f"{trip.order_id}-{self.book.number}",
            entry_client_order_id=trip.order_id,
            instrument=entry.instrument,
            side=Side.SELL if units > 0 else Side.BUY,
            units=abs(units),
            stop_loss=entry.stop_loss,
            take_profit=entry.take_profit,
            trailing_distance=entry.trailing_distance,
        )
        self.desk.protect(self.book, wanted, prices)

    def fill(self, plan: TradePlan, prices: Prices, moment: int) -> VenueOrder:
        """One order at the desk, as the paper broker sends it."""
        request = plan.request
        if self.desk.capabilities.protection_holds_units:
            going = [order for order in self.book.resting if order.id in request.cancel_first]
            self.book.end(going, "CANCELLED")
        self._order = plan
        order_id = self.book.add(LineKind.SENT, request.client_order_id, request)
        order = self.desk.fill(self.book, request, order_id, prices)
        if order.state is OrderState.FILLED and plan.sizing is not None:
            symbol, row = request.instrument, self.market.tapes[request.instrument].row
            self.trips[symbol] = entered(self.trips.get(symbol), plan.intent, plan.sizing, prices.now, row)
            self.closed.first_fill(symbol)
        self._book(prices, moment)
        self._order = None
        return order

    def _book(self, prices: Prices, moment: int) -> None:
        for execution, moved in self.book.executed():
            self._play(execution, moved, prices, moment)

    def _play(self, execution: Execution, moved: Decimal, prices: Prices, moment: int) -> None:
        symbol, fill = execution.instrument, execution.fill
        trip, tape, quote = self.trips[symbol], self.market.tapes[symbol], prices.sheets[symbol].quote
        leg = Leg.PROTECTION if self._order is None else self._order.intent.leg
        reason = ExitReason.SIGNAL if self._order is not None else _reason(execution, trip, quote)
        played = Played(
            order_id=execution.venue_order_id,
            decision_id=trip.entry.decision_id,
            leg=leg,
            side=execution.side,
            units=fill.units,
            price=fill.price,
            fee=fill.fee,
            quoted=fill.fee_currency == tape.instrument.quote,
            time=fill.time,
        )
        trip.play(played, moved, quote, self.to_home(tape, prices))
        self.gained[symbol] += moved
        self.fills.append(Filled(moment, symbol, leg, execution.side, fill.units, fill.price, fill.fee, fill.time))
        if trip.flat:
            self._end(trip, tape, reason, fill.time, moment)

    def _end(self, trip: Trip, tape: Tape, reason: ExitReason, at: datetime, moment: int) -> None:
        del self.trips[tape.symbol]
        self.closed.add(tape.symbol, trip.played)
        self.rows.append((moment, tape.index, trip.row(reason, int(at.timestamp()), tape.row)))

    def to_home(self, tape: Tape, prices: Prices) -> Decimal:
        """What a position's value in the instrument's quote currency counts in home money."""
        if tape.instrument.quote == HOME:
            return Decimal(1)
        return prices.conversions[tape.instrument.quote].position

    def worth(self, symbol: str, prices: Prices) -> Decimal:
        """What a close of what is held would bring to the home currency: a wallet's units at the bid, a trade's profit."""
        trip, quote, tape = self.trips[symbol], prices.sheets[symbol].quote, self.market.tapes[symbol]
        if not self.desk.capabilities.margin:
            return trip.holding.units * quote.bid
        held = [trade for trade in self.book.trades if trade.instrument == symbol]
        return sum(
            (
                home(tape.instrument.quote, (_closing(trade.units, quote) - trade.price) * trade.units, prices)
                for trade in held
            ),
            ZERO,
        )

    def profit(self, symbol: str, prices: Prices) -> Decimal:
        """Realised and not, since the start, net of costs."""
        return self.gained[symbol] + (self.worth(symbol, prices) if symbol in self.trips else ZERO)

    def profits(self, prices: Prices) -> dict[str, Decimal]:
        """By symbol. With `capital` they add up to the equity that `Desk.state` says."""
        return {symbol: self.profit(symbol, prices) for symbol in self.gained}

    def value(self, symbol: str, prices: Prices) -> Decimal:
        """Signed value held at the closing side, home money."""
        trip = self.trips.get(symbol)
        if trip is None:
            return ZERO
        tape, units = self.market.tapes[symbol], trip.holding.units
        return units * _closing(units, prices.sheets[symbol].quote) * self.to_home(tape, prices)


def _closing(units: Decimal, quote: Quote) -> Decimal:
    return closing_price(Side.SELL if units > 0 else Side.BUY, quote)


def _reason(execution: Execution, trip: Trip, quote: Quote) -> ExitReason:
    """A bracket does not say which of its prices was met: the stop is looked at first."""
    stop = trip.entry.stop_loss
    if execution.cause in _STOPS:
        return ExitReason.STOP
    if execution.cause != "BRACKET" or stop is None:
        return ExitReason.TARGET
    return ExitReason.STOP if quote.bid <= stop else ExitReason.TARGET
