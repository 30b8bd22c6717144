"""From the tables of a folder to one series a symbol and step: a trade side, two quoted sides and a volume in each bucket.

A symbol's bars are its trades, with the two sides of its quotes file where that has the bucket, else one cent either way. A symbol with
two-sided bars only trades at their exact mid, and its volume counts ticks: one, and one more for each price step of the bid's and the
ask's range. Quotes of buckets without a trade still make the top of book: stale trades, live quotes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ffe.errors import CorruptFileError
from simulator.columns import MINUTE, Columns, Sides, mid
from simulator.csvfile import VOLUME_PLACES, Table
from simulator.hours import HOUR, Ints
from simulator.retime import shifted

_CENT_PLACES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One symbol at one step of `seconds`: `bars`, and `tops`, the two-sided buckets of which some may have had no trade."""

    seconds: int
    bars: Columns
    tops: Sides

    def moved(self, weeks: int) -> "Series":
        """The same buckets, whole weeks of New York local time later."""
        if weeks == 0:
            return self
        times, rows = shifted(self.bars.times, weeks)
        bars = self.bars.rows(rows).timed(times)
        times, rows = shifted(self.tops.times, weeks)
        return Series(self.seconds, bars, self.tops.rows(rows).timed(times))

    def until(self, end: int) -> "Series":
        """Only the buckets that were over at `end`, epoch seconds."""
        bars, tops = (slice(0, int(np.searchsorted(times, end - self.seconds, side="right")))
                      for times in (self.bars.times, self.tops.times))  # fmt: skip
        return Series(self.seconds, self.bars.rows(bars), self.tops.rows(tops))


@dataclass(frozen=True, slots=True)
class Scale:
    """Decimal places of a symbol's prices, trades and volumes: the same in all its files, so that its buckets can be joined."""

    sides: int
    trade: int
    volume: int


def build_series(tables: list[Table]) -> tuple[dict[str, Series], dict[str, Series]]:
    """The minute series and the hour series, by symbol. Raises CorruptFileError: two files that overlap in time."""
    by_step: tuple[dict[str, Series], dict[str, Series]] = ({}, {})
    for symbol in sorted({table.symbol for table in tables}):
        mine = [table for table in tables if table.symbol == symbol]
        scale = _scale(mine)
        for result, seconds in zip(by_step, (MINUTE, HOUR), strict=True):
            step = [table for table in mine if table.seconds == seconds]
            if step:
                result[symbol] = _build(step, seconds, scale)
    return by_step


def _scale(tables: list[Table]) -> Scale:
    traded = [table for table in tables if table.kind == "trades"]
    untraded_step = {table.seconds for table in tables} - {table.seconds for table in traded}
    sides = max(table.places for table in tables)
    sides = max(sides, _CENT_PLACES) if traded else sides
    return Scale(sides, sides + 1 if untraded_step else sides, VOLUME_PLACES if traded else 0)


def _build(tables: list[Table], seconds: int, scale: Scale) -> Series:
    traded = [table for table in tables if table.kind == "trades"]
    quoted = _joined([table for table in tables if table.kind != "trades"])
    tops = _quotes(quoted, scale.sides)
    if not traded:
        return Series(seconds, _at_mid(tops, scale), tops)
    bars = _from_trades(_joined(traded), tops, scale)
    return Series(seconds, bars, _union(bars.sides, tops))


def _joined(tables: list[Table]) -> list[Table]:
    """In order of time. Raises CorruptFileError where one begins before the other ends."""
    tables = sorted(tables, key=lambda table: int(table.times[0]))
    for earlier, later in pairwise(tables):
        if later.times[0] <= earlier.times[-1]:
            raise CorruptFileError(f"{later.path}, line 2: begins before {earlier.path} ends")
    return tables


def _counted(tables: Iterable[Table], places: int) -> Ints:
    return np.concatenate([table.prices * 10 ** (places - table.places) for table in tables])


def _quotes(tables: list[Table], places: int) -> Sides:
    if not tables:
        return Sides(np.empty(0, np.int64), np.empty((0, 4), np.int64), np.empty((0, 4), np.int64), places)
    prices = _counted(tables, places)
    return Sides(np.concatenate([table.times for table in tables]), prices[:, :4], prices[:, 4:], places)


def _at_mid(sides: Sides, scale: Scale) -> Columns:
    trade, _ = mid(sides)
    ticks = 1 + sum(side[:, 1] - side[:, 2] for side in (sides.bid, sides.ask))
    return Columns(sides, trade, scale.trade, ticks * 10**scale.volume, scale.volume)


def _from_trades(tables: list[Table], quotes: Sides, scale: Scale) -> Columns:
    times, prices = np.concatenate([table.times for table in tables]), _counted(tables, scale.sides)
    cent = 10 ** (scale.sides - _CENT_PLACES)
    bid, ask = np.maximum(prices - cent, 1), prices + cent
    _, here, there = np.intersect1d(times, quotes.times, assume_unique=True, return_indices=True)
    bid[here], ask[here] = quotes.bid[there], quotes.ask[there]
    volume = np.concatenate([table.volume for table in tables if table.volume is not None])
    trade = prices * 10 ** (scale.trade - scale.sides)
    return Columns(Sides(times, bid, ask, scale.sides), trade, scale.trade, volume, scale.volume)


def _union(first: Sides, second: Sides) -> Sides:
    """Both, in order of time; where both have a bucket, `first`."""
    rest = second.rows(np.flatnonzero(~np.isin(second.times, first.times)))
    times = np.concatenate((first.times, rest.times))
    order = np.argsort(times)
    bid, ask = np.concatenate((first.bid, rest.bid)), np.concatenate((first.ask, rest.ask))
    return Sides(times[order], bid[order], ask[order], first.places)
