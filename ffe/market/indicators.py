"""Indicators, thin over TA-Lib: each at every bar of a series (`*_series`) and at the newest bar. Arrays are float64, oldest first.

A value at one bar uses that bar and the ones before it, never a later one, so a series over history is what each of its bars would have
seen. Undefined is NaN in a series and None at the newest bar, never a neutral number in disguise: too few bars, a value that is no
number anywhere before, or a market that did not move (RSI, Bollinger position and stochastic divide by the range).
The newest bar's value is the last of the series: what replay reads and what a cycle reads can't drift apart.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import talib

Series = npt.NDArray[np.float64]

RSI_BARS = 15
MACD_BARS = 34
BOLLINGER_BARS = 20
ADX_BARS = 28
ATR_BARS = 15
STOCHASTIC_BARS = 18
STOCHASTIC_WINDOW = 14


def rsi_series(close: Series) -> Series:
    """Wilder's RSI over 14 bars, 0 to 100, at every bar; undefined until the price has moved at all."""
    return _causal(_rsi, RSI_BARS, close)


def rsi(close: Series) -> float | None:
    """`rsi_series` at the newest bar."""
    return _last(rsi_series(close))


def macd_histogram_series(close: Series) -> Series:
    """MACD 12/26 minus its 9-bar signal, in price units, at every bar."""
    return _causal(lambda values: talib.MACD(values, 12, 26, 9)[2], MACD_BARS, close)


def macd_histogram(close: Series) -> float | None:
    """`macd_histogram_series` at the newest bar."""
    return _last(macd_histogram_series(close))


def bollinger_position_series(close: Series) -> Series:
    """Where each close stands in its 20-bar, two-deviation band: 0 at the lower edge, 1 at the upper, beyond when outside."""
    return _causal(_bollinger_position, BOLLINGER_BARS, close)


def bollinger_position(close: Series) -> float | None:
    """`bollinger_position_series` at the newest bar."""
    return _last(bollinger_position_series(close))


def adx_series(high: Series, low: Series, close: Series) -> Series:
    """Wilder's ADX over 14 bars, 0 to 100, at every bar: strength of a trend, whatever its direction."""
    return _causal(partial(talib.ADX, timeperiod=14), ADX_BARS, high, low, close)


def adx(high: Series, low: Series, close: Series) -> float | None:
    """`adx_series` at the newest bar."""
    return _last(adx_series(high, low, close))


def atr_series(high: Series, low: Series, close: Series) -> Series:
    """Wilder's average true range over 14 bars, in price units, at every bar."""
    return _causal(partial(talib.ATR, timeperiod=14), ATR_BARS, high, low, close)


def atr(high: Series, low: Series, close: Series) -> float | None:
    """`atr_series` at the newest bar."""
    return _last(atr_series(high, low, close))


def stochastic_series(high: Series, low: Series, close: Series) -> Series:
    """Slow %K of the 14/3/3 stochastic at every bar: where the close stands in the 14-bar range, mean of three bars, 0 to 100."""
    return _causal(_stochastic, STOCHASTIC_BARS, high, low, close)


def stochastic(high: Series, low: Series, close: Series) -> float | None:
    """`stochastic_series` at the newest bar."""
    return _last(stochastic_series(high, low, close))


def ema_series(values: Series, period: int) -> Series:
    """Exponential moving average at every bar, seeded with the mean of the first `period`."""
    return _causal(partial(talib.EMA, timeperiod=period), period, values)


def ema(values: Series, period: int) -> float | None:
    """`ema_series` at the newest bar."""
    return _last(ema_series(values, period))


def _rsi(close: Series) -> Series:
    moved = np.maximum.accumulate(close) > np.minimum.accumulate(close)
    return np.where(moved, talib.RSI(close, timeperiod=14), np.nan)


def _bollinger_position(close: Series) -> Series:
    """Each window is taken relative to its own close and range: TA-Lib's running variance loses digits where the level is high
    and the range small, and takes a variance below 1e-14 for zero."""
    windows = np.lib.stride_tricks.sliding_window_view(close, BOLLINGER_BARS)
    span = np.ptp(windows, axis=1)
    scaled = (windows - windows[:, -1:]) / np.where(span > 0, span, np.nan)[:, np.newaxis]
    position = 0.5 - scaled.mean(axis=1) / (4 * scaled.std(axis=1))
    return np.concatenate([np.full(BOLLINGER_BARS - 1, np.nan), position])


def _stochastic(high: Series, low: Series, close: Series) -> Series:
    """A window without any range has no %K, and spoils the mean of three bars that it is part of."""
    top, bottom = talib.MAX(high, STOCHASTIC_WINDOW), talib.MIN(low, STOCHASTIC_WINDOW)
    flat = talib.MAX((top == bottom).astype(np.float64), 3) > 0
    slow, _ = talib.STOCH(high, low, close, fastk_period=STOCHASTIC_WINDOW, slowk_period=3, slowd_period=3)
    return np.where(flat, np.nan, slow)


def _causal(compute: Callable[..., Any], bars: int, *series: Series) -> Series:
    """`compute` over the stretch before the first value that is no number, if it has at least `bars`; NaN elsewhere."""
    known = np.logical_and.accumulate(np.logical_and.reduce([np.isfinite(values) for values in series]))
    values, count = np.full(known.size, np.nan), int(known.sum())
    if count >= bars:
        values[:count] = compute(*(each[:count] for each in series))
    return values


def _last(values: Series) -> float | None:
    return float(values[-1]) if values.size and np.isfinite(values[-1]) else None
