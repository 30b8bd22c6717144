"""Sharpe ratios that know how many were tried: the best of many is good by luck alone.

Bailey & Lopez de Prado 2012, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2): probabilistic Sharpe ratio, minimum track record.
Bailey & Lopez de Prado 2014, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5): its benchmark is the maximum that as many
trials without any skill are expected to reach. Every Sharpe ratio here is that of one return, not annualised; kurtosis is 3 for the normal.
"""

from dataclasses import dataclass
from math import e, inf, sqrt
from statistics import NormalDist

import numpy as np

from ffe.replay.models import Floats
from ffe.replay.returns import refuse_gaps
from ffe.replay.statistics import sharpe as annual_sharpe

_NORMAL = NormalDist()
# Below it a track record says nothing: the level that both papers use.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Moments:
    """Of n returns: Sharpe ratio of one return (n - 1), skewness and kurtosis of the population."""

    n: int
    sharpe: float
    skewness: float
    kurtosis: float


@dataclass(frozen=True)
class Deflated:
    """`probability`: that the true Sharpe ratio is above what `trials` without skill reach; `significant` from 95 % on.

    `sharpe`, `benchmark`: of one return. `probabilistic`: the same against 0, as if nothing else had been tried. `needed`: returns from which
    on the Sharpe ratio would be significant against the benchmark; infinite where it is not above it.
    """

    trials: float
    n: int
    sharpe: float
    benchmark: float
    probability: float
    probabilistic: float
    needed: float

    @property
    def significant(self) -> bool:
        return self.probability >= CONFIDENCE


def deflated(returns: Floats, trial_sharpes: Floats, trials: float | None = None) -> Deflated | None:
    """The Sharpe ratio of the chosen trial's `returns` (n) against what choosing it among all trials explains.

    `trial_sharpes` (N): of one return each, the chosen among them. `trials`: how many of them are independent, from
    `independent_trials`; None: all. None where the returns have no Sharpe ratio.

    Raises:
        ValueError: a value that is not finite, or no trial.
    """
    refuse_gaps("trial sharpes", trial_sharpes)
    if trial_sharpes.size == 0:
        raise ValueError("a deflated Sharpe ratio needs the Sharpe ratios of its trials, got none")
    found = moments(returns)
    if found is None:
        return None
    count = float(trial_sharpes.size) if trials is None else trials
    variance = float(np.var(trial_sharpes, ddof=1)) if trial_sharpes.size > 1 else 0.0
    benchmark = expected_maximum_sharpe(count, variance)
    return Deflated(
        trials=count,
        n=found.n,
        sharpe=found.sharpe,
        benchmark=benchmark,
        probability=probabilistic_sharpe(found, benchmark),
        probabilistic=probabilistic_sharpe(found, 0.0),
        needed=minimum_track_record(found, benchmark),
    )


def moments(returns: Floats) -> Moments | None:
    """Moments of `returns` (n); None with fewer than two, or where all are the same.

    Raises:
        ValueError: a value that is not finite.
    """
    refuse_gaps("returns", returns)
    ratio = float(annual_sharpe(returns, 1.0))
    if not np.isfinite(ratio):
        return None
    centred = returns - returns.mean()
    deviation = float(np.sqrt(np.mean(centred**2)))
    scaled = centred / deviation
    return Moments(int(returns.size), ratio, float(np.mean(scaled**3)), float(np.mean(scaled**4)))


def probabilistic_sharpe(found: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`: 2012, section 3; 2014, eq. 2 names it for any benchmark.

    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)).
    """
    return _NORMAL.cdf((found.sharpe - benchmark) * sqrt(found.n - 1) / sqrt(_variance(found)))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """What the best of `trials` independent ones without skill is expected to reach: 2014, eq. 1 with a mean of 0.

    sqrt(V) ((1 - g) Phi^-1(1 - 1 / N) + g Phi^-1(1 - 1 / (N e))), g Euler's constant, `variance` V of the trials' Sharpe ratios. 0 for a
    single trial, of which nothing was chosen; the formula is for many and slightly low for two or three.
    """
    if trials <= 1:
        return 0.0
    gamma = float(np.euler_gamma)
    best = (1 - gamma) * _NORMAL.inv_cdf(1 - 1 / trials) + gamma * _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return sqrt(variance) * max(best, 0.0)


def deflated_sharpe(found: Moments, trials: float, variance: float) -> float:
    """The probabilistic Sharpe ratio against the expected maximum: 2014, eq. 2."""
    return probabilistic_sharpe(found, expected_maximum_sharpe(trials, variance))


def minimum_track_record(found: Moments, benchmark: float = 0.0, confidence: float = CONFIDENCE) -> float:
    """Returns from which on this Sharpe ratio would be above `benchmark` with that confidence; infinite where it is not above it.

    2012, section on the minimum track record length: 1 + (1 - skewness SR + (kurtosis - 1) / 4 SR^2) (Z / (SR - SR*))^2.
    """
    if found.sharpe <= benchmark:
        return inf
    return 1 + _variance(found) * (_NORMAL.inv_cdf(confidence) / (found.sharpe - benchmark)) ** 2


def independent_trials(returns: Floats) -> float:
    """How many independent trials M correlated ones amount to: 2014, appendix A.3: r + (1 - r) M, r the mean correlation.

    `returns` (M, n): one row a trial. Neighbours in a grid of parameters trade alike; counting each would deflate too much. A trial that
    never traded has no correlation and counts as independent; a negative mean counts as none, so that there are never more than M.

    Raises:
        ValueError: a value that is not finite.
    """
    refuse_gaps("returns", returns.ravel())
    count = int(returns.shape[0])
    if count < 2:
        return float(count)
    centred = returns - returns.mean(axis=1, keepdims=True)
    length = np.sqrt(np.sum(centred**2, axis=1, keepdims=True))
    unit = np.where(length > 1e-12, centred / np.where(length > 1e-12, length, 1.0), 0.0)
    # The sum of all correlations is the squared length of the sum of unit vectors: no M by M matrix.
    together = float(np.sum(np.sum(unit, axis=0) ** 2)) - float(np.sum(unit**2))
    mean = min(max(together / (count * (count - 1)), 0.0), 1.0)
    return mean + (1 - mean) * count


def _variance(found: Moments) -> float:
    """Variance of the estimate times n - 1. Positive for the moments of any series, as kurtosis is at least 1 + skewness^2."""
    return 1 - found.skewness * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
