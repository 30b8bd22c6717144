"""Replay is the live engine on other bars: one recorded day through both, and every decision, size, fill and dollar is the same.

The live side is the trading cycle of mode paper against the real simulator (`parity_live`), the replay side reads its bars from the very
market object that the simulator serves (`parity_market`). Numbers are compared as Decimals, without any tolerance; only the compiled
engine, which counts in floats, has its 1e-6.
"""

import asyncio
import functools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity_live import Day, Driver, Judge, paper_engine, simulator, sized
from parity_market import (
    FRIDAY,
    LAG,
    NOW,
    SYMBOLS,
    TIMEFRAME,
    bars_of,
    driven,
    minutes_of,
    moments,
    recorded_folder,
    recorded_market,
)
from parity_model import DigestModel

from expectations.history import gates
from ffe.clock import FixedClock
from ffe.decision.prompt import build_messages
from ffe.llm.recorded import RecordedModel
from ffe.market.calendar import calendar_for
from ffe.market.models import parse_instrument
from ffe.replay import compiled, exact
from ffe.replay.bars import window_starts
from ffe.replay.contexts import ContextMaker
from ffe.replay.journal import Journal
from ffe.replay.llm import decide
from ffe.replay.models import Bars, ExitReason, Feed, Fills, Gate, Plan, Result, Signals
from ffe.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Cycles that are run as the flow that Prefect runs: the first of all, one in the night and one on Monday's open.
WHOLE_FLOWS = (0, 40, 70)
# The day's losses are allowed to run far enough that most rules speak before the kill switch ends it.
LIMITS = {"max_daily_loss": "0.025", "max_drawdown": "0.2"}
# What belongs to one batch or one report, and not to the market.
FLEETING = {"batch_id", "quality_report_id"}
FLEETING_FRAME = {"batch_id", "source", "partial"}


@dataclass(frozen=True)
class Lived:
    day: Day
    feeds: dict[str, Feed]
    makers: dict[str, ContextMaker]
    settings: Settings


@dataclass(frozen=True)
class Replayed:
    signals: dict[str, Signals]
    journal: Journal
    result: Result
    plan: Plan


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, recorded_bars: Path, prefect_api: str) -> Iterator[Lived]:
    assert prefect_api
    folder = tmp_path_factory.mktemp("parity")
    files = recorded_folder(folder / "bars", recorded_bars)
    market, judge = recorded_market(files), Judge()
    bars = {symbol: bars_of(market, symbol) for symbol in SYMBOLS}
    todo = moments(bars)
    with (
        simulator(folder, files, NOW) as venue,
        paper_engine(venue, folder, DigestModel(), timeframe=TIMEFRAME, risk=LIMITS) as engine,
    ):
        driver = Driver(engine, venue, judge, TIMEFRAME, LAG)

        async def drive() -> None:
            for number, (close, symbols) in enumerate(todo):
                await driver.cycle(close, symbols, whole_flow=number in WHOLE_FLOWS)

        asyncio.run(drive())
        specs = {
            symbol: engine.broker(parse_instrument(symbol).venue).spec(parse_instrument(symbol)) for symbol in SYMBOLS
        }
        day = driver.finish()
        feeds = {symbol: _feed(bars[symbol], specs[symbol], engine.settings) for symbol in SYMBOLS}
        makers = {
            symbol: _maker(minutes_of(market, symbol), bars[symbol], engine.settings, judge) for symbol in SYMBOLS
        }
        yield Lived(day, feeds, makers, engine.settings)


def _feed(bars: Bars, spec: Any, settings: Settings) -> Feed:
    """Where no cycle was driven nobody may decide."""
    calendar = calendar_for(bars.instrument)
    found = gates(bars, calendar, settings.lookback_bars, settings)
    found = np.where(driven(bars) | (found == Gate.MARKET_HOURS), found, np.int8(Gate.WARM_UP))
    return Feed(bars, spec, found, window_starts(bars, calendar, settings.lookback_bars, LAG.total_seconds()))


def _maker(minutes: Bars, bars: Bars, settings: Settings, judge: Judge) -> ContextMaker:
    series = {each.timeframe: each for each in (minutes, bars)}
    maker = ContextMaker(series, TIMEFRAME, settings, calendar_for(bars.instrument), judge)
    # Two tests look at each context; making one takes longer than all they do with it.
    maker.at = functools.cache(maker.at)  # type: ignore[method-assign]
    return maker


@pytest.fixture(scope="module")
def replayed(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Asked of the recorded answers, in the order in which they were given."""
    model = RecordedModel.from_calls(
        call
        for asked in sorted(lived.day.asked, key=lambda each: each.context.bar_close)
        for call in asked.verdict.calls
    )
    recording = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    signals = {
        symbol: decide(feed, lived.makers[symbol], model, FixedClock(NOW), recording=recording)
        for symbol, feed in lived.feeds.items()
    }
    plan = Plan(
        risk=lived.settings.risk,
        capital=float(lived.settings.paper.balance),
        slippage_bps=float(lived.settings.paper.slippage_bps),
        lookback=lived.settings.lookback_bars,
        fills=Fills.LOOKS,
        lag_seconds=LAG.total_seconds(),
    )
    journal = Journal()
    result = exact.run(list(lived.feeds.values()), list(signals.values()), plan, journal)
    return Replayed(signals, journal, result, plan)


def test_the_day_has_everything_that_parity_is_about(lived: Lived) -> None:
    decisions, fills = lived.day.decisions.values(), lived.day.fills
    authors = Counter(decided.author for decided in decisions)
    assert set(authors) >= {"model", "fallback", "risk-gate", "data-gate", "market-hours", "halt"}
    denied = {decided.code for decided in decisions if decided.author == "risk-gate"}
    assert denied >= {"nothing_to_sell", "already_long", "already_short", "confidence_below_floor", "loss_streak"}
    assert {fill.instrument for fill in fills} == set(SYMBOLS)
    assert {fill.leg.value for fill in fills} == {"entry", "exit", "protection"}
    assert {fill.side.value for fill in fills if fill.instrument == "EURUSD"} == {"BUY", "SELL"}
    assert len(fills) >= 40
    assert min(fill.at for fill in fills) < FRIDAY + timedelta(hours=1), "something is held over the weekend"


def test_the_replays_quotes_are_the_venues(lived: Lived) -> None:
    """Each entry and exit of the day was filled at a quote that the replay's bars know."""
    slipped = 1e-4 * float(lived.settings.paper.slippage_bps)
    for fill in lived.day.fills:
        feed = lived.feeds[fill.instrument]
        row = int(np.searchsorted(feed.bars.closes_at, (fill.at - LAG).timestamp()))
        bid, ask = feed.bars.after[row]
        if fill.leg.value == "protection":
            continue
        expected = ask * (1 + slipped) if fill.side.value == "BUY" else bid * (1 - slipped)
        assert abs(float(fill.price) - expected) <= float(feed.spec.price_increment), fill


def test_every_question_is_the_live_one_byte_for_byte(lived: Lived) -> None:
    assert len(lived.day.asked) > 300
    for asked in lived.day.asked:
        maker = lived.makers[asked.context.instrument.symbol]
        context = maker.at(maker.row_of(int(asked.context.bar_close.timestamp())))
        assert build_messages(context) == asked.verdict.calls[0].messages
        assert _told(context) == _told(asked.context)


def _told(context: Any) -> dict[str, Any]:
    """A context without ids and without the closes that the ledger does not keep."""
    document: dict[str, Any] = context.model_dump(mode="python", exclude=FLEETING)
    document["pulse"] = [
        {name: value for name, value in frame.items() if name not in {*FLEETING_FRAME, "closes"}}
        for frame in document["pulse"]
    ]
    return document


def test_the_recorded_answers_are_heard_as_they_were_live(lived: Lived, replayed: Replayed) -> None:
    said = {1: "BUY", -1: "SELL", 0: "HOLD"}
    heard = {}
    for symbol, signals in replayed.signals.items():
        assert signals.authors is not None
        for row in np.flatnonzero(signals.authors < 2).tolist():
            close = int(lived.feeds[symbol].bars.closes_at[row])
            heard[close, symbol] = said[int(signals.actions[row])]
    asked = {}
    for each in lived.day.asked:
        answer = each.verdict.answer
        close = int(each.context.bar_close.timestamp())
        asked[close, each.context.instrument.symbol] = "HOLD" if answer is None else answer.action.value
    assert heard == asked


def test_every_decision_and_size_is_the_live_one(lived: Lived, replayed: Replayed) -> None:
    live, again = {}, {}
    for key, decided in lived.day.decisions.items():
        # The signals keep that a fallback spoke, not why.
        code = None if decided.author == "fallback" else decided.code
        live[key] = (decided.action, decided.author, code, decided.sizing, decided.order)
        made = replayed.journal.decisions[key]
        size = None if made.plan is None or made.plan.sizing is None else sized(made.plan.sizing)
        order = None if made.plan is None else "FILLED" if made.refused is None else made.refused
        again[key] = (made.action.value, made.author.value, made.code, size, order)
    differing = {key: (live[key], again[key]) for key in live if live[key] != again[key]}
    assert differing == {}


def test_every_fill_is_the_live_one(lived: Lived, replayed: Replayed) -> None:
    live = [
        (fill.at, fill.instrument, fill.leg, fill.side, fill.units, fill.price, fill.fee) for fill in lived.day.fills
    ]
    again = sorted(
        (fill.at, fill.instrument, fill.leg, fill.side, fill.units, fill.price, fill.fee)
        for fill in replayed.journal.fills
    )
    assert again == live


def test_equity_is_the_live_one_at_every_cycle_and_in_the_end(lived: Lived, replayed: Replayed) -> None:
    marked = replayed.journal.equity
    common = [key for key in lived.day.equity if key in marked]
    assert len(common) > 100
    assert {key: marked[key] for key in common} == {key: lived.day.equity[key] for key in common}
    for venue, equity in lived.day.final.items():
        columns = [column for column, symbol in enumerate(SYMBOLS) if parse_instrument(symbol).venue == venue]
        assert math.isclose(float(equity), replayed.result.equity(columns)[-1], rel_tol=0, abs_tol=1e-9)


@pytest.mark.parametrize(
    "change",
    [{"slippage_bps": 1.1}, {"fills": Fills.INTRABAR}, {"lookback": 199}, {"lag_seconds": 19.0}],
    ids=lambda change: next(iter(change)),
)
def test_parity_would_notice(lived: Lived, replayed: Replayed, change: dict[str, Any]) -> None:
    """The comparison itself is held to something: a replay that differs by this little is not equal."""
    feeds = [replace(feed, starts=None) if "lookback" in change else feed for feed in lived.feeds.values()]
    journal = Journal()
    exact.run(feeds, list(replayed.signals.values()), replace(replayed.plan, **change), journal)
    other = replace(replayed, journal=journal)
    differing = 0
    for check in (test_every_decision_and_size_is_the_live_one, test_every_fill_is_the_live_one):
        try:
            check(lived, other)
        except AssertionError:
            differing += 1
    assert differing > 0


def test_the_compiled_engine_trades_the_same_day(lived: Lived, replayed: Replayed) -> None:
    feeds, signals = list(lived.feeds.values()), list(replayed.signals.values())
    assert compiled.supports(feeds, replayed.plan) is None
    result, of_live = compiled.run(feeds, signals, replayed.plan), replayed.result
    assert result.halted_at == of_live.halted_at
    assert result.orders == of_live.orders
    assert [dict(each) for each in result.holds] == [dict(each) for each in of_live.holds]
    assert [dict(each) for each in result.denials] == [dict(each) for each in of_live.denials]
    assert np.abs(result.pnl - of_live.pnl).max() <= 1e-6
    assert np.abs(result.notional - of_live.notional).max() <= 1e-6
    for name in of_live.trades.column_names:
        ours, theirs = (each.trades.column(name).to_pylist() for each in (result, of_live))
        if ours and isinstance(ours[0], float):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6, err_msg=name)
        else:
            assert ours == theirs, name
    assert {ExitReason.SIGNAL, ExitReason.STOP} <= set(of_live.trades.column("exit_reason").to_pylist())
