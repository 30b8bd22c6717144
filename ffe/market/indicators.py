"""Indicators at the newest bar, thin over TA-Lib. Arrays are float64, oldest first; the answer belongs to the last element.

None means "not defined here": too few bars, a NaN among them, or a market that did not move (RSI, Bollinger position and
stochastic divide by the range). None is never a neutral number in disguise. Every value uses only the bars it is given.
"""

import math
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


def rsi(close: Series) -> float | None:
    """Wilder's RSI over 14 bars, 0 to 100."""
    if not _usable(RSI_BARS, close) or np.ptp(close) == 0:
        return None
    return _last(talib.RSI(close, timeperiod=14))


def macd_histogram(close: Series) -> float | None:
    """MACD 12/26 minus its 9-bar signal, in price units."""
    if not _usable(MACD_BARS, close):
        return None
    return _last(talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)[2])


def bollinger_position(close: Series) -> float | None:
    """Where the close stands in the 20-bar, two-deviation band: 0 at the lower edge, 1 at the upper, beyond when outside."""
    if not _usable(BOLLINGER_BARS, close) or np.ptp(close[-20:]) == 0:
        return None
    # The position does not depend on level and unit; TA-Lib's variance does, and takes one below 1e-14 for zero.
    window = (close[-20:] - close[-1]) / np.ptp(close[-20:])
    upper, _, lower = talib.BBANDS(window, timeperiod=20, nbdevup=2, nbdevdn=2)
    return float(-lower[-1] / (upper[-1] - lower[-1]))


def adx(high: Series, low: Series, close: Series) -> float | None:
    """Wilder's ADX over 14 bars, 0 to 100: strength of a trend, whatever its direction."""
    if not _usable(ADX_BARS, high, low, close):
        return None
    return _last(talib.ADX(high, low, close, timeperiod=14))


def atr(high: Series, low: Series, close: Series) -> float | None:
    """Wilder's average true range over 14 bars, in price units."""
    return _last(atr_series(high, low, close)) if _usable(ATR_BARS, high, low, close) else None


def atr_series(high: Series, low: Series, close: Series) -> Series:
    """ATR14 at every bar; NaN until there are 15."""
    return _array(talib.ATR(high, low, close, timeperiod=14))


def stochastic(high: Series, low: Series, close: Series) -> float | None:
    """Slow %K of the 14/3/3 stochastic: where the close stands in the 14-bar range, mean of three bars, 0 to 100."""
    if not _usable(STOCHASTIC_BARS, high, low, close) or _any_flat_window(high, low):
        return None
    lines = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    return _last(lines[0])


def ema(values: Series, period: int) -> Series:
    """Exponential moving average at every bar, seeded with the mean of the first `period`; NaN before that."""
    return _array(talib.EMA(values, timeperiod=period))


def _any_flat_window(high: Series, low: Series) -> bool:
    """Whether one of the three 14-bar windows behind the newest %K has no range at all."""
    ends = range(high.size - 2, high.size + 1)
    return any(bool(np.max(high[end - 14 : end]) == np.min(low[end - 14 : end])) for end in ends)


def _usable(bars: int, *series: Series) -> bool:
    return all(values.size >= bars and bool(np.isfinite(values).all()) for values in series)


def _last(values: Any) -> float | None:
    value = float(values[-1])
    return value if math.isfinite(value) else None


def _array(values: Any) -> Series:
    return np.asarray(values, dtype=np.float64)
