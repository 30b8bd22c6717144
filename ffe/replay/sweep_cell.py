"""One cell of a sweep: one combination in one window, replayed in sample and out of sample, in whatever process is told to.

The numbers are of all instruments together, over the capital of every venue's account. An account that never trades in a window has its
capital in them all the same, as it would have in life.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ffe.errors import ConfigurationError
from ffe.market.models import AssetClass
from ffe.replay.deflated import moments
from ffe.replay.document import stats_document
from ffe.replay.engines import AUTO, chosen, engine_run
from ffe.replay.models import Feed, Floats, Plan, Result
from ffe.replay.returns import returns_of
from ffe.replay.statistics import describe
from ffe.replay.strategies import find_strategy
from ffe.replay.sweep_feeds import Stored, in_memory, load
from ffe.replay.sweep_space import Combination, of_strategy, plan_of
from ffe.replay.sweep_windows import Part, Span, Window, part, price_return, silenced

# So many returns of a cell are kept: enough to see how alike two of them traded.
POINTS = 50


@dataclass(frozen=True, slots=True)
class Shared:
    """What all cells of a sweep have in common. `sha256`: of the strategy's file as the keys were made of it; None: a strategy of ours."""

    feeds: tuple[Stored, ...]
    strategy: str
    plan: Plan
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """`key`: of everything that its numbers come from."""

    key: str
    combination: Combination
    window: Window


def file_sha256(strategy: str) -> str | None:
    """Of a strategy file; None for a name, or where there is no file. What the file imports is not in it."""
    path = Path(strategy).expanduser()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" and path.is_file() else None


def compute(shared: Shared, cell: Cell) -> dict[str, Any]:
    """Statistics of both sides, as JSON holds them: `key`, `params`, `window`, `inside`, `outside`, `seconds`.

    Raises:
        ConfigurationError: the strategy or the plan refuses the combination, an instrument has no bar in the window, or the strategy's file
            is no longer the one of the key.
    """
    began = time.perf_counter()
    _check_file(shared)
    sides = {"inside": cell.window.inside, "outside": cell.window.outside}
    measured = {side: _measured(shared, cell, span) for side, span in sides.items()}
    # Each side has read it again.
    _check_file(shared)
    about = {"key": cell.key, "params": dict(cell.combination), "window": cell.window.number}
    return about | measured | {"seconds": time.perf_counter() - began}


def _check_file(shared: Shared) -> None:
    if file_sha256(shared.strategy) != shared.sha256:
        raise ConfigurationError(f"the strategy file {shared.strategy} has changed since the sweep began")


def _measured(shared: Shared, cell: Cell, span: Span) -> dict[str, Any]:
    plan = plan_of(shared.plan, cell.combination)
    strategy = find_strategy(shared.strategy, of_strategy(cell.combination))
    parts = _parts(shared.feeds, span, max(plan.lookback, strategy.lookback))
    signals = [silenced(strategy.signals(each.feed.bars), each.warm) for each in parts]
    feeds = [each.feed for each in parts]
    engine, _ = chosen(AUTO, feeds, plan)
    result = engine_run(engine, feeds, signals, plan)
    return measure(parts, result, plan, span)


@lru_cache(maxsize=1)
def _loaded(stored: tuple[Stored, ...]) -> tuple[Feed, ...]:
    return tuple(load(each) for each in stored)


# Cells come window by window: both sides of one stay, at two lengths of warm-up.
@lru_cache(maxsize=4)
def _parts(stored: tuple[Stored, ...], span: Span, warm_up: int) -> tuple[Part, ...]:
    cut = [part(feed, span, warm_up) for feed in _loaded(stored)]
    return tuple(Part(in_memory(each.feed), each.warm) for each in cut)


def measure(parts: Sequence[Part], result: Result, plan: Plan, span: Span) -> dict[str, Any]:
    """Statistics of the span alone, without the warm-up before it, and what the deflated Sharpe ratio wants to know of its returns."""
    rows = result.times > span.start
    capital = plan.capital * len({each.feed.bars.instrument.venue for each in parts})
    equity = capital + result.pnl[rows].sum(axis=1)
    about: Mapping[str, Any] = {"timeframe": parts[0].feed.bars.timeframe, "asset_class": _asset_class(parts)}
    stats = describe(
        result.times[rows],
        equity,
        result.trades,
        result.notional[rows].sum(axis=1),
        sum((Counter(each) for each in result.holds), Counter()),
        capital=capital,
        orders=sum(result.orders),
        **about,
    )
    returns = returns_of(result.times[rows], equity, capital=capital, **about).values
    known = stats_document(stats) | {"price_return": float(np.mean([price_return(each) for each in parts]))}
    del known["intervals_95"]
    found = moments(returns)
    own = {"moments": None if found is None else asdict(found), "curve": _drawn(capital, equity)}
    return known | {"halted": result.halted_at is not None} | own


def _asset_class(parts: Sequence[Part]) -> AssetClass:
    """Crypto trades every day; with forex among them the year has forex's 252, the lower of two ratios."""
    kinds = {each.feed.bars.instrument.asset_class for each in parts}
    return AssetClass.FOREX if AssetClass.FOREX in kinds else AssetClass.CRYPTO


def _drawn(start: float, equity: Floats) -> list[float]:
    """Returns over POINTS equal parts of the span."""
    rows = np.linspace(0, equity.size, POINTS + 1).round().astype(np.int64)
    curve = np.concatenate(([start], equity))[rows]
    before = np.where(curve[:-1] > 0, curve[:-1], 1.0)
    return [float(each) for each in np.where(curve[:-1] > 0, curve[1:] / before - 1.0, 0.0)]
