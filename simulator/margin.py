"""The margin account at OANDA: trades, netting first in first out, margin, profit and loss in the home currency.

Formulas are the venue's own: margin = |units| x (base -> home) x rate; profit in the quote currency x its gain factor, loss x its loss
factor; equity (NAV) = balance + unrealised profit at the closing side of the spread. Amounts of money are booked at four decimals.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from ffe.money import ZERO
from simulator.book import Book
from simulator.instruments import HOME, ForexPair
from simulator.market import SimQuote
from simulator.web import Json

CENT = Decimal("0.0001")
OPENING_BALANCE = Decimal("100000.0000")


@dataclass(frozen=True)
class Balance:
    """`profit` is everything ever realised: balance = opening balance + profit."""

    account_id: str
    created: datetime
    balance: Decimal
    profit: Decimal = ZERO
    last_fill: datetime | None = None


@dataclass(frozen=True)
class Trade:
    """Units are signed: negative is short. `stop_id` and `target_id` name its pending protection orders."""

    id: str
    instrument: str
    price: Decimal
    opened: datetime
    initial_units: Decimal
    units: Decimal
    margin: Decimal
    client: Json | None = None
    realized: Decimal = ZERO
    closed_value: Decimal = ZERO
    closed_units: Decimal = ZERO
    closing_ids: tuple[str, ...] = ()
    closed_at: datetime | None = None
    stop_id: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class Conversion:
    """Factors from a currency to the home currency."""

    gain: Decimal
    loss: Decimal
    position: Decimal


class NoPriceError(Exception):
    """An open trade that the market can't value at this moment."""


def money(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_EVEN)


class MarginAccount:
    """Reads and changes the account's rows; it knows nothing of orders or of HTTP."""

    def __init__(self, book: Book, account_id: str) -> None:
        self.book = book
        self._balance = book.state.table("oanda_balance", Balance)
        self.trades = book.state.table("oanda_trade", Trade)
        if self._balance.get("home") is None:
            with book.state.atomic():
                self._balance.put("home", Balance(account_id, book.clock.now(), OPENING_BALANCE))

    @property
    def row(self) -> Balance:
        return self._balance["home"]

    def open_trades(self, instrument: str | None = None) -> list[Trade]:
        """Oldest first."""
        return [t for t in self.trades.values() if t.units != 0 and instrument in (None, t.instrument)]

    def position(self, instrument: str) -> Decimal:
        return sum((trade.units for trade in self.open_trades(instrument)), ZERO)

    def conversion(self, currency: str) -> Conversion | None:
        """From the market's own pairs with the home currency; None where it has neither or no price yet."""
        if currency == HOME:
            return Conversion(Decimal(1), Decimal(1), Decimal(1))
        direct, inverse = self.book.pairs.get(f"{currency}_{HOME}"), self.book.pairs.get(f"{HOME}_{currency}")
        pair = direct or inverse
        quote = None if pair is None else self.book.quote(pair.symbol)
        if quote is None:
            return None
        mid = (quote.bid + quote.ask) / 2
        if direct is not None:
            return Conversion(quote.bid, quote.ask, mid)
        return Conversion(_inverse(quote.ask), _inverse(quote.bid), _inverse(mid))

    def home(self, currency: str, amount: Decimal) -> Decimal:
        """Profit or loss in `currency` as home money."""
        factors = self.factors(currency)
        return money(amount * (factors.gain if amount > 0 else factors.loss))

    def margin(self, pair: ForexPair, units: Decimal) -> Decimal:
        return money(abs(units) * self.factors(pair.base).position * pair.margin_rate)

    def factors(self, currency: str) -> Conversion:
        """Raises NoPriceError where `conversion` has none."""
        factors = self.conversion(currency)
        if factors is None:
            raise NoPriceError(f"the market has no {currency}/{HOME} price")
        return factors

    def quote(self, pair: ForexPair) -> SimQuote:
        """Raises NoPriceError before the market's first quote."""
        quote = self.book.quote(pair.symbol)
        if quote is None:
            raise NoPriceError(f"the market has no {pair.name} price")
        return quote

    def convertible(self, pair: ForexPair) -> bool:
        return self.conversion(pair.base) is not None and self.conversion(pair.quote) is not None

    def margin_used(self) -> Decimal:
        pairs = self.book.pairs
        return sum((self.margin(pairs[trade.instrument], trade.units) for trade in self.open_trades()), ZERO)

    def unrealized(self, trade: Trade) -> Decimal:
        pair = self.book.pairs[trade.instrument]
        quote = self.quote(pair)
        price = quote.bid if trade.units > 0 else quote.ask
        return self.home(pair.quote, (price - trade.price) * trade.units)

    def equity(self) -> Decimal:
        return self.row.balance + sum((self.unrealized(trade) for trade in self.open_trades()), ZERO)

    def available(self) -> Decimal:
        return max(ZERO, self.equity() - self.margin_used())

    def reduce(self, trade: Trade, units: Decimal, price: Decimal, fill_id: str, at: datetime) -> tuple[Trade, Decimal]:
        """Closes `units` (signed like the trade) of it at `price`; books and returns the realised profit."""
        pair = self.book.pairs[trade.instrument]
        profit = self.home(pair.quote, (price - trade.price) * units)
        left = trade.units - units
        row = replace(
            trade,
            units=left,
            realized=trade.realized + profit,
            closed_value=trade.closed_value + price * abs(units),
            closed_units=trade.closed_units + abs(units),
            closing_ids=(*trade.closing_ids, fill_id),
            closed_at=at if left == 0 else None,
        )
        balance = self.row
        self._balance.put("home", replace(balance, balance=balance.balance + profit, profit=balance.profit + profit))
        return self.trades.put(trade.id, row), profit

    def filled(self, at: datetime) -> None:
        self._balance.put("home", replace(self.row, last_fill=at))


def _inverse(price: Decimal) -> Decimal:
    return (1 / price).quantize(Decimal("1E-10"))
