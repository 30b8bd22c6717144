"""What a live cycle sees at each bar's close, as ranges of rows, and how to count, bound and gather in all of them at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffe.replay.models import Floats, Ints

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Rows [first, last] of k windows, both never falling; `last` is the newest bar."""

    first: Ints
    last: Ints

    @property
    def sizes(self) -> Ints:
        return self.last - self.first + 1

    def count(self, marked: Mask, head: int = 0, tail: int = 0) -> Ints:
        """How many rows are marked, the window's oldest `head` and newest `tail` left out. (k)"""
        return self.total(marked.astype(np.int64), head, tail)

    def total(self, values: Ints, head: int = 0, tail: int = 0) -> Ints:
        """Sum of whole numbers over each window. (k)"""
        sums = np.concatenate(([0], np.cumsum(values)))
        start = np.minimum(self.first + head, values.size)
        stop = np.maximum(self.last + 1 - tail, start)
        return np.asarray(sums[stop] - sums[start])

    def any(self, marked: Mask, head: int = 0, tail: int = 0) -> Mask:
        return self.count(marked, head, tail) > 0

    def lowest(self, values: Floats) -> Floats:
        return self._reduced(values, np.minimum)

    def highest(self, values: Floats) -> Floats:
        return self._reduced(values, np.maximum)

    def gathered(self, values: Floats, head: int = 0, tail: int = 0) -> Floats:
        """Each window's values in a row of its own, filled up with NaN. (k, widest)"""
        start, stop = self.first + head, self.last + 1 - tail
        columns = start[:, None] + np.arange(int((stop - start).max(initial=0)))
        inside = columns < stop[:, None]
        return np.where(inside, values[np.minimum(columns, values.size - 1)], np.nan)

    def chosen(self, rows: Ints | Mask) -> "Windows":
        return Windows(self.first[rows], self.last[rows])

    def _reduced(self, values: Floats, reduce: np.ufunc) -> Floats:
        """Two stretches of the greatest power of two that fits cover a window; those of one length are made from half as long ones."""
        found, powers, table = np.empty(self.first.size), np.frexp(self.sizes)[1] - 1, values
        for power in range(int(powers.max(initial=-1)) + 1):
            length = 2**power
            if power:
                table = reduce(table[: -(length // 2)], table[length // 2 :])
            rows = np.flatnonzero(powers == power)
            found[rows] = reduce(table[self.first[rows]], table[self.last[rows] + 1 - length])
        return found


def medians(rows: Floats) -> Floats:
    """Median of the numbers in each row; the NaN at its end are no numbers. (k)"""
    ordered = np.sort(rows, axis=1)
    known = np.isfinite(ordered).sum(axis=1)
    line = np.arange(len(rows))
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    return np.asarray((ordered[line, low] + ordered[line, np.minimum(high, ordered.shape[1] - 1)]) / 2)
