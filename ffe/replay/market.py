"""The market that a replay trades at: the recorded quotes of one venue as paper's `MarketData`, at the moment it was moved to.

A quote is what somebody meets right after the close of an instrument's newest bar. While the market was closed at that close nothing
is met there, as at the venue. Prices are turned back into the Decimals that were printed.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from ffe.clock import rfc3339
from ffe.errors import ConfigurationError, VenueReadError
from ffe.market.models import INSTRUMENTS, AssetClass, Instrument
from ffe.money import ZERO, from_float
from ffe.replay.models import ASK, BID, HIGH, LOW, OPEN, Feed, Gate
from ffe.venues.models import Conversion, InstrumentSpec, Quote
from ffe.venues.paper_models import HOME, Prices, Sheet
from ffe.venues.paper_prices import read_prices

_ONE = Conversion(gain=Decimal(1), loss=Decimal(1), position=Decimal(1))


class Tape:
    """One feed and how far it has been played: `row` is the newest closed bar, -1 before the first."""

    def __init__(self, feed: Feed, index: int) -> None:
        self.feed, self.index, self.row = feed, index, -1
        self.instrument: Instrument = feed.bars.instrument
        self.symbol, self.spec, self._places = self.instrument.symbol, feed.spec, feed.bars.places
        self._shown: tuple[int, Quote] | None = None
        self._sheet: Sheet | None = None

    def price(self, value: float) -> Decimal:
        """The Decimal that was printed."""
        return from_float(value, self._places)

    def quote(self, now: datetime) -> Quote:
        """After the newest bar's close.

        Raises:
            VenueReadError: no bar has closed yet.
        """
        if self.row < 0:
            raise VenueReadError(f"no bar of {self.symbol} has closed by {rfc3339(now)}", transient=False)
        if self._shown is None or self._shown[0] != self.row:
            after = self.feed.bars.after[self.row]
            closed = self.feed.gates[self.row] == Gate.MARKET_HOURS
            self._shown = (self.row, self._quoted(self.price(after[BID]), self.price(after[ASK]), now, not closed))
        return self._shown[1]

    def sheet(self, now: datetime) -> Sheet:
        """`quote` with the venue's rules."""
        quote = self.quote(now)
        if self._sheet is None or self._sheet.quote is not quote:
            self._sheet = Sheet(quote=quote, spec=self.spec)
        return self._sheet

    def opening(self, now: datetime) -> Quote:
        """At the open of the newest bar."""
        bars = self.feed.bars
        bid, ask = self.price(bars.bid[self.row, OPEN]), self.price(bars.ask[self.row, OPEN])
        return self._quoted(bid, ask, now, tradeable=True)

    def at_level(self, level: Decimal, now: datetime, *, long: bool) -> Quote:
        """When the closing side stood at `level` within the newest bar; the other side as far away as at the bar's open."""
        spread = max(ZERO, self.opening(now).spread)
        bid, ask = (level, level + spread) if long else (level - spread, level)
        return self._quoted(bid, ask, now, tradeable=True)

    def reach(self, *, long: bool) -> tuple[float, float]:
        """Worst and best price of the closing side within the newest bar."""
        bars = self.feed.bars
        if long:
            return float(bars.bid[self.row, LOW]), float(bars.bid[self.row, HIGH])
        return float(bars.ask[self.row, HIGH]), float(bars.ask[self.row, LOW])

    def _quoted(self, bid: Decimal, ask: Decimal, now: datetime, tradeable: bool) -> Quote:
        status = "tradeable" if tradeable else "closed"
        return Quote(instrument=self.symbol, bid=bid, ask=ask, time=now, tradeable=tradeable, status=status)


class Market:
    """One venue's instruments. `ffe.venues.paper_data.MarketData`, and the sheets that a look needs."""

    def __init__(self, venue: str, tapes: Sequence[Tape]) -> None:
        self.venue, self.now = venue, datetime.fromtimestamp(0, UTC)
        self.tapes = {tape.symbol: tape for tape in tapes}
        self._margin = venue == "oanda"

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        return self.tapes[instrument.symbol].spec

    def quote(self, instrument: Instrument) -> Quote:
        return self.tapes[instrument.symbol].quote(self.now)

    def close(self) -> None:
        """Nothing is open."""

    def prices(self, symbols: Iterable[str], now: datetime) -> Prices:
        """What a trade in `symbols` needs, as paper reads it.

        Raises:
            VenueReadError: one of them, or of the pairs that convert, has no bar yet.
        """
        self.now = now
        return read_prices(self, symbols, (), now, margin=self._margin)

    def glance(self, symbols: Iterable[str], now: datetime) -> Prices:
        """`prices` without conversions that no profit needs, where everything is quoted in home money."""
        tapes = [self.tapes[symbol] for symbol in symbols]
        if any(tape.instrument.quote != HOME for tape in tapes):
            return self.prices((tape.symbol for tape in tapes), now)
        return Prices(sheets={tape.symbol: tape.sheet(now) for tape in tapes}, conversions={HOME: _ONE}, now=now)


def only(prices: Prices, symbol: str, quote: Quote) -> Prices:
    """`prices` as they were when `symbol` stood at `quote` and nothing else could be traded."""
    sheets = {
        name: sheet.model_copy(update={"quote": sheet.quote.model_copy(update={"tradeable": False})})
        for name, sheet in prices.sheets.items()
        if name != symbol
    }
    sheets[symbol] = Sheet(quote=quote, spec=prices.sheets[symbol].spec)
    return prices.model_copy(update={"sheets": sheets, "now": quote.time})


def check_currencies(instruments: Sequence[Instrument]) -> None:
    """Whether everything can be counted in the home currency.

    Raises:
        ConfigurationError: a spot pair that is not quoted in it, or no bars of a pair that converts to it.
    """
    known = {instrument.symbol for instrument in instruments}
    for instrument in instruments:
        if instrument.asset_class is AssetClass.CRYPTO:
            if instrument.quote != HOME:
                raise ConfigurationError(
                    f"{instrument.symbol} is quoted in {instrument.quote}; replay's wallet holds {HOME}"
                )
            continue
        for currency in (instrument.base, instrument.quote):
            name = _converting(currency)
            if name is not None and name not in known:
                raise ConfigurationError(f"{instrument.symbol} needs bars of {name}, to count {currency} in {HOME}")


def _converting(currency: str) -> str | None:
    if currency == HOME:
        return None
    return f"{currency}{HOME}" if f"{currency}{HOME}" in INSTRUMENTS else f"{HOME}{currency}"
