"""How sure a number is: the stationary bootstrap, for returns that depend on each other.

Blocks of random length keep what neighbouring returns have in common (Politis & Romano 1994, The Stationary Bootstrap, JASA 89);
their mean length follows from the series (`block_length`). Bounds are percentiles, which do not change with the scale a number is put in,
at levels widened for short series (`_levels`). Every draw comes from a seed: the same series gives the same bounds.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ffe.replay.models import Floats, Interval, Ints

# Values along the last axis to one number each: (..., n) -> (...). NaN where undefined.
Statistic = Callable[[Floats], Floats]

RESAMPLES = 1000
SEED = 7
LEVEL = 0.95
# Below this no interval is given: resampling four values shows nothing but these four.
ENOUGH = 5
# The rule gives a little more than 1 to independent values, too.
_INDEPENDENT = 1.3
# Returns that a difference is resampled from; more are pooled, or twenty days of 1m bars would take seconds for each baseline.
_MOST = 5000
# Values of one chunk of resamples, 2 MiB as float64: stays in the cache, and a long series times a thousand would not fit into memory.
_CHUNK = 1 << 18


def interval(
    values: Floats, statistic: Statistic, resamples: int = RESAMPLES, seed: int = SEED, *, block: float | None = None
) -> Interval | None:
    """A statistic of `values` (n) and its two-sided 95 % interval. `block`: mean block length; 1: values are independent; None: measured.

    None with fewer than 5 values, or where the statistic is undefined for them or for every resample.
    """
    return intervals(values, {"": statistic}, resamples, seed, block=block).get("")


def intervals(
    values: Floats,
    statistics: Mapping[str, Statistic],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    *,
    block: float | None = None,
) -> dict[str, Interval]:
    """As `interval`, of several statistics on the same resamples, by name; those that have none are left out."""
    if values.size < ENOUGH:
        return {}
    length = careful_length(values) if block is None else block
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _chunks(values.size, resamples, length, seed):
            samples = values[rows]
            for name, statistic in statistics.items():
                drawn[name].append(statistic(samples))
    found = {
        name: _bounds(float(statistics[name](values)), np.concatenate(each), values.size / length)
        for name, each in drawn.items()
    }
    return {name: each for name, each in found.items() if each is not None}


def _bounds(value: float, drawn: Floats, independent: float) -> Interval | None:
    known = drawn[np.isfinite(drawn)]
    if known.size == 0 or not np.isfinite(value):
        return None
    return Interval(value, *_quantiles(known, independent))


def _quantiles(drawn: Floats, independent: float) -> tuple[float, float]:
    """The (resamples + 1) level-th drawn values: Davison & Hinkley 1997, Bootstrap Methods and their Application, section 5.2."""
    low, high = np.quantile(drawn, _levels(independent), method="weibull")
    return float(low), float(high)


def paired_difference(a_returns: Floats, b_returns: Floats, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Total return of `a_returns` (n) less that of `b_returns` (n), with its 95 % interval.

    Both are resampled by the same rows, so that what the market did to both does not count as doubt. Exactly zero for two equal series.
    With fewer than 5 returns the bounds are infinite: nothing is known.

    Raises:
        ValueError: series of different lengths.
    """
    if a_returns.size != b_returns.size:
        raise ValueError(f"paired returns need one length, got {a_returns.size} and {b_returns.size}")
    value = float(_growth(a_returns) - _growth(b_returns))
    if np.array_equal(a_returns, b_returns):
        return Interval(0.0, 0.0, 0.0)
    if a_returns.size < ENOUGH:
        return Interval(value, -np.inf, np.inf)
    if a_returns.size > _MOST:
        a_returns, b_returns = _pooled(a_returns), _pooled(b_returns)
    length = careful_length(a_returns - b_returns)
    found = np.concatenate(
        [
            _growth(a_returns[rows]) - _growth(b_returns[rows])
            for rows in _chunks(a_returns.size, resamples, length, seed)
        ]
    )
    return Interval(value, *_quantiles(found, a_returns.size / length))


def _pooled(returns: Floats) -> Floats:
    """Neighbouring returns compounded to at most `_MOST`: the same total, and what they have in common stays within them."""
    size = -(-returns.size // _MOST)
    return np.asarray(np.multiply.reduceat(1 + returns, np.arange(0, returns.size, size)) - 1)


def _growth(returns: Floats) -> Floats:
    """prod(1 + r) along the last axis, finite whatever a resample puts together."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(np.prod(1 + returns, axis=-1), nan=0.0, posinf=1e300, neginf=-1e300))


def careful_length(values: Floats) -> float:
    """Mean block length behind an interval: twice the rule's, leaving at least five blocks.

    The rule makes the variance of the estimate as exact as can be, and what it gets wrong is nearly always too little. Of 1000 simulated
    series of 100 values that each share 0.3 (0.6) with the one before, intervals held the mean in 91.6 % (88.4 %) with the rule's length
    and in 93.8 % (91.6 %) with twice that; of independent ones in 95 % both ways. Intervals of short and strongly dependent series stay
    too narrow: with 50 values that share 0.6 they hold it in 90 %.
    """
    length = block_length(values)
    return max(1.0, min(2.0 * length, values.size / ENOUGH)) if length > _INDEPENDENT else 1.0


def block_length(values: Floats) -> float:
    """Mean block length for the stationary bootstrap of `values` (n); 1 where they look independent.

    Politis & White 2004, Automatic Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23, with the
    constant D = 2 g(0)^2 as corrected by Patton, Politis & White 2009, Econometric Reviews 28. Flat-top lag window; at most
    min(3 sqrt(n), n / 3).
    """
    n = values.size
    centred = values - values.mean() if n else values
    variance = float(centred @ centred) / n if n else 0.0
    if n < 2 * ENOUGH or variance <= np.finfo(np.float64).eps ** 2:
        return 1.0
    quiet = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    most = min(int(np.ceil(np.sqrt(n))) + quiet, n - 1)
    covariance = np.array([float(centred[: n - lag] @ centred[lag:]) / n for lag in range(most + 1)])
    lags = min(2 * max(_last_lag(covariance / variance, n, quiet), 1), most)
    k = np.arange(1, lags + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - k / lags))
    g = 2.0 * float(np.sum(window * k * covariance[k]))
    spectrum = variance + 2.0 * float(np.sum(window * covariance[k]))
    # An estimate of the spectrum at zero may come out as zero or less; then the longest allowed block is the careful one.
    longest = float(np.ceil(min(3.0 * np.sqrt(n), n / 3.0)))
    if spectrum <= 0:
        return longest
    return float(np.clip((g * g / (spectrum * spectrum) * n) ** (1.0 / 3.0), 1.0, longest))


def _last_lag(correlation: Floats, n: int, quiet: int) -> int:
    """Smallest lag after which `quiet` correlations in a row are insignificant: footnote c of Politis & White 2004."""
    loud = np.flatnonzero(np.abs(correlation[1:]) >= 2.0 * np.sqrt(np.log10(n) / n)) + 1
    last = 0
    for lag in loud.tolist():
        if lag - last > quiet:
            break
        last = lag
    return last


def resampled_rows(n: int, count: int, block: float, generator: np.random.Generator) -> Ints:
    """Rows (count, n) of `count` resamples: blocks from random starts on, wrapping around, each next row with chance 1 / block a new one."""
    starts = generator.integers(0, n, (count, n))
    if block <= 1:
        return starts
    fresh = generator.random((count, n)) < 1.0 / block
    fresh[:, 0] = True
    here = np.arange(n)
    first = np.maximum.accumulate(np.where(fresh, here, 0), axis=1)
    return np.asarray((np.take_along_axis(starts, first, axis=1) + here - first) % n)


def _chunks(n: int, resamples: int, block: float, seed: int) -> Iterator[Ints]:
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // n)
    for first in range(0, resamples, size):
        yield resampled_rows(n, min(size, resamples - first), block, generator)


def _levels(independent: float) -> tuple[float, float]:
    """Quantiles of the expanded percentile interval: as wide as Student's t where the plain percentile is as narrow as the normal.

    Hesterberg 2014, What Teachers Should Know about the Bootstrap, arXiv:1411.5279, "expanded percentile interval": the level
    Phi(sqrt(n / (n - 1)) t). n is the number of blocks, as only these are drawn independently.
    """
    from scipy.special import ndtr, stdtrit

    n = max(independent, 2.0)
    tail = float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + LEVEL) / 2)))
    return tail, 1 - tail
