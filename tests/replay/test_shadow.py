"""The report of shadow mode: recorded words replayed alike for the trader and each strategy, and what is missing said."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shadow_cases import FIRST, H1, LAG, LAST, Live, words

from ffe.decision.models import Action, Author, ConfidenceParts
from ffe.errors import ConfigurationError
from ffe.market.calendar import calendar_for
from ffe.replay.bars import window, window_starts
from ffe.replay.document import plain
from ffe.replay.exact import run
from ffe.replay.models import Feed, Signals
from ffe.replay.request import ReplayRequest
from ffe.replay.run import plan_of
from ffe.replay.shadow import Line, ShadowReport, shadow_report
from ffe.replay.shadow_signals import asked, said_by_trader
from ffe.replay.specs import spec_for

ROWS = range(FIRST, LAST)
HOLDS = dict.fromkeys(ROWS, 0)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made = Live(tmp_path)
    yield made
    made.ledger.close()


def reported(live: Live, **options: Any) -> ShadowReport:
    return shadow_report(live.settings, live.ledger, live.store, engine="exact", **options)


def together(report: ShadowReport, at: int = 0) -> Line:
    found = report.strategies[at].together
    assert found is not None
    return found


def test_the_difference_is_that_of_a_replay_of_what_was_said(live: Live) -> None:
    bars = live.market("EURUSD")
    said = live.rule("EURUSD", "sma-cross", ROWS)
    live.shadow("EURUSD", said)
    live.trader("EURUSD", HOLDS)
    report = reported(live)
    line = together(report)

    whole = window(bars, 0, LAST)
    calendar = calendar_for(bars.instrument, live.settings.calendar.holidays)
    feed = Feed(
        whole,
        spec_for(bars.instrument, live.settings),
        np.zeros(LAST, np.int8),
        window_starts(whole, calendar, live.settings.lookback_bars),
    )
    signals = Signals(words(bars, said)[:LAST], np.full(LAST, 100, np.int64))
    direct = run([feed], [signals], plan_of(ReplayRequest(), live.settings))
    # The store keeps closes of both sides: the spread at the close is taken for the whole bar.
    assert line.trades == direct.trades.num_rows > 3
    assert line.return_ == pytest.approx(float(direct.pnl[-1, 0]) / direct.capital, abs=2e-3)
    assert (line.trader_return, line.trader_trades, line.instrument) == (0, 0, None)
    assert line.difference == line.return_ != 0
    assert line.low <= line.difference <= line.high
    holds = sum(action == 0 for action in said.values())
    assert line.agreement == pytest.approx(holds / len(ROWS))
    assert line.decisions == report.trader_decisions == len(ROWS)
    assert (report.mode, report.timeframe, report.engine) == ("sim", "1h", "exact")
    assert (report.start, report.end) == (live.close("EURUSD", FIRST), live.close("EURUSD", LAST - 1))
    assert report.missing == ()


def test_who_says_the_same_makes_the_same(live: Live) -> None:
    live.market("EURUSD")
    said = live.rule("EURUSD", "sma-cross", ROWS)
    live.shadow("EURUSD", said, confidence=85)
    live.trader("EURUSD", said)
    line = together(reported(live))
    assert (line.difference, line.low, line.high, line.agreement) == (0, 0, 0, 1)
    assert line.trades == line.trader_trades > 3


def test_only_bars_on_which_both_decided_are_compared_and_the_others_are_told(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", dict.fromkeys(range(FIRST, FIRST + 100), 1))
    live.trader("EURUSD", dict.fromkeys(range(FIRST + 40, FIRST + 130), 1))
    report = reported(live)
    line = together(report)
    assert (line.decisions, line.difference, line.agreement) == (60, 0, 1)
    # The trader's words after the last one of any strategy are outside of the period.
    assert report.trader_decisions == 60
    assert "40 bars without a word of the trader and 0 without one of its own" in " ".join(report.missing)


def test_what_failed_or_came_too_late_is_left_out_and_counted(live: Live) -> None:
    live.market("EURUSD")
    rows = range(FIRST, FIRST + 30)
    live.trader("EURUSD", dict.fromkeys(rows, 0))
    live.shadow("EURUSD", dict.fromkeys(rows[:20], 0))
    live.shadow("EURUSD", {rows[20]: 1}, action=None, confidence=None, error="ValueError: no idea")
    live.shadow("EURUSD", {rows[21]: 1}, decided_at=live.close("EURUSD", rows[21]) + H1.duration)
    live.shadow("EURUSD", {rows[22]: 0}, decided_at=live.close("EURUSD", rows[22]) + H1.duration - LAG)
    report = reported(live)
    (found,) = report.strategies
    assert (found.recorded, found.failed, found.late) == (23, 1, 1)
    assert together(report).decisions == 21
    told = " ".join(report.missing)
    assert "sma-cross: it failed 1 times, last with ValueError: no idea." in told
    assert "1 decisions were recorded after the next bar had closed and are left out" in told


def test_other_parameters_are_another_strategy(live: Live) -> None:
    live.market("EURUSD")
    live.trader("EURUSD", HOLDS)
    live.shadow("EURUSD", dict.fromkeys(range(FIRST, FIRST + 50), 0))
    live.shadow("EURUSD", dict.fromkeys(range(FIRST + 50, FIRST + 90), 0), params={"fast": 5.0, "slow": 50.0})
    found = {each.params["fast"]: each.recorded for each in reported(live).strategies}
    assert found == {20: 50, 5: 40}


def test_a_period_bounds_what_is_compared(live: Live) -> None:
    live.market("EURUSD")
    live.trader("EURUSD", HOLDS)
    live.shadow("EURUSD", HOLDS)
    start, end = live.close("EURUSD", FIRST + 10), live.close("EURUSD", FIRST + 59)
    report = reported(live, start=start, end=end)
    assert (report.start, report.end, together(report).decisions) == (start, end, 50)


def test_instruments_of_two_venues_share_the_result_of_both_accounts(live: Live) -> None:
    for symbol in ("BTCUSD", "EURUSD"):
        live.market(symbol)
    rows = [row for row in ROWS if live.bars["EURUSD"].times[row] < live.bars["BTCUSD"].times[-1]][:60]
    for symbol in ("BTCUSD", "EURUSD"):
        live.shadow(symbol, live.rule(symbol, "momentum", rows))
        live.trader(symbol, dict.fromkeys(rows, 0))
    report = reported(live)
    every, (first, second) = together(report), report.strategies[0].instruments
    assert {first.instrument, second.instrument} == {"BTCUSD", "EURUSD"}
    assert every.difference == pytest.approx((first.difference + second.difference) / 2)
    assert every.trades == first.trades + second.trades
    assert any("BTCUSD: only trades are stored" in note for note in report.missing)


def test_what_the_store_does_not_have_is_told(live: Live) -> None:
    live.market("EURUSD", stored=LAST - 20)
    live.trader("EURUSD", HOLDS)
    live.shadow("EURUSD", HOLDS)
    live.bars["GBPUSD"] = live.bars["EURUSD"]
    live.shadow("GBPUSD", dict.fromkeys(range(FIRST, FIRST + 5), 0))
    report = reported(live)
    assert together(report).decisions == len(ROWS) - 20
    assert "EURUSD: 20 decisions of the trader are on bars that the store does not have." in report.missing
    assert "sma-cross on EURUSD: 20 decisions are on bars that the store does not have." in report.missing
    assert "GBPUSD: the bar store has none of its bars." in report.missing


def test_without_a_bar_in_common_there_is_no_number(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", dict.fromkeys(range(FIRST, FIRST + 5), 0))
    live.trader("EURUSD", dict.fromkeys(range(FIRST + 10, FIRST + 15), 0))
    report = reported(live)
    assert (report.strategies[0].together, report.strategies[0].instruments) == (None, ())
    assert "sma-cross: no bar on which both it and the trader decided." in report.missing


def test_a_few_bars_give_a_difference_and_no_interval(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", {FIRST: 1, FIRST + 1: 0})
    live.trader("EURUSD", {FIRST: 0, FIRST + 1: 0})
    report = reported(live)
    document = json.loads(json.dumps(plain(report)))
    line = document["strategies"][0]["together"]
    assert (line["low"], line["high"], line["trades"]) == (None, None, 1)
    assert line["difference"] == line["return"] != 0
    assert "sma-cross: too few returns for an interval; wait for more bars." in document["missing"]


def test_nothing_recorded_and_no_bars_at_all_are_refused(live: Live) -> None:
    with pytest.raises(ConfigurationError, match="no shadow decisions on 1h bars in sim mode: name strategies in FFE_"):
        reported(live)
    live.market("EURUSD")
    live.bars["GBPUSD"] = live.bars["EURUSD"]
    live.shadow("GBPUSD", {FIRST: 0})
    with pytest.raises(ConfigurationError, match="GBPUSD: the bar store has none of its bars"):
        reported(live)


def test_the_compiled_engine_reports_what_the_exact_one_does(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", live.rule("EURUSD", "sma-cross", ROWS))
    live.trader("EURUSD", live.rule("EURUSD", "momentum", ROWS))
    exact, compiled = together(reported(live)), together(shadow_report(live.settings, live.ledger, live.store))
    assert (compiled.trades, compiled.trader_trades) == (exact.trades, exact.trader_trades)
    assert compiled.difference == pytest.approx(exact.difference, abs=1e-9)
    assert (compiled.low, compiled.high) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_a_replay_in_which_the_kill_switch_trips_is_told(live: Live) -> None:
    live.market("EURUSD")
    strict = live.settings.risk.model_copy(update={"max_drawdown": Decimal("0.0001")})
    live.settings = live.settings.model_copy(update={"risk": strict})
    live.shadow("EURUSD", live.rule("EURUSD", "sma-cross", ROWS))
    live.trader("EURUSD", HOLDS)
    told = reported(live).missing
    assert "The kill switch tripped in the replay of sma-cross beside the trader's." in told
    assert not any("replay of the trader" in note for note in told)


def test_the_traders_word_is_the_models_with_the_confidence_that_gated_it(live: Live) -> None:
    bars = live.market("EURUSD")
    parts = ConfidenceParts(stated=0.7, token=0.55, calibrated=0.65)
    gate = {"action": Action.HOLD, "confidence": 100, "decided_by": Author.RISK_GATE}
    live.trader("EURUSD", {FIRST: 1})
    live.trader("EURUSD", {FIRST + 1: -1}, **gate, confidence_parts=parts)
    live.trader("EURUSD", {FIRST + 2: -1}, **gate, confidence_parts=parts.model_copy(update={"source": "token"}))
    live.trader("EURUSD", {FIRST + 3: 1}, **gate)
    live.trader("EURUSD", {FIRST + 4: 0}, decided_by=Author.FALLBACK, opinion=None, confidence=100)
    live.trader("EURUSD", {FIRST + 5: 1}, decided_at=live.close("EURUSD", FIRST + 5) + timedelta(hours=2))
    decisions = live.ledger.trader_decisions(
        "sim", "1h", since=live.close("EURUSD", FIRST), until=live.close("EURUSD", LAST - 1)
    )
    again = decisions[0].model_copy(update={"opinion": Action.SELL})
    said = said_by_trader([*decisions, again], bars)
    rows = slice(FIRST, FIRST + 6)
    authors = said.signals.authors
    assert authors is not None
    assert said.signals.actions[rows].tolist() == [1, -1, -1, 1, 0, 1]
    assert said.signals.confidence[rows].tolist() == [85, 70, 55, 100, 0, 85]
    assert authors[rows].tolist() == [0, 0, 0, 0, 1, 0]
    assert int(asked(said.signals).sum()) == 6
    assert (said.late, said.unplaced) == (1, 0)


def test_a_late_trader_still_counts_and_is_told(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", {FIRST: 0})
    live.trader("EURUSD", {FIRST: 1}, decided_at=live.close("EURUSD", FIRST) + H1.duration)
    report = reported(live)
    assert together(report).trader_trades == 1
    assert any("1 decisions of the trader came after the next bar had closed" in note for note in report.missing)
