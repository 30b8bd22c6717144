"""What must hold for each bar of a frame, as plain functions: a rule answers None, or the breach with its numbers.

No Great Expectations here, so that a rule can be read, tested and timed by itself; `custom.py` gives each one its expectation. A frame
is `ffe.sources.models.to_frame`, and an empty one breaks only the rule about enough bars. A rule may raise on a frame that it
cannot judge (a text where a price belongs): whoever calls it counts that as "could not check", never as good. Rules about a bar's
neighbours are in `series.py`, about the calendar in `schedule.py`, about volume and what other sources say in `activity.py`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from expectations.breach import EXAMPLES, Breach, Mask, floats, opens_of, rows_breach, time_text
from ffe.market.models import Timeframe

ENOUGH_BARS = 60
PRICES = ("open", "high", "low", "close")
# FXCM's bars of 2012 are crossed in 1.2 % of all, and in 22 % of the worst hour: exchanged sides cross nearly every bar.
CROSSED_SHARE = 0.5
# A mid close lies exactly between the quotes. A thousandth of the price leaves room for a venue's rounding, and for nothing else.
QUOTE_SLACK = 0.001
# Wider quotes are no market. The widest of the recorded ones are 0.2 % apart.
WIDEST_SPREAD = 0.02


def typed(frame: pd.DataFrame, columns: Sequence[str]) -> Breach | None:
    """`time` is a UTC timestamp and every other column float64 (made from decimal128)."""
    wrong = []
    for name in columns:
        if name in frame.columns:
            found, wanted = str(frame[name].dtype), "datetime64[us, UTC]" if name == "time" else "float64"
            if found != wanted:
                wrong.append(f"{name} is {found}, must be {wanted}")
    return Breach("; ".join(wrong), len(wrong), tuple(wrong[:EXAMPLES])) if wrong else None


def whole(frame: pd.DataFrame) -> Breach | None:
    """No null in any column, and no infinity in any number."""
    nulls = frame.isna().to_numpy(dtype=np.bool_)
    numbers = frame.select_dtypes("number")
    infinite = np.isinf(numbers.to_numpy(dtype=np.float64))
    bad = nulls.any(axis=1) | infinite.any(axis=1)
    names = [name for name in frame.columns if frame[name].isna().any() or frame[name].isin([np.inf, -np.inf]).any()]
    return rows_breach(frame, bad, f"null or infinite value in {', '.join(names)}")


def unique_times(frame: pd.DataFrame) -> Breach | None:
    """No two bars open at the same time."""
    return rows_breach(frame, frame["time"].duplicated(keep=False).to_numpy(), "time shared with another bar")


def increasing_times(frame: pd.DataFrame) -> Breach | None:
    """Every bar opens after the one before it."""
    later = np.diff(opens_of(frame)) > np.timedelta64(0)
    return rows_breach(frame, np.concatenate([[False], ~later])[: len(frame)], "time not after that of the bar before")


def complete(frame: pd.DataFrame, timeframe: Timeframe, now: datetime) -> Breach | None:
    """No bar closes after `now`: nobody has seen such a bar complete, be it still running or wholly in the future."""
    limit = np.datetime64(now.replace(tzinfo=None), "us")
    closes = opens_of(frame) + np.timedelta64(timeframe.duration)
    running = int((opens_of(frame) <= limit).sum() - (closes <= limit).sum())
    message = f"not complete at {time_text(limit)}, {running} still running and the others in the future"
    return rows_breach(frame, closes > limit, message)


def aligned(frame: pd.DataFrame, timeframe: Timeframe) -> Breach | None:
    """Every open time is a whole multiple of the timeframe since the epoch, in UTC."""
    seconds = opens_of(frame).astype(np.int64)
    off = seconds % (timeframe.duration // timedelta(microseconds=1)) != 0
    return rows_breach(frame, off, f"open time off the {timeframe.value} grid")


def positive(frame: pd.DataFrame) -> Breach | None:
    """Every price is above 0 and every volume at least 0."""
    prices = frame[[name for name in frame.columns if name not in {"time", "volume"}]].to_numpy(dtype=np.float64)
    bad: Mask = np.asarray((prices <= 0).any(axis=1))
    if "volume" in frame.columns:
        bad = bad | (floats(frame, "volume") < 0)
    return rows_breach(frame, bad, "price not above 0 or volume below 0")


def consistent(frame: pd.DataFrame) -> Breach | None:
    """low <= open, close <= high."""
    first, high, low, last = (floats(frame, name) for name in PRICES)
    good = (low <= np.minimum(first, last)) & (np.maximum(first, last) <= high)
    return rows_breach(frame, ~good, "low <= open, close <= high does not hold")


def uncrossed(frame: pd.DataFrame) -> Breach | None:
    """bid_close <= ask_close for every bar: crossed ones before the newest are a flaw of some venues' bars."""
    return rows_breach(frame, floats(frame, "bid_close") > floats(frame, "ask_close"), "crossed bar, bid > ask")


def tradable(frame: pd.DataFrame, share: float) -> Breach | None:
    """The newest bar is not crossed, and no more than `share` of all are."""
    crossed = floats(frame, "bid_close") > floats(frame, "ask_close")
    if crossed.size and crossed[-1]:
        return rows_breach(frame.iloc[-1:], crossed[-1:], "newest bar is crossed, bid > ask")
    if crossed.sum() > share * crossed.size:
        return rows_breach(frame, crossed, f"crossed bar, bid > ask, limit {share:.0%} of the bars")
    return None


def quoted(frame: pd.DataFrame, slack: float) -> Breach | None:
    """The close lies between the bid and the ask close, give or take `slack` of itself, and they are at most 2 % apart."""
    bid, ask, close = (floats(frame, name) for name in ("bid_close", "ask_close", "close"))
    # Infinities are for `whole` to name.
    bid, ask, close = (np.where(np.isfinite(values), values, np.nan) for values in (bid, ask, close))
    room = slack * np.abs(close)
    outside = (close < np.minimum(bid, ask) - room) | (close > np.maximum(bid, ask) + room)
    wide = np.abs(ask - bid) > WIDEST_SPREAD * np.abs(close)
    message = f"close not between bid and ask, or these further apart than {WIDEST_SPREAD:.0%}"
    return rows_breach(frame, outside | wide, message)
