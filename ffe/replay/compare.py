"""A strategy beside a baseline on the same bars: how much more it made, and whether that may be chance."""

import numpy as np

from ffe.market.models import AssetClass, Timeframe
from ffe.replay.bootstrap import RESAMPLES, SEED, paired_difference
from ffe.replay.models import Compared, Floats, Ints, Stats
from ffe.replay.returns import returns_of


def compared(
    name: str,
    times: Ints,
    strategy: Floats,
    baseline: Floats,
    stats: Stats,
    *,
    timeframe: Timeframe,
    asset_class: AssetClass,
    capital: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Compared:
    """The baseline `name` beside the strategy: total return of the strategy less the baseline's, with its 95 % interval.

    `strategy`, `baseline` (T): equity at the same moments `times` (T). `stats`: the baseline's, from `statistics.describe`. `capital`: what
    both started with; None: their first equity. The interval is a paired stationary bootstrap of the returns that `returns_of` chooses;
    where these are fewer than 5 its bounds are infinite.

    Raises:
        ValueError: as `returns_of`.
    """
    ours = returns_of(times, strategy, timeframe=timeframe, asset_class=asset_class, capital=capital).values
    theirs = returns_of(times, baseline, timeframe=timeframe, asset_class=asset_class, capital=capital).values
    found = paired_difference(ours, theirs, resamples, seed)
    return Compared(name, stats, _gain(strategy, capital) - _gain(baseline, capital), found.low, found.high, baseline)


def beats(baseline: Compared) -> bool | None:
    """Whether the strategy beat the baseline: None where the interval holds zero, so that nobody can say."""
    if baseline.low > 0:
        return True
    return False if baseline.high < 0 else None


def rank_among(value: float, others: Floats) -> float:
    """Share of `others` (n) that `value` is better than, equal ones counted as half: 0.5 is what chance gives. NaN without any."""
    if others.size == 0:
        return float("nan")
    return float(np.mean((others < value) + 0.5 * (others == value)))


def _gain(equity: Floats, capital: float | None) -> float:
    return float(equity[-1]) / (float(equity[0]) if capital is None else capital) - 1.0
