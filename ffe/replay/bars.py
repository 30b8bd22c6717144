"""Bars as arrays: made, cut, digested and handed out as the engine's own tables.

A price is kept as the float64 nearest to its printed decimal and is made through whole counts of the smallest step, so that rounding it
to `Bars.places` (the middle to one more) gives back exactly what was printed.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from ffe.market.calendar import Calendar
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.replay.models import ASK, BID, CLOSE, OPEN, Bars, Floats, Ints
from ffe.sources.models import BAR_SCHEMA, PRICE, QUOTED_BAR_SCHEMA

MOST_PLACES = 10
# Whole numbers above this are not all float64 any more.
EXACT = 2**53
# Of a step, when a price that is only nearly on the grid is rounded away from the middle.
SLACK = 1e-6
VOLUME_PLACES = 8
_CHUNK = 1_000_000
# What a live cycle's source is asked for at a bar's close: one bar more than it keeps, for the one that is still running.
_RUNNING = 1


def make_bars(
    instrument: Instrument,
    timeframe: Timeframe,
    times: Ints,
    *prices: Floats,
    volume: Floats | None = None,
    after: Floats | None = None,
    places: int | None = None,
    quoted: bool,
) -> Bars:
    """`Bars` of `prices` (mid, bid and ask, (n, 4) each) with what can be worked out of them.

    That is `after` from the next bar, `places` from the sides, NaN volumes and the digest.

    Raises:
        ValueError: prices with more than `MOST_PLACES` decimals.
    """
    mid, bid, ask = prices
    known = volume if volume is not None else np.full(times.size, np.nan)
    met = after if after is not None else next_quotes(times, bid, ask, timeframe.seconds)
    digits = places if places is not None else decimals_of(bid, ask)
    return signed(Bars(instrument, timeframe, times, mid, bid, ask, known, met, digits, quoted, ""))


def no_bars(instrument: Instrument, timeframe: Timeframe) -> Bars:
    """Not one bar."""
    none = np.empty((0, 4))
    return make_bars(instrument, timeframe, np.empty(0, np.int64), none, none, none, quoted=False)


def digest(bars: Bars) -> str:
    """sha256 over instrument, timeframe, places and every number."""
    made = hashlib.sha256(f"{bars.instrument.symbol} {bars.timeframe.value} {bars.places} {bars.quoted}".encode())
    for values in (bars.times, bars.mid, bars.bid, bars.ask, bars.volume, bars.after):
        made.update(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
    return made.hexdigest()


def signed(bars: Bars) -> Bars:
    """The same bars with their own digest."""
    return replace(bars, sha256=digest(bars))


def window(bars: Bars, start: int, stop: int) -> Bars:
    """Rows [start, stop). `after` of the last one stays: it was there to be met, whether or not the next bar is kept."""
    rows = slice(start, stop)
    return signed(
        replace(
            bars,
            times=bars.times[rows],
            mid=bars.mid[rows],
            bid=bars.bid[rows],
            ask=bars.ask[rows],
            volume=bars.volume[rows],
            after=bars.after[rows],
        )
    )


def between(bars: Bars, start: datetime | None, end: datetime | None) -> Bars:
    """Bars that open at or after `start` and close by `end`."""
    first = 0 if start is None else int(np.searchsorted(bars.times, start.timestamp(), side="left"))
    last = len(bars) if end is None else int(np.searchsorted(bars.closes_at, end.timestamp(), side="right"))
    return window(bars, first, max(first, last))


def truncated(bars: Bars, n: int) -> Bars:
    """The first n bars as if nothing had come since: whoever trades after the last one meets its close."""
    kept = window(bars, 0, n)
    if not len(kept):
        return kept
    after = kept.after.copy()
    after[-1] = kept.bid[-1, CLOSE], kept.ask[-1, CLOSE]
    return signed(replace(kept, after=after))


def next_quotes(times: Ints, bid: Floats, ask: Floats, seconds: int) -> Floats:
    """Bid and ask right after each bar: the open of the bar that opens at its close, else its own close. (n, 2)"""
    after = np.column_stack((bid[:, CLOSE], ask[:, CLOSE]))
    follows = np.flatnonzero(np.diff(times) == seconds)
    after[follows, BID], after[follows, ASK] = bid[follows + 1, OPEN], ask[follows + 1, OPEN]
    return after


def window_starts(bars: Bars, calendar: Calendar, lookback: int, lag_seconds: float = 20.0) -> Ints:
    """Row of the oldest bar that a live cycle sees at each bar's close. (n)

    A cycle asks its source for the time of `lookback` expected bars and keeps the newest `lookback`: where bars are missing it sees fewer
    (`ffe.cycle.bars.fetch_batch`).
    """
    rows = np.arange(len(bars))
    oldest = np.maximum(rows + 1 - lookback, 0)
    if not len(bars):
        return oldest
    expected = expected_opens(bars, calendar, lag_seconds)
    moments = bars.closes_at + lag_seconds
    wanted = np.searchsorted(expected, moments, side="left") - (lookback + _RUNNING)
    since = np.where(wanted >= 0, expected[np.maximum(wanted, 0)] if expected.size else 0, bars.times[0])
    return np.maximum(oldest, np.minimum(np.searchsorted(bars.times, since, side="left"), rows))


def expected_opens(bars: Bars, calendar: Calendar, lag_seconds: float = 0.0) -> Ints:
    """Opens that the calendar expects from the first bar on to the newest one's close and `lag_seconds` more, epoch seconds."""
    first, last = int(bars.times[0]), float(bars.closes_at[-1]) + lag_seconds
    opens = calendar.expected_opens(bars.timeframe, _moment(first), _moment(last))
    return opens.astype("datetime64[s]").astype(np.int64)


def to_table(bars: Bars, start: int = 0, stop: int | None = None) -> pa.Table:
    """Rows [start, stop) as the live engine has them, exact: crypto in `BAR_SCHEMA`, quoted forex in `QUOTED_BAR_SCHEMA`.

    Where no volume was printed it is 1: a bar is there because of at least one trade or tick.
    """
    rows = slice(start, stop)
    quoted = bars.quoted and bars.instrument.asset_class is AssetClass.FOREX
    volume = np.where(np.isnan(bars.volume[rows]), 1.0, bars.volume[rows])
    columns = [
        pa.array(bars.times[rows] * 1_000_000).cast(pa.timestamp("us", tz="UTC")),
        *(exact(bars.mid[rows, part], bars.places + 1) for part in range(4)),
        exact(volume, _volume_places(volume)),
    ]
    if quoted:
        columns += [exact(side[rows, CLOSE], bars.places) for side in (bars.bid, bars.ask)]
    return pa.table(columns, schema=QUOTED_BAR_SCHEMA if quoted else BAR_SCHEMA)


def exact(values: Floats, places: int) -> pa.Array:
    """decimal128(38, 18) of prices with `places` decimals."""
    counts = np.rint(values * 10.0**places).astype(np.int64)
    wide = np.column_stack((counts, counts >> 63))
    return pa.Array.from_buffers(pa.decimal128(38, places), counts.size, [None, pa.py_buffer(wide)]).cast(PRICE)


def middle(bid: Floats, ask: Floats, places: int) -> Floats:
    """Exactly halfway between the sides, with one decimal more than they have."""
    scale = 10.0**places
    return (np.rint(bid * scale) + np.rint(ask * scale)) * 5 / 10.0 ** (places + 1)


def decimals_of(*prices: Floats) -> int:
    """Most decimals that any of the prices needs.

    Raises:
        ValueError: more than `MOST_PLACES`, or more digits than a float64 holds.
    """
    places = 0
    for values in prices:
        flat = values.ravel()
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            while not on_grid(part, places).all():
                places += 1
                if places > MOST_PLACES:
                    raise ValueError(f"a price has more than {MOST_PLACES} decimals")
    return places


def on_grid(values: Floats, places: int) -> np.ndarray:
    """Whether each value is the float64 nearest to a number of `places` decimals, with room for one more."""
    scale = 10.0**places
    counts = np.rint(values * scale)
    return np.asarray((counts / scale == values) & (np.abs(counts) * 10 < EXACT))


def _volume_places(volume: Floats) -> int:
    largest = float(np.abs(volume).max()) if volume.size else 0.0
    return next(places for places in range(VOLUME_PLACES, -1, -1) if places == 0 or largest * 10.0**places < EXACT)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
