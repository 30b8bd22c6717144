"""Minutes as integer columns: what both markets keep, slice and aggregate; Decimals are made only for the rows that are asked for.

A price is an integer count of 10**-places, so it is exact and a folder of 75 000 rows loads without 75 000 Decimals.
OHLC columns are arrays of shape (n, 4) in the order open, high, low, close.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from simulator.hours import Ints
from simulator.market import Ohlc, SimBar, SimQuote

MINUTE = 60
_FIVE_MINUTES = 300
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Two-sided buckets: `times` are opens in epoch seconds, strictly increasing; `bid` and `ask` count 10**-places."""

    times: Ints
    bid: Ints
    ask: Ints
    places: int

    def rows(self, pick: slice | Ints) -> "Sides":
        return Sides(self.times[pick], self.bid[pick], self.ask[pick], self.places)

    def timed(self, times: Ints) -> "Sides":
        """The same rows at other times."""
        return Sides(times, self.bid, self.ask, self.places)

    def quote(self, at: datetime, seconds: int, *, is_open: bool) -> SimQuote | None:
        """Top of book from the newest bucket that began at or before `at`: its open while it runs, then its close."""
        moment = epoch(at)
        row = int(np.searchsorted(self.times, moment, side="right")) - 1
        if row < 0:
            return None
        column = 0 if moment < self.times[row] + seconds else 3
        bid, ask = (_decimal(int(side[row, column]), self.places) for side in (self.bid, self.ask))
        return SimQuote(bid=bid, ask=ask, time=min(at, moment_of(int(self.times[row]) + seconds)), open=is_open)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Two-sided buckets with a trade side and a volume: everything a `SimBar` holds, for n buckets.

    `middle` has one decimal place more than the sides; minutes have none.
    """

    sides: Sides
    trade: Ints
    trade_places: int
    volume: Ints
    volume_places: int
    middle: Ints | None = None

    @property
    def times(self) -> Ints:
        return self.sides.times

    def rows(self, pick: slice | Ints) -> "Columns":
        middle = None if self.middle is None else self.middle[pick]
        trade, volume = self.trade[pick], self.volume[pick]
        return Columns(self.sides.rows(pick), trade, self.trade_places, volume, self.volume_places, middle)

    def timed(self, times: Ints) -> "Columns":
        """The same rows at other times."""
        return replace(self, sides=self.sides.timed(times))

    def middles(self) -> Ints:
        """`middle`, or halfway between the sides where the rows are minutes."""
        return mid(self.sides)[0] if self.middle is None else self.middle

    def between(self, start: int, end: int) -> "Columns":
        """Buckets whose open lies in [start, end), epoch seconds."""
        first, last = np.searchsorted(self.times, (start, end))
        return self.rows(slice(int(first), int(last)))

    def bucket(self, seconds: int) -> "Columns":
        """Aggregated into UTC-aligned buckets of `seconds`; a bucket without any row is missing."""
        if self.times.size == 0:
            return self
        opens = self.times // seconds * seconds
        starts = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
        sides = Sides(opens[starts], _ohlc(self.sides.bid, starts), _ohlc(self.sides.ask, starts), self.sides.places)
        volume = np.add.reduceat(self.volume, starts)
        middle = _ohlc(self.middles(), starts)
        return Columns(sides, _ohlc(self.trade, starts), self.trade_places, volume, self.volume_places, middle)

    def records(self) -> list[SimBar]:
        """One `SimBar` a row, exact."""
        places = self.sides.places
        middles: list[list[int] | None] = [None] * len(self.times) if self.middle is None else self.middle.tolist()
        rows = zip(self.times.tolist(), self.trade.tolist(), self.sides.bid.tolist(), self.sides.ask.tolist(),
                   self.volume.tolist(), middles, strict=True)  # fmt: skip
        return [
            SimBar(
                time=moment_of(time),
                trade=_prices(trade, self.trade_places),
                bid=_prices(bid, places),
                ask=_prices(ask, places),
                volume=_decimal(volume, self.volume_places),
                middle=None if middle is None else _prices(middle, places + 1),
            )
            for time, trade, bid, ask, volume, middle in rows
        ]


def concat(parts: list[Columns]) -> Columns:
    """One after the other; all with the same places. At least one part."""
    first = parts[0]
    sides = Sides(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.sides.bid for part in parts]),
        np.concatenate([part.sides.ask for part in parts]),
        first.sides.places,
    )
    trade = np.concatenate([part.trade for part in parts])
    volume = np.concatenate([part.volume for part in parts])
    middle = np.concatenate([part.middles() for part in parts])
    return Columns(sides, trade, first.trade_places, volume, first.volume_places, middle)


def mid(sides: Sides) -> tuple[Ints, int]:
    """Exact mid prices, which need one more decimal place than the sides have."""
    return 5 * (sides.bid + sides.ask), sides.places + 1


def epoch(moment: datetime) -> int:
    """Whole UTC epoch seconds, rounded down; exact for every datetime, before 1970 too."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)


def window(seconds: int, start: datetime, end: datetime) -> tuple[int, int]:
    """Epoch seconds of the first aligned bucket open at or after `start`, and of `end`, both rounded up.

    Raises:
        ValueError: `seconds` is not a whole number of minutes.
    """
    if seconds <= 0 or seconds % MINUTE:
        raise ValueError(f"a bucket of {seconds} s is not a whole number of minutes")
    return -(-_ceil(start) // seconds) * seconds, _ceil(end)


def feed_end(start: datetime, stale_minutes: int) -> int | None:
    """Where a feed that stopped `stale_minutes` before `start` ends, epoch seconds; None when it goes on.

    On a 5-minute boundary, so that the newest complete 5m bar closes there: at `start` it is `stale_minutes` to
    `stale_minutes` + 5 minutes old.

    Raises:
        ValueError: a negative number of minutes.
    """
    if stale_minutes < 0:
        raise ValueError(f"stale_minutes {stale_minutes} is negative")
    if stale_minutes == 0:
        return None
    return (epoch(start) - stale_minutes * MINUTE) // _FIVE_MINUTES * _FIVE_MINUTES


def _ceil(moment: datetime) -> int:
    return -((_EPOCH - moment.astimezone(UTC)) // timedelta(seconds=1))


def _ohlc(prices: Ints, starts: Ints) -> Ints:
    ends = np.append(starts[1:], len(prices)) - 1
    high, low = np.maximum.reduceat(prices[:, 1], starts), np.minimum.reduceat(prices[:, 2], starts)
    return np.column_stack((prices[starts, 0], high, low, prices[ends, 3]))


def moment_of(seconds: int) -> datetime:
    """UTC time of epoch seconds."""
    return _EPOCH + timedelta(seconds=seconds)


def _decimal(count: int, places: int) -> Decimal:
    return Decimal(count).scaleb(-places)


def _prices(counts: list[int], places: int) -> Ohlc:
    return Ohlc(*(_decimal(count, places) for count in counts))
