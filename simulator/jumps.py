"""A market that can be made to jump: from a moment on, prices of one instrument are a factor higher or lower. Kept with the venue's state.

A bar that contains the jump opens before it and closes after it, and reaches both: its extremes are taken as wide as they can have been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ffe.money import round_nearest
from simulator.market import Market, Ohlc, SimBar, SimQuote
from simulator.state import Table


@dataclass(frozen=True)
class Jump:
    symbol: str
    at: datetime
    factor: Decimal


class JumpingMarket:
    """`market` with its jumps on top; prices are rounded to `ticks` by symbol. Is itself a `Market`."""

    def __init__(self, market: Market, jumps: Table[Jump], ticks: Mapping[str, Decimal]) -> None:
        self._market, self._jumps, self._ticks = market, jumps, ticks

    @property
    def key(self) -> str:
        return self._market.key

    def symbols(self) -> Sequence[str]:
        return self._market.symbols()

    def start(self) -> datetime:
        return self._market.start()

    def jump(self, symbol: str, at: datetime, factor: Decimal) -> None:
        """From `at` on, on top of the jumps before. Must be called in a transaction of the state."""
        self._jumps.put(str(len(self._jumps) + 1), Jump(symbol, at, factor))

    def bars(self, symbol: str, seconds: int, start: datetime, end: datetime) -> list[SimBar]:
        bars = self._market.bars(symbol, seconds, start, end)
        if not any(jump.symbol == symbol for jump in self._jumps.values()):
            return bars
        step = timedelta(seconds=seconds)
        return [self._moved(symbol, bar, min(bar.time + step, end)) for bar in bars]

    def quote(self, symbol: str, at: datetime) -> SimQuote | None:
        quote, factor = self._market.quote(symbol, at), self._factor(symbol, at)
        if quote is None or factor == 1:
            return quote
        tick = self._ticks[symbol]
        bid, ask = round_nearest(quote.bid * factor, tick), round_nearest(quote.ask * factor, tick)
        return SimQuote(bid, ask, quote.time, quote.open)

    def _factor(self, symbol: str, at: datetime) -> Decimal:
        factor = Decimal(1)
        for jump in self._jumps.values():
            if jump.symbol == symbol and jump.at <= at:
                factor *= jump.factor
        return factor

    def _moved(self, symbol: str, bar: SimBar, closed: datetime) -> SimBar:
        first, last = self._factor(symbol, bar.time), self._factor(symbol, closed - timedelta.resolution)
        if first == last == 1:
            return bar
        tick = self._ticks[symbol]
        trade, bid, ask = (_moved(side, first, last, tick) for side in (bar.trade, bar.bid, bar.ask))
        middle = None if bar.middle is None else _moved(bar.middle, first, last, tick)
        return SimBar(bar.time, trade, bid, ask, bar.volume, middle)


def _moved(side: Ohlc, first: Decimal, last: Decimal, tick: Decimal) -> Ohlc:
    high, low = side.high * max(first, last), side.low * min(first, last)
    prices = (side.open * first, high, low, side.close * last)
    return Ohlc(*(round_nearest(price, tick) for price in prices))
