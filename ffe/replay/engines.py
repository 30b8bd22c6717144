"""Which engine replays: the compiled one where it knows every rule that is set, else the exact one. Both give the same trades."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ffe.errors import ConfigurationError
from ffe.replay.models import Feed, Plan, Result, Signals

AUTO, COMPILED, EXACT = "auto", "compiled", "exact"


def chosen(name: str, feeds: Sequence[Feed], plan: Plan) -> tuple[str, str | None]:
    """The engine to use, and why it is not the compiled one where that was left open.

    Raises:
        ConfigurationError: an engine that does not exist, or the compiled one for rules that it does not know.
    """
    if name not in {AUTO, COMPILED, EXACT}:
        raise ConfigurationError(f"--engine {name!r} is none of {AUTO}, {COMPILED}, {EXACT}")
    if name == EXACT:
        return EXACT, None
    from ffe.replay.compiled import supports

    lacking = supports(feeds, plan)
    if lacking is None:
        return COMPILED, None
    if name == COMPILED:
        raise ConfigurationError(f"the compiled engine can't replay this: {lacking}")
    return EXACT, f"Replayed by the exact engine, which is slower: the compiled one can't, {lacking}."


def engine_run(name: str, feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan) -> Result:
    if name == COMPILED:
        from ffe.replay.compiled import run as compiled_run

        return compiled_run(feeds, signals, plan)
    from ffe.replay.exact import run as exact_run

    return exact_run(feeds, signals, plan)


def unbounded_run(feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan) -> Result:
    """All in and all out, without rules: each instrument with the whole capital, on one timeline."""
    from ffe.replay.compiled import signals_only

    results = [
        signals_only(
            feed.bars,
            each,
            capital=plan.capital,
            fee_rate=float(feed.spec.taker_fee_rate),
            slippage_bps=plan.slippage_bps,
        )
        for feed, each in zip(feeds, signals, strict=True)
    ]
    return results[0] if len(results) == 1 else _together(results)


def _together(results: Sequence[Result]) -> Result:
    times = np.unique(np.concatenate([each.times for each in results]))
    return replace(
        results[0],
        instruments=tuple(name for each in results for name in each.instruments),
        times=times,
        pnl=np.hstack([_spread(each.pnl, each.times, times) for each in results]),
        notional=np.hstack([_spread(each.notional, each.times, times) for each in results]),
        trades=pa.concat_tables([each.trades for each in results]),
        holds=tuple(held for each in results for held in each.holds),
        orders=tuple(count for each in results for count in each.orders),
        denials=tuple(denied for each in results for denied in each.denials),
        bars=sum(each.bars for each in results),
        seconds=sum(each.seconds for each in results),
    )


def _spread(values: np.ndarray, times: np.ndarray, timeline: np.ndarray) -> np.ndarray:
    """Each moment's newest value; zero before the first."""
    rows = np.searchsorted(times, timeline, side="right") - 1
    return np.where((rows >= 0)[:, np.newaxis], values[np.maximum(rows, 0)], 0.0)
