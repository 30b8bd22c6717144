"""One replay from request to result: bars, gates, signals, engine, statistics, baselines. It reads files and asks the model, no more."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from ffe.clock import Clock
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.llm.protocol import LanguageModel
from ffe.replay.baselines import Bench, baselines, strategy_run, trades_of
from ffe.replay.cutoffs import stamp
from ffe.replay.deciding import LLM, Asker, Decided, decided
from ffe.replay.engines import EXACT, chosen
from ffe.replay.guards import lookahead, survivorship_note, warm_up
from ffe.replay.models import Plan, Result
from ffe.replay.preparing import feed_of, notes_on, wanted_bars
from ffe.replay.request import Gatekeeper, Progress, ReplayRequest, ReplayRun
from ffe.replay.trade_order import monte_carlo
from ffe.replay.windows import by_regime
from ffe.settings import Settings
from ffe.sources.store import BarStore

if TYPE_CHECKING:
    from ffe.cycle.bars import Validate

VERSIONS = ("finance-feedback-engine", "numpy", "numba", "TA-Lib", "pyarrow")


def replay(
    request: ReplayRequest,
    settings: Settings,
    *,
    gates: Gatekeeper,
    clock: Clock,
    ledger: Ledger | None = None,
    store: BarStore | None = None,
    model: LanguageModel | None = None,
    judge: "Validate | None" = None,
    told: Progress | None = None,
) -> ReplayRun:
    """Replays what `request` asks for.

    `gates`: the data contract of every bar. `ledger`: where the account's own venue rules are recorded. `store`: bars where the request names no
    files. `model`, and `judge`, the suite of its contexts: for strategy `llm` alone.

    Raises:
        ConfigurationError: nothing to replay, or something that can't be; a look-ahead check of what can't be rerun.
        CorruptFileError, UnknownNameError: as `load_bars` and `find_strategy`.
        ModelUnavailableError: the model stopped answering.
    """
    _check_rerun(request)
    tell = _silent if told is None else told
    started_at = clock.now()
    tell("reading bars", 0, 1)
    materials = wanted_bars(request, settings, store, started_at)
    plan = plan_of(request, settings)
    tell("making the engine ready (compiled once for each version, half a minute)", 0, 1)
    _compiled(request)
    began = time.perf_counter()
    tell("checking bars", 0, 1)
    with ThreadPoolExecutor() as pool:
        feeds = tuple(
            pool.map(lambda each: feed_of(each.bars, settings, gates, ledger, costs=request.costs), materials)
        )
    engine, why = chosen(request.engine, feeds, plan)
    tell("deciding", 0, 1)
    said = decided(request, settings, materials, feeds, asker=_asker(request, settings, model, clock, judge), told=tell)
    bench = Bench(feeds, plan, engine, settings.replay.resamples, request.seed)
    tell("replaying", 0, 1)
    made = strategy_run(bench, said.strategy, said.signals)
    result = replace(made, seconds=time.perf_counter() - began)
    tell("comparing, and running the strategy again to see whether it looks ahead", 0, 1)
    notes = (*(() if why is None else (why,)), *said.notes, *_doubts(said, settings))
    return _run(request, bench, said, result, started_at=started_at, notes=notes)


def plan_of(request: ReplayRequest, settings: Settings) -> Plan:
    """The rules of the settings; without costs also without slippage."""
    return Plan(
        risk=settings.risk,
        capital=float(settings.replay.capital),
        slippage_bps=settings.replay.slippage_bps if request.costs else 0.0,
        lookback=settings.lookback_bars,
        resume_after_days=settings.replay.resume_after_days,
    )


def _compiled(request: ReplayRequest) -> None:
    """Compiling is not replaying: it happens once for each version of the code."""
    if request.engine != EXACT:
        from ffe.replay.compiled import warm_up as compile_kernels

        compile_kernels()


def _asker(
    request: ReplayRequest, settings: Settings, model: LanguageModel | None, clock: Clock, judge: "Validate | None"
) -> Asker | None:
    if model is None or request.strategy != LLM:
        return None
    recording = request.recording or settings.data_dir / "replay" / "answers.jsonl"
    recording.parent.mkdir(parents=True, exist_ok=True)
    return Asker(model, clock, recording, judge)


def _run(
    request: ReplayRequest, bench: Bench, said: Decided, result: Result, *, started_at: datetime, notes: tuple[str, ...]
) -> ReplayRun:
    feeds = bench.feeds
    columns = range(len(feeds))
    trades = [trades_of(result, at) for at in columns]
    rule = said.strategy
    bars = [feed.bars for feed in feeds]
    return ReplayRun(
        feeds=feeds,
        signals=said.signals,
        result=result,
        strategy=said.name,
        params={} if rule is None else rule.params,
        stats=tuple(bench.stats(result, at, intervals=True) for at in columns),
        baselines=baselines(bench, result, said),
        plan=bench.plan,
        timeframe=bars[0].timeframe,
        contaminated=tuple(said.contaminated(feed) for feed in feeds),
        watermark=said.watermark(feeds),
        notes=(*notes, *notes_on(feeds, costs=request.costs), survivorship_note([each.instrument for each in bars])),
        costs=request.costs,
        command=request.command,
        started_at=started_at,
        versions={name: version(name) for name in VERSIONS},
        lookahead=() if rule is None else tuple(lookahead(rule, each, seed=request.seed) for each in bars),
        warm_up=() if rule is None else tuple(warm_up(rule, each, seed=request.seed) for each in bars),
        monte_carlo=tuple(monte_carlo(each, result.capital, bench.resamples, bench.seed) for each in trades),
        regimes=tuple(
            by_regime(bars[at], result.times, result.equity(at), trades[at], capital=result.capital) for at in columns
        ),
    )


def _doubts(said: Decided, settings: Settings) -> tuple[str, ...]:
    """What speaks against the strategy before any number does, and what its model may have known."""
    if said.strategy is None:
        return () if said.model is None else (stamp(*said.model),)
    if said.strategy.lookback <= settings.lookback_bars:
        return ()
    seen = f"a live cycle sees {settings.lookback_bars} (FFE_LOOKBACK_BARS)"
    return (f"{said.name} looks back {said.strategy.lookback} bars; {seen}.",)


def _check_rerun(request: ReplayRequest) -> None:
    """Only a rule can be asked again on fewer bars; the model's context is cut at its bar by construction.

    Raises:
        ConfigurationError: asked for, and there is no rule.
    """
    if request.lookahead and (request.decisions is not None or request.strategy == LLM):
        raise ConfigurationError(
            "--lookahead-check reruns a rule on fewer bars; recorded decisions and a model can't be rerun"
        )


def _silent(stage: str, done: int, of: int) -> None:
    del stage, done, of
