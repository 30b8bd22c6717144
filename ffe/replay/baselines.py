"""What something simple would have made on the same bars, under the same rules and costs, and how sure the difference is.

Buy and hold is replayed without rules, since holding is what it is: everything in at the first bar. The random baseline has the strategy's
own trades at other moments; its interval is that of the random draws themselves, the others' a paired bootstrap of returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.replay.compare import compared
from ffe.replay.deciding import Decided
from ffe.replay.engines import COMPILED, engine_run, unbounded_run
from ffe.replay.models import Compared, Feed, Floats, Plan, Result, Signals, Stats
from ffe.replay.statistics import describe
from ffe.replay.strategies.alike import random_like
from ffe.replay.strategies.protocol import Strategy
from ffe.replay.strategies.registry import STRATEGIES

RULES = ("buy-and-hold", "sma-cross", "momentum", "mean-reversion", "hold")
RANDOM = "random"
# Draws of the random baseline: as many as can be had without making a long replay much longer.
MOST_DRAWS, FEWEST_DRAWS, BARS_TO_DRAW = 200, 20, 20_000_000


def trades_of(result: Result, at: int) -> pa.Table:
    """Rows of one instrument."""
    return result.trades.filter(pc.equal(result.trades["instrument"], result.instruments[at]))


@dataclass(frozen=True)
class Bench:
    """Everything that one replay's baselines share."""

    feeds: tuple[Feed, ...]
    plan: Plan
    engine: str
    resamples: int
    seed: int

    def stats(self, result: Result, at: int, *, intervals: bool = False) -> Stats:
        """Statistics of one instrument, as if its account held nothing else."""
        bars = self.feeds[at].bars
        return describe(
            result.times,
            result.equity(at),
            trades_of(result, at),
            result.notional[:, at],
            result.holds[at],
            timeframe=bars.timeframe,
            asset_class=bars.instrument.asset_class,
            capital=result.capital,
            orders=result.orders[at],
            resamples=self.resamples if intervals else 0,
            seed=self.seed,
        )

    def beside(self, name: str, own: Result, baseline: Result, at: int) -> Compared:
        bars = self.feeds[at].bars
        return compared(
            name,
            own.times,
            own.equity(at),
            baseline.equity(at),
            self.stats(baseline, at),
            timeframe=bars.timeframe,
            asset_class=bars.instrument.asset_class,
            capital=own.capital,
            resamples=self.resamples,
            seed=self.seed,
        )


def strategy_run(bench: Bench, strategy: Strategy | None, signals: Sequence[Signals]) -> Result:
    """A strategy's signals through the engine, or without rules where it is replayed so."""
    if strategy is not None and strategy.unbounded:
        return unbounded_run(bench.feeds, signals, bench.plan)
    return engine_run(bench.engine, bench.feeds, signals, bench.plan)


def baselines(bench: Bench, own: Result, said: Decided) -> tuple[tuple[Compared, ...], ...]:
    """For each feed every rule but the strategy's own, and random trades like it."""
    found: list[list[Compared]] = [[] for _ in bench.feeds]
    for name in RULES:
        if name == said.name:
            continue
        strategy = STRATEGIES[name]
        result = strategy_run(bench, strategy, [strategy.signals(feed.bars) for feed in bench.feeds])
        for at, column in enumerate(found):
            column.append(bench.beside(name, own, result, at))
    if said.name != RANDOM:
        for column, each in zip(found, _random(bench, own), strict=True):
            column.append(each)
    return tuple(tuple(column) for column in found)


def _random(bench: Bench, own: Result) -> list[Compared]:
    """Beside the draw in the middle; the interval is where the difference lies for 95 % of the draws."""
    draws = _draws(bench)
    seeds = range(bench.seed, bench.seed + draws)
    gains = np.array([_gains(bench, _alike(bench, own, seed)) for seed in seeds])
    found = []
    for at in range(len(bench.feeds)):
        ours = float(own.equity(at)[-1]) / own.capital - 1
        middle = int(np.argsort(gains[:, at], kind="stable")[draws // 2])
        typical = _run(bench, _alike(bench, own, seeds[middle]))
        low, high = np.quantile(gains[:, at], (0.975, 0.025))
        curve, stats = typical.equity(at), bench.stats(typical, at)
        difference = ours - float(gains[:, at].mean())
        found.append(Compared(RANDOM, stats, difference, ours - float(low), ours - float(high), curve))
    return found


def _draws(bench: Bench) -> int:
    if bench.engine != COMPILED:
        return FEWEST_DRAWS
    bars = sum(len(feed.bars) for feed in bench.feeds)
    return max(FEWEST_DRAWS, min(MOST_DRAWS, BARS_TO_DRAW // max(bars, 1)))


def _alike(bench: Bench, own: Result, seed: int) -> list[Signals]:
    return [random_like(feed.bars, own.trades, seed, feed.gates) for feed in bench.feeds]


def _run(bench: Bench, signals: Sequence[Signals]) -> Result:
    return engine_run(bench.engine, bench.feeds, signals, bench.plan)


def _gains(bench: Bench, signals: Sequence[Signals]) -> Floats:
    """Total return of each instrument."""
    return np.asarray(_run(bench, signals).pnl[-1] / bench.plan.capital)
