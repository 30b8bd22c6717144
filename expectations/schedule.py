"""Bars against the calendar: what is missing, and what should not be there. The rules of `rules.py` about time."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from expectations.breach import EXAMPLES, Breach, opens_of, rows_breach, time_text
from ffe.market.calendar import CALENDARS, Opens
from ffe.market.models import Timeframe

# Gaps: none among the newest 12 bars, at most a tenth of all, no hole of more than six hours in which the market was open.
RECENT_BARS = 12
MISSING_SHARE = 0.10
HOLE_HOURS = 6.0
# A quiet minute has no tick and no bar. OANDA's EUR-USD of May 2014 lacks 320 single minutes and 66 runs of two to five, and still
# not one 5m bar: at 1m a single minute counts nowhere, and a run of up to five is no reason to stop, be it among the newest.
QUIET_MINUTES = 5
# Even so not every other minute may lack: the most in any 60 of those bars is 33 %.
SPARSE_SHARE = 0.40
# Beyond this many periods for each bar a time is wrong by years, and a list of the missing bars would fill the memory.
SPARSEST = 1000
# None of the recorded forex bars lies wholly in a closed market. More than this long of them is a feed with wrong times.
CLOSED_MINUTES = 5.0


@dataclass(frozen=True)
class Gaps:
    """Expected bars that are not there, as runs of (first index, length) into `expected`.

    Runs shorter than `shortest` are no holes: at 1m a single quiet minute has no tick. `absent` counts them too.
    """

    expected: Opens
    runs: tuple[tuple[int, int], ...]
    shortest: int

    @property
    def holes(self) -> tuple[tuple[int, int], ...]:
        return tuple(run for run in self.runs if run[1] >= self.shortest)

    @property
    def absent(self) -> int:
        return sum(length for _, length in self.runs)

    @property
    def missing(self) -> int:
        return sum(length for _, length in self.holes)

    @property
    def longest(self) -> int:
        return max((length for _, length in self.holes), default=0)


def gaps(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Gaps:
    """What the calendar (by its name) expects between the first and the newest bar, against what is there."""
    opens = opens_of(frame)
    first, newest = (_moment(edge) for edge in (opens.min(), opens.max()))
    periods = (newest - first) // timeframe.duration
    if periods > SPARSEST * len(frame):
        raise ValueError(f"{len(frame)} bars are spread over {periods} periods of {timeframe.value}")
    expected = CALENDARS[calendar].expected_opens(timeframe, first, newest + timeframe.duration)
    missing = ~np.isin(expected, opens)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    runs = tuple((int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True))
    return Gaps(expected, runs, shortest=2 if timeframe is Timeframe.M1 else 1)


def serious_gaps(frame: pd.DataFrame, timeframe: Timeframe, calendar: str) -> Breach | None:
    """Too much is missing to trade on: among the newest 12 bars, more than a tenth of all, or a hole of over six hours."""
    if frame.empty:
        return None
    found = gaps(frame, timeframe, calendar)
    reasons = _reasons(found, timeframe)
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


def in_hours(frame: pd.DataFrame, timeframe: Timeframe, calendar: str, minutes: float) -> Breach | None:
    """At most `minutes` of bars that lie wholly in a closed market: such a feed is made up, or its times are shifted."""
    closed = ~CALENDARS[calendar].opened(timeframe, opens_of(frame))
    if closed.sum() * timeframe.seconds <= minutes * 60:
        return None
    return rows_breach(frame, closed, f"bar while {calendar} is closed")


def _reasons(found: Gaps, timeframe: Timeframe) -> list[str]:
    quiet = QUIET_MINUTES if timeframe is Timeframe.M1 else 0
    expected = max(found.expected.size, 1)
    hours, share, absent = found.longest * timeframe.seconds / 3600, found.missing / expected, found.absent / expected
    recent = [hole for hole in found.holes if sum(hole) > found.expected.size - RECENT_BARS and hole[1] > quiet]
    reasons = []
    if recent:
        reasons.append(f"{sum(length for _, length in recent)} missing around the newest {RECENT_BARS} bars, limit 0")
    if share > MISSING_SHARE:
        reasons.append(f"{share:.1%} of {expected} expected bars missing, limit {MISSING_SHARE:.0%}")
    elif absent > SPARSE_SHARE:
        reasons.append(f"{absent:.1%} of {expected} expected bars missing, single ones too, limit {SPARSE_SHARE:.0%}")
    if hours > HOLE_HOURS:
        reasons.append(f"a hole of {hours:.1f} h of open market, limit {HOLE_HOURS:.1f} h")
    return reasons


def _gap_breach(found: Gaps, message: str) -> Breach:
    longest = sorted(found.holes or found.runs, key=lambda run: run[1], reverse=True)[:EXAMPLES]
    examples = tuple(f"{time_text(found.expected[first])} x {length}" for first, length in longest)
    return Breach(message, found.missing or found.absent, examples)


def _moment(value: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(value.astype(np.int64)) / 1_000_000, UTC)
