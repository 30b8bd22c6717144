"""A situation in numbers that can be compared: what the indicators of the case said, free of price level, date and instrument.

Each value lies in [-1, 1] and most spread over about one, so that no indicator drowns the others in the distance. Frames go by their
place (`base`, `next1`, `next2`), the way the model reads them. What is not known is left out, never guessed.
"""

import math
from collections.abc import Mapping

from ffe.decision.models import Context, FramePulse
from ffe.decision.prompt import case_frames
from ffe.market.pulse import CHANGE_BARS

PLACES = ("base", "next1", "next2")
_TREND = {"down": 0.0, "flat": 0.5, "up": 1.0}
_VOLATILITY = {"low": 0.0, "normal": 0.5, "high": 1.0}


def situation(context: Context) -> dict[str, float]:
    """Values by name, `base.rsi`, `next1.adx`: finite, rounded to 6 places. Empty when the context has no base frame.

    RSI, stochastic and ADX are divided by 100; `bollinger` is 0 at the lower and 1 at the upper band; `macd` is half the histogram's
    sign; `change` is that of the last 12 bars in average true ranges a bar; `trend` and `volatility` are 0, 0.5 or 1.
    """
    values: dict[str, float] = {}
    for place, frame in zip(PLACES, case_frames(context), strict=False):
        known = {name: value for name, value in _readings(frame).items() if value is not None and math.isfinite(value)}
        values |= {f"{place}.{name}": round(min(1.0, max(-1.0, value)), 6) for name, value in known.items()}
    return values


def distance(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Root mean square over the names that both have; inf when fewer than half of all names are common, or there are none."""
    common = a.keys() & b.keys()
    if not common or 2 * len(common) < len(a.keys() | b.keys()):
        return math.inf
    return math.sqrt(math.fsum((a[name] - b[name]) ** 2 for name in common) / len(common))


def _readings(frame: FramePulse) -> dict[str, float | None]:
    return {
        "rsi": _share(frame.rsi),
        "stochastic": _share(frame.stochastic),
        "adx": _share(frame.adx),
        "bollinger": frame.bollinger_position,
        "macd": _half_sign(frame.macd_histogram),
        "change": _change(frame),
        "trend": _TREND.get(frame.trend),
        "volatility": _VOLATILITY.get(frame.volatility),
    }


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _half_sign(histogram: float | None) -> float | None:
    if histogram is None or math.isnan(histogram):
        return None
    return 0.5 * ((histogram > 0) - (histogram < 0))


def _change(frame: FramePulse) -> float | None:
    """Change of the last bars in average true ranges, divided by the number of bars: 1 is a true range a bar, all one way."""
    if frame.change_percent is None or frame.atr is None or not frame.atr > 0 or not frame.close > 0:
        return None
    return frame.change_percent / 100 * frame.close / frame.atr / CHANGE_BARS
