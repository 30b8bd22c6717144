"""`schedule.serious_gaps` for every window at once: runs of missing bars are found once, each window sums those that lie in it."""

from dataclasses import dataclass

import numpy as np

from expectations import schedule
from expectations.history_windows import Mask, Windows
from ffe.market.calendar import Calendar
from ffe.market.models import Timeframe
from ffe.replay.bars import expected_opens
from ffe.replay.models import Bars, Ints


def serious(bars: Bars, calendar: Calendar, windows: Windows) -> Mask:
    """Windows in which too much is missing to trade on, or whose times nobody can check. (k)"""
    seconds = bars.timeframe.seconds
    first, newest = bars.times[windows.first], bars.times[windows.last]
    endless = (newest - first) // seconds > schedule.SPARSEST * windows.sizes
    expected = expected_opens(bars, calendar)
    missing = ~np.isin(expected, bars.times)
    spans = _Spans(np.searchsorted(expected, first), np.searchsorted(expected, newest + seconds))
    found = _judged(missing, spans, bars.timeframe)
    return np.asarray(endless | found)


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """[start, stop) of each window among the expected opens."""

    start: Ints
    stop: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Runs [starts, ends) of missing bars; in each window those numbered [first, last) lie wholly. Cut ones are `left` and `right` long."""

    starts: Ints
    ends: Ints
    first: Ints
    last: Ints
    left: Ints
    right: Ints

    @property
    def lengths(self) -> Ints:
        return self.ends - self.starts

    def summed(self, values: Ints, since: Ints | None = None) -> Ints:
        """Sum of `values` of the runs that lie wholly in each window, from run `since` on."""
        sums = np.concatenate(([0], np.cumsum(values)))
        begin = self.first if since is None else np.maximum(self.first, since)
        return np.asarray(sums[np.maximum(self.last, begin)] - sums[begin])


def _judged(missing: Mask, spans: _Spans, timeframe: Timeframe) -> Mask:
    runs = _runs(missing, spans)
    shortest = 2 if timeframe is Timeframe.M1 else 1
    expected = np.maximum(spans.stop - spans.start, 1)
    holes = np.where(runs.lengths >= shortest, runs.lengths, 0)
    cut = [np.where(length >= shortest, length, 0) for length in (runs.left, runs.right)]
    share = (runs.summed(holes) + cut[0] + cut[1]) / expected
    absent = _summed(missing, spans) / expected
    sparse = (share > schedule.MISSING_SHARE) | (absent > schedule.SPARSE_SHARE)
    return np.asarray(sparse | _recent(runs, holes, cut, spans, timeframe) | _too_long(runs, holes, cut, timeframe))


def _recent(runs: _Runs, holes: Ints, cut: list[Ints], spans: _Spans, timeframe: Timeframe) -> Mask:
    """A hole that reaches into the newest bars. One that the window cuts at its newest end does."""
    quiet = schedule.QUIET_MINUTES if timeframe is Timeframe.M1 else 0
    newest = spans.stop - schedule.RECENT_BARS
    since = np.searchsorted(runs.ends, newest, side="right")
    left = (cut[0] > quiet) & (spans.start + cut[0] > newest)
    return (runs.summed((holes > quiet).astype(np.int64), since) > 0) | left | (cut[1] > quiet)


def _too_long(runs: _Runs, holes: Ints, cut: list[Ints], timeframe: Timeframe) -> Mask:
    most = schedule.HOLE_HOURS * 3600 / timeframe.seconds
    return (runs.summed((holes > most).astype(np.int64)) > 0) | (cut[0] > most) | (cut[1] > most)


def _runs(missing: Mask, spans: _Spans) -> _Runs:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    first = np.searchsorted(starts, spans.start, side="left")
    last = np.maximum(np.searchsorted(ends, spans.stop, side="right"), first)
    before = np.concatenate(([0], ends))[first]
    left = np.maximum(np.minimum(before, spans.stop) - spans.start, 0)
    behind = np.concatenate((starts, [missing.size]))[last]
    right = np.maximum(spans.stop - np.maximum(behind, spans.start), 0)
    return _Runs(starts, ends, first, last, left, right)


def _summed(missing: Mask, spans: _Spans) -> Ints:
    sums = np.concatenate(([0], np.cumsum(missing)))
    return np.asarray(sums[spans.stop] - sums[spans.start])
