"""Longer bars from shorter ones, as the venue itself would print them (`ffe.market.resample`), with what was met right after each."""

import numpy as np
import pandas as pd

from ffe.market.calendar import Calendar
from ffe.market.models import Timeframe
from ffe.market.resample import resample
from ffe.replay.bars import make_bars
from ffe.replay.models import ASK, BID, CLOSE, HIGH, LOW, OPEN, Bars, Floats, Ints


def resampled(bars: Bars, timeframe: Timeframe, calendar: Calendar) -> Bars:
    """Complete UTC-aligned buckets of `timeframe`; a bucket that the bars cut at either end is left out.

    `after` is what the shorter bars say: the open of the one that opens at the bucket's close, else the close of the last one before it.

    Raises:
        ValueError: `timeframe` is not a whole multiple of the bars' own.
    """
    if timeframe is bars.timeframe:
        return bars
    firsts, lasts, times = _buckets(bars, timeframe, calendar)
    mid, bid, ask = (_ohlc(values, firsts, lasts) for values in (bars.mid, bars.bid, bars.ask))
    volume = np.add.reduceat(bars.volume[: lasts[-1] + 1], firsts) if firsts.size else bars.volume[:0]
    after = _after(bars, lasts, times + timeframe.seconds)
    return make_bars(
        bars.instrument,
        timeframe,
        times,
        mid,
        bid,
        ask,
        volume=volume,
        after=after,
        places=bars.places,
        quoted=bars.quoted,
    )


def _buckets(bars: Bars, timeframe: Timeframe, calendar: Calendar) -> tuple[Ints, Ints, Ints]:
    """First and last row of every complete bucket, and when it opens: the engine's own resampling of row numbers."""
    rows = np.arange(len(bars), dtype=np.float64)
    opens = pd.Series(bars.times.astype("datetime64[s]")).dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    found = resample(pd.DataFrame({"time": opens, "open": rows, "close": rows}), bars.timeframe, timeframe, calendar)
    firsts, lasts = (found[name].to_numpy().astype(np.int64) for name in ("open", "close"))
    return firsts, lasts, bars.times[firsts] // timeframe.seconds * timeframe.seconds


def _ohlc(prices: Floats, firsts: Ints, lasts: Ints) -> Floats:
    if not firsts.size:
        return prices[:0]
    kept = prices[: lasts[-1] + 1]
    highs, lows = np.maximum.reduceat(kept[:, HIGH], firsts), np.minimum.reduceat(kept[:, LOW], firsts)
    return np.column_stack((kept[firsts, OPEN], highs, lows, kept[lasts, CLOSE]))


def _after(bars: Bars, lasts: Ints, closes: Ints) -> Floats:
    """Of the last bar in a bucket; where it ends before the bucket does, the open of a bar right at the bucket's end, else its close."""
    after = bars.after[lasts].copy()
    early = np.flatnonzero(bars.closes_at[lasts] < closes)
    for values, side in ((bars.bid, BID), (bars.ask, ASK)):
        after[early, side] = values[lasts[early], CLOSE]
        opening = early[_opens_at(bars, lasts[early] + 1, closes[early])]
        after[opening, side] = values[lasts[opening] + 1, OPEN]
    return after


def _opens_at(bars: Bars, rows: Ints, moments: Ints) -> np.ndarray:
    inside = np.minimum(rows, len(bars) - 1)
    return np.asarray((rows < len(bars)) & (bars.times[inside] == moments))
