"""Which recorded moment becomes now, and how an instrument that was not recorded then is moved there.

Moves are whole weeks of New York local time: weekday, time of day and the 17:00 rollover agree, across daylight saving too.
"""

from collections.abc import Mapping

import numpy as np

from simulator.hours import HOUR, WEEK, Ints, Mask, from_new_york, last_open, new_york, weekday

FRESH = 120  # a covered moment has a bar at most this old, in seconds
RECENT, RECENT_MINUTES = 8 * HOUR, 200
AHEAD, AHEAD_MINUTES = HOUR, 45  # a default moment leaves an hour of data to run into
_HISTORY = 35 * 24 * HOUR  # history further back than this does not make a moment better
_GRID, _AFTER_GRID = 300, 20
_SESSION = (9 * HOUR + HOUR // 2, 16 * HOUR)  # the New York session, local time


def count(times: Ints, start: Ints, end: Ints) -> Ints:
    """How many of the ascending `times` lie in each [start, end)."""
    return np.searchsorted(times, end) - np.searchsorted(times, start)


def covered(times: Ints, moments: Ints) -> Mask:
    """At which moments these minutes are fresh and have enough recent history to judge a market by."""
    now = moments + 1
    return (count(times, now - FRESH, now) > 0) & (count(times, now - RECENT, now) >= RECENT_MINUTES)


def default_moment(series: Mapping[str, Ints], seconds: int) -> int:
    """The moment, 20 s after a 5-minute boundary in the New York session from Monday to Thursday, that most instruments cover.

    Among equals the one with most history, then the latest. It also leaves an hour of data ahead, so that a clock that runs on from
    there meets live prices. Where nothing is long enough for that: 20 s after the last boundary of the data. `series` are the
    opens of buckets of `seconds`.
    """
    closes = np.concatenate(list(series.values())) + seconds
    moments = np.unique(closes // _GRID) * _GRID + _AFTER_GRID
    last = int(moments[-1])
    moments = moments[_in_session(moments)]
    good = np.array([_good(times, moments) for times in series.values()])
    covering = good.sum(axis=0)
    if covering.size == 0 or covering.max() == 0:
        return last
    history = sum(
        count(times, moments - _HISTORY, moments + 1) * mask for times, mask in zip(series.values(), good, strict=True)
    )
    return int(moments[np.lexsort((moments, history, covering))[-1]])


def shift_weeks(times: Ints, moment: int, *, forex: bool) -> int:
    """By how many weeks to move `times` so that they cover `moment`, with the most history before it; 0 where they cover it as they are,
    and where no shift covers it. At a moment when the market is closed the last open minute counts."""
    target = np.array([last_open(moment, forex=forex)])
    if covered(times, target)[0]:
        return 0
    weeks = np.arange((target[0] - times[-1]) // WEEK - 1, (target[0] - times[0]) // WEEK + 2)
    sources, exists = from_new_york(new_york(target) - weeks * WEEK)
    good = exists & covered(times, sources)
    if not good.any():
        return 0
    history = np.where(good, count(times, sources - _HISTORY, sources + 1), -1)
    return int(weeks[np.lexsort((sources, history))[-1]])


def shifted(times: Ints, weeks: int) -> tuple[Ints, Ints]:
    """Moved times and the rows that they come from. A minute that falls in the hour skipped in March is dropped; where the
    hour repeated in November folds into one, its first occurrence stays."""
    rows = np.arange(times.size)
    if weeks == 0:
        return times, rows
    moved, exists = from_new_york(new_york(times) + weeks * WEEK)
    moved, rows = moved[exists], rows[exists]
    _, first = np.unique(moved, return_index=True)
    return moved[first], rows[first]


def _good(times: Ints, moments: Ints) -> Mask:
    return covered(times, moments) & (count(times, moments, moments + AHEAD) >= AHEAD_MINUTES)


def _in_session(moments: Ints) -> Mask:
    local = new_york(moments)
    clock = local % (24 * HOUR)
    return (weekday(local) <= 3) & (clock >= _SESSION[0]) & (clock < _SESSION[1])
