"""The multi-timeframe pulse: six timeframes and the base, each with its indicators, all seen from the base's newest close.

Each frame comes from bars of its own where they were fetched, and passed; a longer one that is not there is resampled from the base.
A shorter frame may already hold bars that closed after the base's newest one: they are cut off, so that a pulse depends on its moment
and not on when it was computed. Nothing is guessed: a frame with too few bars says so in `partial` and leaves the values out.
"""

from collections import Counter
from collections.abc import Mapping

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
CLOSES = 32

_NEEDS = (
    ("MACD", indicators.MACD_BARS),
    ("volatility", VOLATILITY_BARS),
    ("ADX", indicators.ADX_BARS),
    ("Bollinger", indicators.BOLLINGER_BARS),
    ("stochastic", indicators.STOCHASTIC_BARS),
    ("RSI, ATR and trend", indicators.ATR_BARS),
    ("change", CHANGE_BARS + 1),
)
_NONE: Mapping[Timeframe, str] = {}


def pulse(
    frames: Mapping[Timeframe, pd.DataFrame],
    base: Timeframe,
    absent: Mapping[Timeframe, str] = _NONE,
    batches: Mapping[Timeframe, str] = _NONE,
    sources: Mapping[Timeframe, str] = _NONE,
) -> tuple[FramePulse, ...]:
    """One `FramePulse` for each of `PULSE_TIMEFRAMES` and for `base`, shortest first.

    Each frame is `to_frame` of checked bars; that of `base` is needed and has at least one row. `absent` says why a frame is not in
    `frames`; `batches` and `sources` name the batch and the source that a frame's bars came from. A frame without a single complete bar
    carries the base close, `bars` 0 and no values. `change_percent` is the newest close against the close 12 bars before, `closes` the
    last 32.

    Raises:
        KeyError: `frames` has no frame of `base`.
    """
    of_base = frames[base]
    moment = of_base["time"].iloc[-1] + base.duration
    last = float(of_base["close"].iloc[-1])
    readings = []
    for timeframe in sorted({*PULSE_TIMEFRAMES, base}, key=lambda each: each.seconds):
        if timeframe in frames:
            seen = _closed_by(frames[timeframe], timeframe, moment)
            origin = {"batch_id": batches.get(timeframe), "source": sources.get(timeframe)}
        elif timeframe.seconds % base.seconds == 0:
            seen = resample(of_base, base, timeframe)
            origin = {"source": f"resampled from {base.value}"}
        else:
            seen, origin = of_base.iloc[:0], {}
        readings.append(_frame_pulse(seen, timeframe, last, absent.get(timeframe)).model_copy(update=origin))
    return tuple(readings)


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


def _closed_by(frame: pd.DataFrame, timeframe: Timeframe, moment: pd.Timestamp) -> pd.DataFrame:
    return frame[frame["time"] + timeframe.duration <= moment]


def _frame_pulse(frame: pd.DataFrame, timeframe: Timeframe, last_close: float, absent: str | None) -> FramePulse:
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
        partial=_partial(close.size, absent),
        closes=tuple(close[-CLOSES:].tolist()),
    )


def _trend(high: Series, low: Series, close: Series, adx: float | None) -> str:
    span = indicators.atr(high, low, close)
    if span is None:
        return UNKNOWN
    average = indicators.ema_series(close, TREND_EMA)
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


def _partial(bars: int, absent: str | None) -> str | None:
    """What the bars don't suffice for, and why there are no more of them."""
    missing = [f"{name} needs {need}" for name, need in _NEEDS if bars < need]
    if not missing:
        return None
    first = _NEEDS[-1][1]
    said = f"{bars} bars; {', '.join(missing)}" if bars >= first else f"{bars} bars; the first reading needs {first}"
    return said if absent is None else f"{said}; no bars of its own: {absent}"
