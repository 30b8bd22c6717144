"""The rules of `series.py` for every window at once.

Where a limit depends on the whole window (a median), bounds that running sums give settle nearly all windows; only what is left is worked
out in full, some thousand windows at a time.
"""

import numpy as np

from expectations import families, series
from expectations.history_windows import Mask, Windows, medians
from ffe.replay.models import HIGH, LOW, OPEN, Bars, Floats, Ints

_LINES = 200_000
_GATHERED = 5_000
# `series.precise`: as far as a multiple of the grid may be from a whole one.
_OFF = 1e-6


def frozen(bars: Bars, windows: Windows) -> Mask:
    """`series.moving` of the newest bars."""
    family, rows = families.family_of(bars.timeframe), np.arange(len(bars))
    moved = np.concatenate(([True], (bars.mid[1:] != bars.mid[:-1]).any(axis=1)))
    equal = (rows - np.maximum.accumulate(np.where(moved, rows, 0)))[windows.last]
    steps = np.minimum(equal, windows.last - windows.first)
    ranged = (bars.mid[:, HIGH] > bars.mid[:, LOW])[windows.last]
    return np.asarray((steps > 0) & (steps + 1 >= np.where(ranged, family.copied, family.flat)))


def invented(bars: Bars, windows: Windows) -> Mask:
    """`series.uninvented`."""
    close, bars_of_line = bars.close, series.LINE_BARS
    begins = np.zeros(close.size, dtype=np.bool_)
    for start in range(0, close.size - bars_of_line + 1, _LINES):
        part = close[start : start + _LINES + bars_of_line - 1]
        straight = _straight(np.lib.stride_tricks.sliding_window_view(part, bars_of_line))
        begins[start : start + straight.size] = straight
    return windows.any(begins, tail=bars_of_line - 1)


def _straight(closes: Floats) -> Mask:
    rise = closes[:, -1] - closes[:, 0]
    lines = closes[:, :1] + rise[:, None] * np.linspace(0.0, 1.0, series.LINE_BARS)
    return np.asarray((rise != 0) & (np.abs(closes - lines).max(axis=1) <= series.LINE_SHARE * np.abs(rise)))


def coarse(bars: Bars, windows: Windows, limits: families.Limits) -> Mask:
    """`series.precise`, of windows whose prices are all above zero.

    The grid follows from the median price, which lies between the lowest and the highest: prices that are off the finest grid that it
    could be are off all others.
    """
    finest, coarsest = (
        _power(limits.step * edge) for edge in (windows.lowest(bars.mid[:, LOW]), windows.highest(bars.mid[:, HIGH]))
    )
    found = _on_grid(bars, windows, finest)
    unsure = np.flatnonzero(found & (finest != coarsest))
    for rows in _batches(unsure):
        some = windows.chosen(rows)
        prices = np.concatenate([some.gathered(bars.mid[:, part]) for part in range(4)], axis=1)
        found[rows] = _on_grid(bars, some, _power(limits.step * medians(prices)))
    return found


def _power(sizes: Floats) -> Floats:
    return np.asarray(np.ceil(np.log10(sizes)))


def _on_grid(bars: Bars, windows: Windows, powers: Floats) -> Mask:
    """Whether all prices of each window are multiples of ten to its power."""
    on = np.zeros(powers.size, dtype=np.bool_)
    for power in np.unique(powers):
        multiples = bars.mid / 10.0**power
        off = (np.abs(multiples - np.round(multiples)) > _OFF).any(axis=1)
        these = np.flatnonzero(powers == power)
        on[these] = ~windows.chosen(these).any(off)
    return on


def bad_ticks(bars: Bars, windows: Windows, limits: families.Limits) -> Mask:
    """`series.believable`, of windows of at least seven bars whose prices are all above zero."""
    close = _logs(bars.close)
    returns = np.concatenate(([0.0], np.diff(close)))
    steps = np.abs(returns)
    near = np.diff(bars.times, prepend=bars.times[0]) <= series.LONGEST_STEP.total_seconds()
    unrest = series.UNREST * limits.excursion
    away = _Excursions(bars, close)
    found = windows.any((steps > limits.jump) & near, head=1)
    found |= away.beyond(windows, series.TICK_ROOM * limits.excursion)
    unsure = away.beyond(windows, limits.excursion) | (2 * windows.count(steps > unrest, head=1) >= windows.sizes - 1)
    for rows in _batches(np.flatnonzero(unsure & ~found)):
        some = windows.chosen(rows)
        moves = some.gathered(returns, head=1)
        deviation = medians(np.abs(moves - medians(moves)[:, None]))
        limit = np.clip(series.TICK_MADS * deviation, limits.excursion, series.TICK_ROOM * limits.excursion)
        found[rows] = (medians(np.abs(moves)) > unrest) | (away.greatest(some) > limit)
    return found


class _Excursions:
    """How far each bar reaches beyond both the three closes before it and the three after it, in logarithms.

    In a window the oldest bar has its own open before it and the next two its close; the newest three have the newest close after them.
    """

    def __init__(self, bars: Bars, close: Floats) -> None:
        self._open, self._high, self._low = (_logs(bars.mid[:, part]) for part in (OPEN, HIGH, LOW))
        self._close, count = close, close.size
        middle = np.full(count, np.nan)
        middle[1:-1] = np.median(np.lib.stride_tricks.sliding_window_view(close, 3), axis=1)
        self._before, self._after = (np.full(count, np.nan) for _ in range(2))
        self._before[3:], self._after[:-3] = middle[1:-2], middle[2:-1]
        self._inner = self._of(np.arange(count), self._before, self._after)

    def beyond(self, windows: Windows, limit: float) -> Mask:
        return windows.any(self._inner > limit, head=3, tail=3) | (self._edges(windows) > limit)

    def greatest(self, windows: Windows) -> Floats:
        inner = np.nanmax(windows.gathered(self._inner, head=3, tail=3), axis=1)
        return np.asarray(np.maximum(inner, self._edges(windows)))

    def _edges(self, windows: Windows) -> Floats:
        """The greatest of the oldest three and the newest three bars."""
        first, last = windows.first, windows.last
        found = [self._of(first, self._open[first], self._after[first])]
        found += [self._of(first + step, self._close[first], self._after[first + step]) for step in (1, 2)]
        found += [self._of(last - step, self._before[last - step], self._close[last]) for step in range(3)]
        return np.asarray(np.max(np.stack(found), axis=0))

    def _of(self, rows: Ints, before: Floats, after: Floats) -> Floats:
        above = self._high[rows] - np.maximum(before, after)
        below = np.minimum(before, after) - self._low[rows]
        return np.asarray(np.fmax(above, below))


def _logs(values: Floats) -> Floats:
    return np.asarray(np.log(np.where((values > 0) & np.isfinite(values), values, np.nan)))


def _batches(rows: Ints) -> list[Ints]:
    return [rows[start : start + _GATHERED] for start in range(0, rows.size, _GATHERED)]
