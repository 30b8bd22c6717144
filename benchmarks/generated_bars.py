"""A seeded random walk as bars: for benchmarks and property tests only, of no use as evidence about any strategy.

Times are those that the market's calendar expects, so forex has its weekends. Prices lie on a venue-like grid, bars open near the close
before, and every bar has a range; the walk's volatility is a plausible one for its market and grows with the root of the timeframe.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.replay.bars import make_bars, middle
from ffe.replay.models import Bars, Floats, Ints

_START = datetime(2016, 1, 4, tzinfo=UTC)
_STEPS = 8
# Price, decimals, half spread in steps of the last decimal, deviation of a minute's log return.
_CRYPTO = 8_000.0, 2, 40, 6e-4
_FOREX = 1.2, 5, 6, 8e-5
_YEN = 120.0, 3, 6, 8e-5


def generated(instrument: Instrument, timeframe: Timeframe, n: int, seed: int) -> Bars:
    """n bars from 2016-01-04 on; the same for the same arguments. A million take seconds."""
    level, places, half, sigma = _shape(instrument)
    random = np.random.default_rng(seed)
    minutes = timeframe.seconds / 60
    steps = random.standard_normal((n, _STEPS)) * sigma * np.sqrt(minutes / _STEPS)
    walk = level * np.exp(_kept(np.cumsum(steps.ravel()))).reshape(n, _STEPS)
    counts = np.maximum(np.rint(_ohlc(walk, level) * 10.0**places), 2 * half + 1)
    spread = half + random.integers(0, half, (n, 1))
    bid, ask = (counts - spread) / 10.0**places, (counts + spread) / 10.0**places
    volume = np.round(np.exp(random.standard_normal(n)) * 5 * minutes, 8)
    times = _times(instrument, timeframe, n)
    return make_bars(
        instrument, timeframe, times, middle(bid, ask, places), bid, ask, volume=volume, places=places, quoted=True
    )


def _shape(instrument: Instrument) -> tuple[float, int, int, float]:
    if instrument.asset_class is AssetClass.CRYPTO:
        return _CRYPTO
    return _YEN if instrument.quote == "JPY" else _FOREX


def _kept(path: Floats) -> Floats:
    """The walk folded back at a factor of e either way, so that ten million bars end neither at zero nor at the moon."""
    return 1.0 - np.abs((path + 1.0) % 4.0 - 2.0)


def _ohlc(walk: Floats, level: float) -> Floats:
    opens = np.concatenate(([level], walk[:-1, -1]))
    return np.column_stack(
        (opens, np.maximum(opens, walk.max(axis=1)), np.minimum(opens, walk.min(axis=1)), walk[:, -1])
    )


def _times(instrument: Instrument, timeframe: Timeframe, n: int) -> Ints:
    calendar, span = calendar_for(instrument), n * timeframe.duration
    opens = calendar.expected_opens(timeframe, _START, _START + span)
    while opens.size < n:
        span = span * 1.5 + timedelta(days=7)
        opens = calendar.expected_opens(timeframe, _START, _START + span)
    return opens[:n].astype("datetime64[s]").astype(np.int64)
