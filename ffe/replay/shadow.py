"""What shadow mode came to: each strategy's recorded decisions beside the trader's, replayed alike, and how sure the difference is.

Both are replayed on the store's bars from their recorded decisions, at those bars alone where both decided, under the same rules, costs and
fills, and every strategy with its own account of the same size. The trader's decision is what the model said: the gates that overruled
it live knew another account than the replay's, whose own gates speak instead. Nothing here can be contaminated: what was said was on record
before its bar's outcome existed; what was recorded too late for that is left out and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from ffe.decision.models import Decision
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ShadowDecision
from ffe.market.calendar import calendar_for, lookback_start
from ffe.market.models import AssetClass, Instrument, parse_instrument
from ffe.replay.bars import window_starts
from ffe.replay.bootstrap import paired_difference
from ffe.replay.engines import AUTO, chosen, engine_run
from ffe.replay.files import stored_bars
from ffe.replay.models import Feed, Interval, Plan, Result, Signals
from ffe.replay.request import ReplayRequest
from ffe.replay.returns import returns_of
from ffe.replay.run import plan_of
from ffe.replay.shadow_signals import Said, asked, only, said_by_shadow, said_by_trader
from ffe.replay.specs import spec_for
from ffe.settings import Settings
from ffe.sources.store import BarStore

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """A strategy beside the trader on `decisions` bars where both decided, of one instrument or of all together (`instrument` None).

    `agreement`: share of these bars on which they said the same. `difference`: total return of the strategy less the trader's, with the
    bounds of its 95 % interval, infinite where there are too few returns.
    """

    instrument: str | None
    decisions: int
    agreement: float
    return_: float
    trader_return: float
    trades: int
    trader_trades: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Shadowed:
    """One strategy with one set of parameters. `recorded`: decisions in time; `failed` and `late` are left out. `together` None: no bar in common."""

    strategy: str
    params: Mapping[str, float]
    recorded: int
    failed: int
    late: int
    together: Line | None
    instruments: tuple[Line, ...]


@dataclass(frozen=True)
class ShadowReport:
    """`start`, `end`: the first and the last bar close that was decided on. `missing`: what a reader should know of the gaps in it."""

    mode: str
    timeframe: str
    start: datetime
    end: datetime
    engine: str
    trader_decisions: int
    strategies: tuple[Shadowed, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Bench:
    feeds: Mapping[str, Feed]
    trader: Mapping[str, Said]
    plan: Plan
    engine: str
    resamples: int
    seed: int


def shadow_report(
    settings: Settings,
    ledger: Ledger,
    store: BarStore,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    engine: str = AUTO,
    seed: int = 7,
) -> ShadowReport:
    """Every strategy that was recorded on bars that closed in [start, end], in the mode and timeframe of the settings.

    Raises:
        ConfigurationError: nothing was recorded, or the store has no bar of it.
        DataError: a file of the store can't be read.
    """
    mode, timeframe = settings.mode.value, settings.timeframe
    shadows = ledger.shadows(mode, timeframe.value, since=start, until=end)
    if not shadows:
        hint = "name strategies in FFE_SHADOW__STRATEGIES and let cycles run"
        raise ConfigurationError(f"no shadow decisions on {timeframe.value} bars in {mode} mode: {hint}")
    first, last = shadows[0].bar_close, shadows[-1].bar_close
    decisions = ledger.trader_decisions(mode, timeframe.value, since=first, until=last)
    notes: list[str] = []
    feeds = _feeds(shadows, settings, ledger, store, notes)
    plan = plan_of(ReplayRequest(), settings)
    used, why = chosen(engine, tuple(feeds.values()), plan)
    notes += [] if why is None else [why]
    trader = _trader(decisions, feeds, notes)
    bench = _Bench(feeds, trader, plan, used, settings.replay.resamples, seed)
    strategies = tuple(_shadowed(bench, name, each, notes) for name, each in _by_strategy(shadows).items())
    return ShadowReport(mode, timeframe.value, first, last, used, len(decisions), strategies, tuple(notes))


def _feeds(
    shadows: Sequence[ShadowDecision], settings: Settings, ledger: Ledger, store: BarStore, notes: list[str]
) -> dict[str, Feed]:
    feeds = {}
    for symbol in dict.fromkeys(each.instrument for each in shadows):
        feed = _feed(parse_instrument(symbol), shadows, settings, ledger, store)
        if not len(feed.bars):
            notes.append(f"{symbol}: the bar store has none of its bars.")
            continue
        if not feed.bars.quoted:
            notes.append(
                f"{symbol}: only trades are stored; the spread is an assumption (FFE_REPLAY__HALF_SPREAD_BPS)."
            )
        feeds[symbol] = feed
    if not feeds:
        raise ConfigurationError(f"the bar store has no bars to replay shadow decisions on: {' '.join(notes)}")
    return feeds


def _feed(
    instrument: Instrument, shadows: Sequence[ShadowDecision], settings: Settings, ledger: Ledger, store: BarStore
) -> Feed:
    """From a lookback before the first decision to the bar after the last. The live gates have spoken already."""
    calendar, timeframe = calendar_for(instrument, settings.calendar.holidays), settings.timeframe
    since = lookback_start(calendar, timeframe, settings.lookback_bars + 1, shadows[0].bar_close)
    until = shadows[-1].bar_close + timeframe.duration
    spread = settings.replay.half_spread_bps
    bars = stored_bars(store, instrument, timeframe, since, until, half_spread_bps=spread)
    spec = spec_for(instrument, settings, ledger.spec(instrument.venue, instrument.symbol))
    starts = window_starts(bars, calendar, settings.lookback_bars)
    return Feed(bars, spec, np.zeros(len(bars), np.int8), starts)


def _trader(decisions: Sequence[Decision], feeds: Mapping[str, Feed], notes: list[str]) -> dict[str, Said]:
    found = {}
    for symbol, feed in feeds.items():
        said = said_by_trader([each for each in decisions if each.instrument == symbol], feed.bars)
        found[symbol] = said
        if said.unplaced:
            notes.append(f"{symbol}: {said.unplaced} decisions of the trader are on bars that the store does not have.")
        if said.late:
            notes.append(
                f"{symbol}: {said.late} decisions of the trader came after the next bar had closed; they count at their own bar."
            )
    return found


Key = tuple[str, tuple[tuple[str, float], ...]]


def _by_strategy(shadows: Sequence[ShadowDecision]) -> dict[Key, list[ShadowDecision]]:
    """By name and parameters: other parameters are another strategy. A failure before they were known goes to its name alone."""
    found: dict[Key, list[ShadowDecision]] = {}
    for each in shadows:
        found.setdefault((each.strategy, tuple(sorted(each.params.items()))), []).append(each)
    return found


def _shadowed(bench: _Bench, key: Key, decisions: Sequence[ShadowDecision], notes: list[str]) -> Shadowed:
    name, params = key
    said = {
        symbol: said_by_shadow([each for each in decisions if each.instrument == symbol], feed.bars)
        for symbol, feed in bench.feeds.items()
    }
    failed = [each for each in decisions if each.error is not None]
    late = sum(each.late for each in said.values())
    _note_gaps(name, bench, said, failed, late, notes=notes)
    blank = Shadowed(name, dict(params), len(decisions), len(failed), late, None, ())
    common = {symbol: asked(said[symbol].signals) & asked(bench.trader[symbol].signals) for symbol in said}
    shared = [symbol for symbol, mask in common.items() if mask.any()]
    if not shared:
        notes.append(f"{name}: no bar on which both it and the trader decided.")
        return blank
    together, *lines = _lines(name, bench, said, {symbol: common[symbol] for symbol in shared}, notes)
    return replace(blank, together=together, instruments=tuple(lines))


def _note_gaps(
    name: str,
    bench: _Bench,
    said: Mapping[str, Said],
    failed: Sequence[ShadowDecision],
    late: int,
    *,
    notes: list[str],
) -> None:
    if failed:
        notes.append(f"{name}: it failed {len(failed)} times, last with {failed[-1].error}.")
    if late:
        notes.append(f"{name}: {late} decisions were recorded after the next bar had closed and are left out.")
    for symbol, mine in said.items():
        theirs = bench.trader[symbol]
        alone = int((asked(mine.signals) & ~asked(theirs.signals)).sum())
        without = int((asked(theirs.signals) & ~asked(mine.signals)).sum())
        if mine.unplaced:
            notes.append(f"{name} on {symbol}: {mine.unplaced} decisions are on bars that the store does not have.")
        if alone or without:
            notes.append(
                f"{name} on {symbol}: {alone} bars without a word of the trader and {without} without one of its own are left out."
            )


def _lines(
    name: str, bench: _Bench, said: Mapping[str, Said], common: Mapping[str, Mask], notes: list[str]
) -> list[Line]:
    """All instruments together, then each."""
    feeds = [bench.feeds[symbol] for symbol in common]
    ours = _run(bench, feeds, [only(said[symbol].signals, mask) for symbol, mask in common.items()])
    theirs = _run(bench, feeds, [only(bench.trader[symbol].signals, mask) for symbol, mask in common.items()])
    for who, beside, result in ((name, "the trader's", ours), ("the trader", f"that of {name}", theirs)):
        if result.halted_at is not None:
            notes.append(f"The kill switch tripped in the replay of {who} beside {beside}.")
    lines = [_line(bench, None, feeds, said, common, results=(ours, theirs))]
    lines += [_line(bench, symbol, feeds, said, common, results=(ours, theirs)) for symbol in common]
    if not np.isfinite(lines[0].low):
        notes.append(f"{name}: too few returns for an interval; wait for more bars.")
    return lines


def _run(bench: _Bench, feeds: Sequence[Feed], signals: Sequence[Signals]) -> Result:
    return engine_run(bench.engine, feeds, signals, bench.plan)


def _line(
    bench: _Bench,
    symbol: str | None,
    feeds: Sequence[Feed],
    said: Mapping[str, Said],
    common: Mapping[str, Mask],
    *,
    results: tuple[Result, Result],
) -> Line:
    columns = [at for at, name in enumerate(common) if symbol in {None, name}]
    names = [name for name in common if symbol in {None, name}]
    equal = sum(_equal(said[name].signals, bench.trader[name].signals, common[name]) for name in names)
    decisions = sum(int(common[name].sum()) for name in names)
    mine = [feeds[at] for at in columns]
    first = min(int(feed.bars.closes_at[np.argmax(common[name])]) for feed, name in zip(mine, names, strict=True))
    found = _difference(bench, mine, columns, first, results)
    gains = [_gain(result, columns, _capital(bench, mine)) for result in results]
    return Line(
        instrument=symbol,
        decisions=decisions,
        agreement=equal / decisions,
        return_=gains[0],
        trader_return=gains[1],
        trades=_trades(results[0], names),
        trader_trades=_trades(results[1], names),
        difference=gains[0] - gains[1],
        low=found.low,
        high=found.high,
    )


def _equal(mine: Signals, theirs: Signals, common: Mask) -> int:
    return int((mine.actions[common] == theirs.actions[common]).sum())


def _capital(bench: _Bench, feeds: Sequence[Feed]) -> float:
    """One account for each venue."""
    return bench.plan.capital * len({feed.bars.instrument.venue for feed in feeds})


def _gain(result: Result, columns: Sequence[int], capital: float) -> float:
    return float(result.pnl[-1, columns].sum()) / capital


def _trades(result: Result, names: Sequence[str]) -> int:
    return sum(name in names for name in result.trades["instrument"].to_pylist())


def _difference(
    bench: _Bench, feeds: Sequence[Feed], columns: Sequence[int], first: int, results: tuple[Result, Result]
) -> Interval:
    """From the first bar that both decided on: what came before it was nobody's, and would make the interval narrower than it is."""
    capital = _capital(bench, feeds)
    forex = all(feed.bars.instrument.asset_class is AssetClass.FOREX for feed in feeds)
    kept = results[0].times >= first

    def returns(result: Result) -> np.ndarray:
        return returns_of(
            result.times[kept],
            capital + result.pnl[kept][:, columns].sum(axis=1),
            timeframe=feeds[0].bars.timeframe,
            asset_class=AssetClass.FOREX if forex else AssetClass.CRYPTO,
            capital=capital,
        ).values

    return paired_difference(returns(results[0]), returns(results[1]), bench.resamples, bench.seed)
