"""What the same trades could have looked like: how much of a result is the order they came in, and which of them happened.

Order alone changes the drawdown and never the end, as growth multiplies; so the drawdown is that of shuffled trades, and the end that of
trades drawn with replacement. A trade counts by its share of the equity it met, because sizes follow equity. Equity between two exits is not
seen, so these drawdowns are shallower than that of the bars; compare them with `observed_drawdown`, not with the one in `Stats`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ffe.replay.bootstrap import RESAMPLES, SEED
from ffe.replay.models import Floats, Ints
from ffe.replay.returns import refuse_gaps
from ffe.replay.statistics import max_drawdown

# Trades of one chunk of resamples, as in `bootstrap`.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Spread:
    """5 %, 50 % and 95 % quantiles."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class TradeOrder:
    """`final`: equity at the end, USD, of trades drawn with replacement; `loss_share`: of these, how many end below the capital.

    `drawdown`: of the same trades in random order, a fraction of the peak; `deeper_share`: how many of the orders were deeper than, or as
    deep as, the one that happened: near 0 says that the order was unlucky, near 1 that it was lucky.
    """

    trades: int
    resamples: int
    observed_final: float
    observed_drawdown: float
    final: Spread
    drawdown: Spread
    loss_share: float
    deeper_share: float


def monte_carlo(trades: pa.Table, capital: float, resamples: int = RESAMPLES, seed: int = SEED) -> TradeOrder | None:
    """Monte Carlo over trades in the order of their exits, open ones as marked. None with fewer than two trades.

    Raises:
        ValueError: a profit that is not finite, or a capital that is not positive.
    """
    pnl = np.asarray(trades.column("pnl").to_numpy(), dtype=np.float64)
    refuse_gaps("pnl", pnl)
    if not capital > 0:
        raise ValueError(f"an account starts with {capital}, which is not more than 0")
    if pnl.size < 2:
        return None
    growth = growth_factors(pnl, capital)
    observed = _curves(growth[np.newaxis, :], capital)
    depth = float(max_drawdown(observed)[0])
    finals, depths = _simulated(growth, capital, resamples, seed)
    return TradeOrder(
        trades=int(pnl.size),
        resamples=resamples,
        observed_final=float(observed[0, -1]),
        observed_drawdown=depth,
        final=_spread(finals),
        drawdown=_spread(depths),
        loss_share=float(np.mean(finals < capital)),
        # Rounding differs with the order of the products.
        deeper_share=float(np.mean(depths >= depth * (1 - 1e-12))),
    )


def growth_factors(pnl: Floats, capital: float) -> Floats:
    """By what each trade multiplied the equity it met; 0 for one that lost everything, 1 for what comes after that."""
    before = capital + np.concatenate(([0.0], np.cumsum(pnl)[:-1]))
    alive = np.minimum.accumulate(before) > 0
    return np.where(alive, np.maximum(1.0 + pnl / np.where(alive, before, 1.0), 0.0), 1.0)


def _simulated(growth: Floats, capital: float, resamples: int, seed: int) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    n, size = growth.size, max(1, _CHUNK // growth.size)
    finals, depths = [], []
    for first in range(0, resamples, size):
        count = min(size, resamples - first)
        drawn: Ints = generator.integers(0, n, (count, n))
        finals.append(capital * np.prod(growth[drawn], axis=1))
        shuffled = generator.permuted(np.broadcast_to(growth, (count, n)), axis=1)
        depths.append(max_drawdown(_curves(shuffled, capital)))
    return np.concatenate(finals), np.concatenate(depths)


def _curves(growth: Floats, capital: float) -> Floats:
    """Equity (count, n + 1) from the capital on."""
    start = np.full((growth.shape[0], 1), capital)
    return np.concatenate((start, capital * np.cumprod(growth, axis=1)), axis=1)


def _spread(values: Floats) -> Spread:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return Spread(float(low), float(median), float(high))
