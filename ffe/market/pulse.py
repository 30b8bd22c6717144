"""The multi-timeframe pulse: the base bars and every higher timeframe resampled from them, each with its indicators.

Nothing is fetched and nothing is guessed: a frame with too few bars says so in `partial` and leaves the values out.
"""

from collections import Counter

import numpy as np
import pandas as pd

from ffe.decision.models import FramePulse
from ffe.market import indicators
from ffe.market.indicators import Series
from ffe.market.models import Timeframe
from ffe.market.resample import resample

PULSE_TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
UNKNOWN = "unknown"
# Trend: the 9-bar EMA has moved by more than a quarter of an average true range over three bars, and ADX, where there are bars
# enough for it, does not read below 20: Wilder's line between a trending and a ranging market.
TREND_EMA = 9
TREND_BARS = 3
TREND_SLOPE_ATR = 0.25
TREND_ADX = 20.0
# Volatility: ATR as a share of price against its own median over the frame. Half as much again is high, two thirds is low.
VOLATILITY_HIGH = 1.5
VOLATILITY_LOW = 2 / 3
VOLATILITY_BARS = 34
CHANGE_BARS = 12

_NEEDS = (
    ("MACD", indicators.MACD_BARS),
    ("volatility", VOLATILITY_BARS),
    ("ADX", indicators.ADX_BARS),
    ("Bollinger", indicators.BOLLINGER_BARS),
    ("stochastic", indicators.STOCHASTIC_BARS),
    ("RSI, ATR and trend", indicators.ATR_BARS),
    ("change", CHANGE_BARS + 1),
)


def pulse(frame: pd.DataFrame, timeframe: Timeframe) -> tuple[FramePulse, ...]:
    """One `FramePulse` for `timeframe` itself and one for each longer timeframe of `PULSE_TIMEFRAMES`, shortest first.

    `frame` is `to_frame` of checked bars, at least one row. A timeframe without a single complete bar carries the base close,
    `bars` 0 and no values. `change_percent` is the newest close against the close 12 bars before.
    """
    longer = [target for target in PULSE_TIMEFRAMES if target.seconds > timeframe.seconds]
    last = float(frame["close"].iloc[-1])
    return tuple(_frame_pulse(resample(frame, timeframe, target), target, last) for target in (timeframe, *longer))


def consensus(frames: tuple[FramePulse, ...]) -> str:
    """`up 3 of 4 frames`: the trend most frames share, of those that have one; a tie is `mixed`. Frames without one are named."""
    known = Counter(frame.trend for frame in frames if frame.trend != UNKNOWN)
    missing = [frame.timeframe.value for frame in frames if frame.trend == UNKNOWN]
    note = f"; no trend yet on {', '.join(missing)}" if missing else ""
    if not known:
        return f"unknown 0 of 0 frames{note}"
    ranked = known.most_common()
    top, votes = ranked[0]
    if len(ranked) > 1 and ranked[1][1] == votes:
        return f"mixed ({', '.join(f'{count} {trend}' for trend, count in sorted(ranked))}) of {known.total()} frames{note}"
    return f"{top} {votes} of {known.total()} frames{note}"


def _frame_pulse(frame: pd.DataFrame, timeframe: Timeframe, last_close: float) -> FramePulse:
    high, low, close = (frame[name].to_numpy(dtype=np.float64) for name in ("high", "low", "close"))
    adx = indicators.adx(high, low, close)
    return FramePulse(
        timeframe=timeframe,
        bars=close.size,
        close=float(close[-1]) if close.size else last_close,
        trend=_trend(high, low, close, adx),
        volatility=_volatility(high, low, close),
        rsi=indicators.rsi(close),
        macd_histogram=indicators.macd_histogram(close),
        bollinger_position=indicators.bollinger_position(close),
        adx=adx,
        atr=indicators.atr(high, low, close),
        stochastic=indicators.stochastic(high, low, close),
        change_percent=_change(close),
        partial=_partial(close.size),
    )


def _trend(high: Series, low: Series, close: Series, adx: float | None) -> str:
    span = indicators.atr(high, low, close)
    if span is None:
        return UNKNOWN
    average = indicators.ema(close, TREND_EMA)
    slope = float(average[-1] - average[-1 - TREND_BARS])
    ranging = adx is not None and adx < TREND_ADX
    if ranging or abs(slope) <= TREND_SLOPE_ATR * span:
        return "flat"
    return "up" if slope > 0 else "down"


def _volatility(high: Series, low: Series, close: Series) -> str:
    if close.size < VOLATILITY_BARS:
        return UNKNOWN
    share = indicators.atr_series(high, low, close) / close
    newest, usual = float(share[-1]), float(np.nanmedian(share))
    if not usual > 0:
        return UNKNOWN
    if newest > VOLATILITY_HIGH * usual:
        return "high"
    return "low" if newest < VOLATILITY_LOW * usual else "normal"


def _change(close: Series) -> float | None:
    if close.size <= CHANGE_BARS:
        return None
    return float(close[-1] / close[-1 - CHANGE_BARS] - 1) * 100


def _partial(bars: int) -> str | None:
    missing = [f"{name} needs {need}" for name, need in _NEEDS if bars < need]
    return f"{bars} bars; {', '.join(missing)}" if missing else None
