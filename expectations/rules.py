"""What must hold for a frame of bars, as plain functions: a rule answers None, or the breach with its numbers.

No Great Expectations here, so that a rule can be read, tested and timed by itself; `custom.py` gives each one its expectation. A frame
is `ffe.sources.models.to_frame`, and an empty one breaks only the rule about enough bars. A rule may raise on a frame that it
cannot judge (a text where a price belongs): whoever calls it counts that as "could not check", never as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffe.market.calendar import CALENDARS, Opens
from ffe.market.models import Timeframe

# Part of the suite's name: raise it when a rule changes its meaning.
VERSION = 1
ENOUGH_BARS = 60
PRICES = ("open", "high", "low", "close")
EXAMPLES = 5
# Gaps: none among the newest 12 bars, at most a tenth of all, no hole of more than six hours in which the market was open.
RECENT_BARS = 12
MISSING_SHARE = 0.10
HOLE_HOURS = 6.0
# A quiet minute has no tick and no bar. OANDA's EUR-USD of May 2014 lacks 320 single minutes and 66 runs of two to five, and still
# not one 5m bar: at 1m a single minute counts nowhere, and a run of up to five is no reason to stop, be it among the newest.
QUIET_MINUTES = 5
# Beyond this many periods for each bar a time is wrong by years, and a list of the missing bars would fill the memory.
SPARSEST = 1000
SPIKE_MADS = 12.0
# Under this deviation a feed is flat and every tick would be a spike: a tenth of a basis point.
SPIKE_FLOOR = 1e-5
ZERO_VOLUME_SHARE = 0.10

Mask = npt.NDArray[np.bool_]


def suite_name(timeframe: Timeframe) -> str:
    return f"bars-{timeframe.value}-v{VERSION}"


@dataclass(frozen=True)
class Breach:
    """`examples` are up to five offending rows or times as text."""

    message: str
    count: int
    examples: tuple[str, ...] = ()


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
    return _rows(frame, bad, f"null or infinite value in {', '.join(names)}")


def positive(frame: pd.DataFrame) -> Breach | None:
    """Every price is above 0 and every volume at least 0."""
    prices = frame[[name for name in frame.columns if name not in {"time", "volume"}]].to_numpy(dtype=np.float64)
    bad = (prices <= 0).any(axis=1) | (frame["volume"].to_numpy(dtype=np.float64) < 0)
    return _rows(frame, bad, "price not above 0 or volume below 0")


def consistent(frame: pd.DataFrame) -> Breach | None:
    """low <= open, close <= high."""
    first, high, low, last = (frame[name].to_numpy(dtype=np.float64) for name in PRICES)
    good = (low <= np.minimum(first, last)) & (np.maximum(first, last) <= high)
    return _rows(frame, ~good, "low <= open, close <= high does not hold")


def aligned(frame: pd.DataFrame, timeframe: Timeframe) -> Breach | None:
    """Every open time is a whole multiple of the timeframe since the epoch, in UTC."""
    seconds = _opens(frame).astype("datetime64[us]").astype(np.int64)
    return _rows(frame, seconds % (timeframe.seconds * 1_000_000) != 0, f"open time off the {timeframe.value} grid")


@dataclass(frozen=True)
class Gaps:
    """Expected bars that are not there. `holes` are runs of them as (first index, length) into `expected`.

    At 1m a single missing minute is no hole: a quiet minute has no tick.
    """

    expected: Opens
    holes: tuple[tuple[int, int], ...]

    @property
    def missing(self) -> int:
        return sum(length for _, length in self.holes)

    @property
    def longest(self) -> int:
        return max((length for _, length in self.holes), default=0)


def gaps(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Gaps:
    """What the calendar (by its name) expects between the first and the newest bar, against what is there."""
    opens = _opens(frame)
    first, newest = (_moment(edge) for edge in (opens.min(), opens.max()))
    periods = (newest - first) // timeframe.duration
    if periods > SPARSEST * len(frame):
        raise ValueError(f"{len(frame)} bars are spread over {periods} periods of {timeframe.value}")
    expected = CALENDARS[calendar].expected_opens(timeframe, first, newest + timeframe.duration)
    missing = ~np.isin(expected, opens)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    shortest = 2 if timeframe is Timeframe.M1 else 1
    runs = [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
    return Gaps(expected, tuple(run for run in runs if run[1] >= shortest))


def serious_gaps(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Breach | None:
    """Too much is missing to trade on: among the newest 12 bars, more than a tenth of all, or a hole of over six hours."""
    if frame.empty:
        return None
    found = gaps(frame, timeframe, calendar)
    quiet = QUIET_MINUTES if timeframe is Timeframe.M1 else 0
    hours, share = found.longest * timeframe.seconds / 3600, found.missing / max(found.expected.size, 1)
    recent = [hole for hole in found.holes if sum(hole) > found.expected.size - RECENT_BARS and hole[1] > quiet]
    reasons = []
    if recent:
        reasons.append(f"{sum(length for _, length in recent)} missing around the newest {RECENT_BARS} bars, limit 0")
    if share > MISSING_SHARE:
        reasons.append(f"{share:.1%} of {found.expected.size} expected bars missing, limit {MISSING_SHARE:.0%}")
    if hours > HOLE_HOURS:
        reasons.append(f"a hole of {hours:.1f} h of open market, limit {HOLE_HOURS:.1f} h")
    return _gap_breach(found, "; ".join(reasons)) if reasons else None


def any_gaps(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Breach | None:
    """Any expected bar is missing."""
    if frame.empty:
        return None
    found = gaps(frame, timeframe, calendar)
    if not found.holes:
        return None
    sizes = f"{found.missing} of {found.expected.size} expected bars missing, {found.longest} in a row at most"
    return _gap_breach(found, sizes)


def in_hours(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Breach | None:
    """No bar lies wholly in a closed market: such a feed is made up or has wrong times."""
    return _rows(frame, ~CALENDARS[calendar].opened(timeframe, _opens(frame)), f"bar while {calendar} is closed")


def uncrossed(frame: pd.DataFrame, *, newest_only: bool) -> Breach | None:
    """bid_close <= ask_close, for every bar or for the newest one; a frame without quotes has nothing to cross."""
    if "bid_close" not in frame.columns:
        return None
    judged = frame.iloc[-1:] if newest_only else frame
    bid, ask = (judged[name].to_numpy(dtype=np.float64) for name in ("bid_close", "ask_close"))
    return _rows(judged, bid > ask, "newest bar is crossed, bid > ask" if newest_only else "crossed bar, bid > ask")


def unspiked(frame: pd.DataFrame, timeframe: Timeframe) -> Breach | None:
    """No |log return| between neighbouring bars above 12 median absolute deviations. Steps over a gap are not judged."""
    close, opens = frame["close"].to_numpy(dtype=np.float64), _opens(frame)
    neighbours = (np.diff(opens) == np.timedelta64(timeframe.duration)) & (close[1:] > 0) & (close[:-1] > 0)
    returns = np.zeros(max(close.size - 1, 0))
    returns[neighbours] = np.log(close[1:][neighbours] / close[:-1][neighbours])
    if not neighbours.any():
        return None
    centre = np.median(returns[neighbours])
    limit = SPIKE_MADS * max(float(np.median(np.abs(returns[neighbours] - centre))), SPIKE_FLOOR)
    sizes = np.where(neighbours, np.abs(returns - centre), 0.0)
    message = f"log return of {sizes.max():.5f} above {SPIKE_MADS:.0f} MAD = {limit:.5f}"
    return _rows(frame, np.concatenate([[False], sizes > limit]), message)


def traded(frame: pd.DataFrame) -> Breach | None:
    """At most a tenth of the bars without volume."""
    empty = frame["volume"].to_numpy(dtype=np.float64) == 0
    if not empty.any() or empty.mean() <= ZERO_VOLUME_SHARE:
        return None
    return _rows(frame, empty, f"{empty.mean():.1%} of the bars have no volume, limit {ZERO_VOLUME_SHARE:.0%}")


def _opens(frame: pd.DataFrame) -> Opens:
    return frame["time"].to_numpy(dtype="datetime64[us]")


def _moment(value: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(value.astype(np.int64)) / 1_000_000, UTC)


def _text(value: np.datetime64) -> str:
    return f"{np.datetime_as_string(value, unit='s')}Z"


def _gap_breach(found: Gaps, message: str) -> Breach:
    holes = sorted(found.holes, key=lambda hole: hole[1], reverse=True)[:EXAMPLES]
    examples = tuple(f"{_text(found.expected[first])} x {length}" for first, length in holes)
    return Breach(message, found.missing, examples)


def _rows(frame: pd.DataFrame, bad: Mask, message: str) -> Breach | None:
    """Breach over the rows in `bad`, with the first five printed; None when there are none."""
    count = int(bad.sum())
    if count == 0:
        return None
    rows = frame[bad].head(EXAMPLES).to_dict("records")
    examples = tuple(" ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
    return Breach(f"{count} of {len(frame)} bars: {message}", count, examples)
