"""Statistics of one equity curve and its trades.

The ratios of returns are those of empyrical, to the last digit, with no risk-free rate: an account of a few days earns none. Drawdown,
exposure and turnover look at every bar, because a day's last equity hides what happened inside it. A number that is undefined is None, not
zero or infinity. Functions of returns take (..., n) and reduce the last axis, NaN where undefined, so that the bootstrap can feed them
thousands of resamples at once.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe.market.models import AssetClass, Timeframe
from ffe.replay.bootstrap import SEED, Statistic, intervals
from ffe.replay.models import ExitReason, Floats, Interval, Ints, Stats
from ffe.replay.returns import DAY, Per, Returns, check, refuse_gaps, returns_of, trading

# Deviations of this size are rounding of float64 returns, not risk: a ratio over them would be in the billions.
_NOISE = 1e-14
# Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054


def describe(
    times: Ints,
    equity: Floats,
    trades: pa.Table,
    notional: Floats,
    holds: Mapping[str, int],
    *,
    timeframe: Timeframe,
    asset_class: AssetClass,
    capital: float | None = None,
    orders: int | None = None,
    resamples: int = 0,
    seed: int = SEED,
) -> Stats:
    """Statistics of one equity curve.

    `times` (T): moments at which bars closed. `equity`, `notional` (T) then, USD. `trades`: rows of TRADE_SCHEMA, open ones as marked.
    `holds`: bars that ended in HOLD, by author. `capital`: equity before the first moment; None: the first equity. `orders`: placed; None:
    the entries and closing signals of the trades. `resamples`: of the bootstrap; 0: no intervals.

    Volatility, Sharpe and Sortino are annualised from daily returns by 365 (crypto) or 252 (forex). Under 20 days they come from the
    returns of bars, annualised by the bars of a year, and there is neither CAGR nor Calmar: a day's luck to the power of 365 is no rate.
    `returns_per` of the result says which.

    Raises:
        ValueError: as `returns_of`; also for a notional or a profit that is not finite.
    """
    check(times, equity, capital)
    refuse_gaps("notional", notional)
    start = float(equity[0]) if capital is None else capital
    returns = returns_of(times, equity, timeframe=timeframe, asset_class=asset_class, capital=capital)
    pnl = _column(trades, "pnl")
    refuse_gaps("pnl", pnl)
    depth, days = _drawdown(times, equity, start, timeframe)
    growth = _growth(returns, float(equity[-1]), start)
    return Stats(
        return_=float(equity[-1]) / start - 1.0,
        cagr=growth,
        volatility=_known(volatility(returns.values, returns.per_year)),
        sharpe=_known(sharpe(returns.values, returns.per_year)),
        sortino=_known(sortino(returns.values, returns.per_year)),
        calmar=None if growth is None or depth == 0 else growth / depth,
        max_drawdown=depth,
        max_drawdown_days=days,
        exposure=float(np.mean(notional[trading(times, asset_class)] != 0)),
        turnover=_turnover(trades, equity),
        trades=trades.num_rows,
        win_rate=_known(win_rate(pnl)),
        profit_factor=_known(profit_factor(pnl)),
        expectancy=_known(expectancy(pnl)),
        fees=float(_column(trades, "fees").sum()),
        slippage=float(_column(trades, "slippage").sum()),
        spread=float(_column(trades, "spread").sum()),
        hold_share=_hold_share(holds, _orders(trades) if orders is None else orders),
        intervals=_intervals(returns, pnl, growth is not None, resamples, seed) if resamples > 0 else {},
        returns_per=returns.per.value,
    )


def total_return(returns: Floats) -> Floats:
    """prod(1 + r) - 1."""
    return np.asarray(np.prod(1.0 + returns, axis=-1) - 1.0)


def annual_return(returns: Floats, per_year: float) -> Floats:
    """CAGR: prod(1 + r) ^ (per_year / n) - 1; -1 when nothing is left."""
    if returns.shape[-1] == 0:
        return _undefined(returns)
    left = np.maximum(1.0 + total_return(returns), 0.0)
    with np.errstate(over="ignore"):
        return np.asarray(left ** (per_year / returns.shape[-1]) - 1.0)


def volatility(returns: Floats, per_year: float) -> Floats:
    """Standard deviation (n - 1) times sqrt(per_year)."""
    if returns.shape[-1] < 2:
        return _undefined(returns)
    return np.asarray(np.std(returns, axis=-1, ddof=1) * np.sqrt(per_year))


def sharpe(returns: Floats, per_year: float) -> Floats:
    """mean / standard deviation (n - 1) times sqrt(per_year): Sharpe 1994, The Sharpe Ratio, eq. 3 to 6, over no benchmark."""
    if returns.shape[-1] < 2:
        return _undefined(returns)
    return np.asarray(_ratio(np.mean(returns, axis=-1), np.std(returns, axis=-1, ddof=1)) * np.sqrt(per_year))


def sortino(returns: Floats, per_year: float) -> Floats:
    """mean / sqrt(mean(min(r, 0)^2)) times sqrt(per_year): Sortino & Price 1994, with a target of 0 and all n in the denominator."""
    if returns.shape[-1] < 2:
        return _undefined(returns)
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=-1))
    return np.asarray(_ratio(np.mean(returns, axis=-1), downside) * np.sqrt(per_year))


def calmar(returns: Floats, per_year: float) -> Floats:
    """CAGR / deepest drawdown: Young 1991, Calmar Ratio: A Smoother Tool, over the whole period."""
    curve = np.concatenate((np.ones((*returns.shape[:-1], 1)), np.cumprod(1.0 + returns, axis=-1)), axis=-1)
    return _ratio(annual_return(returns, per_year), max_drawdown(curve))


def max_drawdown(equity: Floats) -> Floats:
    """max((peak so far - equity) / peak so far), positive; more than 1 when more than everything is lost."""
    peak = np.maximum.accumulate(equity, axis=-1)
    return np.asarray(np.max((peak - equity) / peak, axis=-1))


def win_rate(pnl: Floats) -> Floats:
    """Share of trades with a profit after costs."""
    return np.asarray(np.mean(pnl > 0, axis=-1)) if pnl.shape[-1] > 0 else _undefined(pnl)


def profit_factor(pnl: Floats) -> Floats:
    """Sum of profits / sum of losses; undefined without a loss."""
    losses = -np.sum(np.minimum(pnl, 0.0), axis=-1)
    return _ratio(np.sum(np.maximum(pnl, 0.0), axis=-1), losses, noise=0.0)


def expectancy(pnl: Floats) -> Floats:
    """Mean profit of a trade, USD."""
    return np.asarray(np.mean(pnl, axis=-1)) if pnl.shape[-1] > 0 else _undefined(pnl)


def wilson(wins: int, n: int) -> Interval:
    """A share and its 95 % interval: Wilson 1927, Probable Inference, JASA 22. Unlike a bootstrap it is never certain after n wins of n."""
    share = wins / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * float(np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)))
    return Interval(share, 0.0 if wins == 0 else centre - half, 1.0 if wins == n else centre + half)


def _growth(returns: Returns, last: float, start: float) -> float | None:
    """CAGR of daily returns. From the equity itself, as a loss of more than everything stays one."""
    if returns.per is Per.BAR:
        return None
    return float(max(last / start, 0.0) ** (returns.per_year / returns.values.size) - 1.0)


def _drawdown(times: Ints, equity: Floats, start: float, timeframe: Timeframe) -> tuple[float, float]:
    """Deepest drawdown, and days from its peak to the first moment that is as high again, or to the end."""
    curve = np.concatenate(([start], equity))
    moments = np.concatenate(([times[0] - timeframe.seconds], times))
    peak = np.maximum.accumulate(curve)
    below = (peak - curve) / peak
    trough = int(np.argmax(below))
    if below[trough] <= 0:
        return 0.0, 0.0
    top = int(np.flatnonzero(curve[:trough] == peak[trough])[-1])
    again = np.flatnonzero(curve[trough:] >= peak[trough])
    end = trough + int(again[0]) if again.size else curve.size - 1
    return float(below[trough]), float(moments[end] - moments[top]) / DAY


def _turnover(trades: pa.Table, equity: Floats) -> float:
    """Value of all fills over the average equity, of the whole period: an entry and an exit of all equity make 2."""
    value = float(np.mean(equity))
    if trades.num_rows == 0 or value <= 0:
        return 0.0
    entered = np.abs(_column(trades, "notional"))
    moved = _column(trades, "exit_price") / _column(trades, "entry_price")
    closed = _reasons(trades) != ExitReason.OPEN.value
    return float(np.sum(entered * (1.0 + np.where(closed, moved, 0.0)))) / value


def _orders(trades: pa.Table) -> int:
    return int(trades.num_rows) + int(np.sum(_reasons(trades) == ExitReason.SIGNAL.value))


def _hold_share(holds: Mapping[str, int], orders: int) -> dict[str, float]:
    decided = sum(holds.values()) + orders
    return {author: count / decided for author, count in holds.items() if count > 0}


def _intervals(returns: Returns, pnl: Floats, annual: bool, resamples: int, seed: int) -> dict[str, Interval]:
    year = returns.per_year
    of_returns: dict[str, Statistic] = {
        "return_": total_return,
        "volatility": partial(volatility, per_year=year),
        "sharpe": partial(sharpe, per_year=year),
        "sortino": partial(sortino, per_year=year),
    }
    if annual:
        of_returns["cagr"] = partial(annual_return, per_year=year)
    found = intervals(returns.values, of_returns, resamples, seed)
    # Trades are drawn one by one: what one has in common with the next is little against what it shares with its own bars.
    found |= intervals(pnl, {"expectancy": expectancy}, resamples, seed, block=1)
    return found if pnl.size == 0 else found | {"win_rate": wilson(int(np.sum(pnl > 0)), pnl.size)}


def _ratio(above: Floats, below: Floats, noise: float = _NOISE) -> Floats:
    defined = below > noise
    with np.errstate(over="ignore"):
        return np.asarray(np.where(defined, above / np.where(defined, below, 1.0), np.nan))


def _undefined(values: Floats) -> Floats:
    return np.full(values.shape[:-1], np.nan)


def _known(value: Floats) -> float | None:
    return float(value) if np.isfinite(value) else None


def _column(trades: pa.Table, name: str) -> Floats:
    return np.asarray(trades.column(name).to_numpy(), dtype=np.float64)


def _reasons(trades: pa.Table) -> npt.NDArray[np.object_]:
    return np.asarray(trades.column("exit_reason").to_numpy(zero_copy_only=False), dtype=np.object_)
