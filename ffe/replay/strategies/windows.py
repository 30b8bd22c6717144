"""Rolling values that depend on their window alone, to the last bit, wherever the series begins.

A running sum of floats carries the rounding of everything before it, and where two averages are equal such a bit decides a trade: live,
on a window of 200 bars, another one than in a replay of years. So sums are of whole ticks, which have no rounding, and what needs
floats adds up each window in the same order.
"""

import zlib

import numpy as np

from ffe.replay.models import Bars, Codes, Floats, Ints

# Bars that are worked on together, so that what is added up stays in the processor's cache.
BLOCK = 16_384
# Odd constants of SplitMix64 (Steele, Lea and Flood, 2014).
STEP, MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def ticks(bars: Bars) -> Ints:
    """Closes in whole tenths of the smallest printed step; the middle of two sides lies on a half. (n)"""
    return np.rint(bars.close * 10.0 ** (bars.places + 1)).astype(np.int64)


def rolling_sum(values: Ints, window: int) -> Ints:
    """Exact sum of each value and the `window` - 1 before it; 0 where there are fewer. A total that overflows wraps and comes right."""
    total = np.cumsum(values, dtype=np.int64)
    sums = np.zeros_like(total)
    if values.size >= window:
        sums[window - 1 :] = total[window - 1 :]
        sums[window:] -= total[:-window]
    return sums


def rolling_score(values: Floats, window: int) -> Floats:
    """How many population standard deviations each value stands above the mean of its window; 0 without a full window or a spread."""
    scores = np.zeros(values.size)
    for start in range(window - 1, values.size, BLOCK):
        stop = min(start + BLOCK, values.size)
        scores[start:stop] = _score(values[start - window + 1 : stop], window)
    return scores


def _score(values: Floats, window: int) -> Floats:
    """Of every full window in `values`, each taken relative to its newest value."""
    newest = values[window - 1 :]
    total, squares = np.zeros(newest.size), np.zeros(newest.size)
    for back in range(1, window):
        apart = values[window - 1 - back : values.size - back] - newest
        total += apart
        squares += apart * apart
    mean = total / window
    spread = np.sqrt(np.maximum(squares / window - mean * mean, 0))
    scores = np.zeros(newest.size)
    np.divide(-mean, spread, out=scores, where=spread > 0)
    return scores


def turns(side: Ints | Codes) -> Codes:
    """+1 where `side` becomes positive after not being so, -1 where it becomes negative, else 0. Never at the first value."""
    above, below = side > 0, side < 0
    turned = np.zeros(side.size, np.int8)
    turned[1:] = (above[1:] & ~above[:-1]).astype(np.int8) - (below[1:] & ~below[:-1]).astype(np.int8)
    return turned


def uniform(bars: Bars, seed: int) -> Floats:
    """A number in [0, 1) for each bar, from its time, its market and `seed`: SplitMix64, 53 bits. (n)"""
    market = zlib.crc32(bars.instrument.symbol.encode())
    start = np.uint64((seed * 0x1_0000_0001 + market) % 2**64)
    with np.errstate(over="ignore"):
        mixed = (bars.times.astype(np.uint64) + start) * STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * MIX[1]
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
