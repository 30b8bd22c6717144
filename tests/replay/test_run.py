"""A replay from request to result, with the real rooms behind it."""

import json
import time
from dataclasses import replace as changed
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from expectations.history import gates
from ffe.clock import SystemClock
from ffe.errors import ConfigurationError, UnknownNameError
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.decisions_file import write_decisions
from ffe.replay.document import documents
from ffe.replay.report_verdict import Answer, verdicts
from ffe.replay.request import ReplayRequest, ReplayRun
from ffe.replay.run import replay
from ffe.settings import Settings, load_settings
from ffe.sources.store import BarStore

DATA = Path(__file__).parent / "data"
BTC, ETH = (DATA / f"{pair}_1m_trades_2017-09-03.csv" for pair in ("BTC-USD", "ETH-USD"))
EUR = DATA / "EUR-USD_1m_bidask_2014-05-05.csv"
# The clock's, and what depends on it.
UNSTEADY = ("seconds", "started_at")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FFE_REPLAY__RESAMPLES", "100")
    return load_settings()


def made(settings: Settings, **wanted: object) -> ReplayRun:
    request = changed(ReplayRequest(bars=(EUR,)), **wanted)
    return replay(request, settings, gates=partial(gates, settings=settings), clock=SystemClock())


def steady(run: ReplayRun) -> str:
    return json.dumps([{key: value for key, value in each.items() if key not in UNSTEADY} for each in documents(run)])


def test_a_second_run_gives_the_same_numbers_to_the_last_bit(settings: Settings) -> None:
    first, second = made(settings), made(settings)
    assert steady(first) == steady(second)
    assert first.result.pnl.tobytes() == second.result.pnl.tobytes()
    assert first.result.trades.equals(second.result.trades)


def test_both_engines_make_the_same_trades(settings: Settings) -> None:
    compiled, exact = made(settings), made(settings, engine="exact")
    assert (compiled.result.engine, exact.result.engine) == ("compiled", "exact")
    assert compiled.result.trades.num_rows == exact.result.trades.num_rows >= 5
    for column in ("side", "entry_bar", "exit_bar", "exit_reason", "units"):
        assert compiled.result.trades[column].to_pylist() == exact.result.trades[column].to_pylist()
    assert np.allclose(compiled.result.pnl, exact.result.pnl, rtol=0, atol=1e-6)


def test_every_baseline_stands_beside_the_strategy_and_none_beside_itself(settings: Settings) -> None:
    run = made(settings, strategy="momentum")
    assert [each.strategy for each in run.baselines[0]] == [
        "buy-and-hold",
        "sma-cross",
        "mean-reversion",
        "hold",
        "random",
    ]
    assert all(each.low <= each.difference <= each.high for each in run.baselines[0])
    held = next(each for each in run.baselines[0] if each.strategy == "hold")
    assert (held.stats.trades, held.stats.return_) == (0, 0.0)
    assert held.difference == pytest.approx(run.stats[0].return_)


def test_random_trades_do_not_beat_random_trades_before_costs(settings: Settings) -> None:
    """The strategy is itself one draw of its baseline, so the interval of the difference holds zero."""
    run = made(settings, strategy="random", params={"rate": 0.05}, costs=False)
    alike = made(settings, strategy="sma-cross", costs=False)
    found = next(each for each in alike.baselines[0] if each.strategy == "random")
    assert "random" not in [each.strategy for each in run.baselines[0]]
    assert found.low < found.difference < found.high
    held = next(each for each in run.baselines[0] if each.strategy == "hold")
    assert held.low <= 0 <= held.high


def test_costs_are_on_unless_somebody_turns_them_off_and_then_every_output_says_so(settings: Settings) -> None:
    dear, free = made(settings), made(settings, costs=False)
    assert dear.stats[0].spread > 0
    assert (free.stats[0].spread, free.stats[0].slippage, free.stats[0].fees) == (0, 0, 0)
    assert any("Costs are off" in note for note in free.notes)


def test_several_instruments_share_one_timeline_and_each_account_adds_up(settings: Settings) -> None:
    run = made(settings, bars=(EUR, BTC, ETH), timeframe=Timeframe.M5)
    assert set(run.result.instruments) == {"EURUSD", "BTCUSD", "ETHUSD"}
    for at, name in enumerate(run.result.instruments):
        own = sum(row["pnl"] for row in run.result.trades.to_pylist() if row["instrument"] == name)
        assert run.result.pnl[-1, at] == pytest.approx(own, abs=1e-6)


def test_a_period_an_instrument_and_a_timeframe_can_be_chosen(settings: Settings) -> None:
    start, end = datetime(2017, 9, 3, 6, tzinfo=UTC), datetime(2017, 9, 3, 18, tzinfo=UTC)
    run = made(settings, bars=(BTC, ETH), instruments=(parse_instrument("ETHUSD"),), start=start, end=end)
    (feed,) = run.feeds
    assert feed.bars.instrument.symbol == "ETHUSD"
    assert int(feed.bars.times[0]) >= start.timestamp()
    assert int(feed.bars.closes_at[-1]) <= end.timestamp()


def test_a_planted_look_into_the_next_bar_is_caught(settings: Settings, tmp_path: Path) -> None:
    seer = tmp_path / "seer.py"
    seer.write_text(
        "import numpy as np\nNAME, LOOKBACK = 'seer', 2\n"
        "def actions(bars):\n    return np.sign(np.roll(bars.close, -1) - bars.close).astype(np.int8)\n"
    )
    for asked in (False, True):
        run = made(settings, strategy=str(seer), lookahead=asked)
        (ahead,), (early,) = run.lookahead, run.warm_up
        assert not ahead.ok
        assert not early.ok
        (verdict,) = verdicts(run)
        assert verdict.answer is Answer.NO
        assert [str(report) in reason for report, reason in zip((ahead, early), verdict.reasons, strict=False)] == [
            True,
            True,
        ]
    honest = made(settings)
    for report in (*honest.lookahead, *honest.warm_up):
        assert report.ok
        assert report.checked > 0


def test_the_guards_run_a_strategy_again_after_the_clock_was_stopped(settings: Settings, tmp_path: Path) -> None:
    """The rate of a replay is not that of its checks: a file that sleeps is asked once in the time that is told."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import time\nimport numpy as np\nNAME, LOOKBACK = 'slow', 1400\n"
        "def actions(bars):\n    time.sleep(0.01)\n    return np.zeros(len(bars))\n"
    )
    began = time.perf_counter()
    run = made(settings, strategy=str(slow))
    assert run.lookahead[0].checked >= 50
    assert time.perf_counter() - began - run.result.seconds > 0.5


def test_what_cannot_be_rerun_is_not_checked_and_asking_for_it_is_refused_before_any_work(
    settings: Settings, tmp_path: Path
) -> None:
    rule, file = made(settings), tmp_path / "said.parquet"
    write_decisions(file, [(rule.feeds[0].bars, rule.signals[0])], model=None)
    run = made(settings, decisions=file)
    assert (run.lookahead, run.warm_up) == ((), ())
    for wanted in ({"decisions": file}, {"strategy": "llm"}):
        with pytest.raises(ConfigurationError, match="can't be rerun"):
            made(settings, bars=(tmp_path / "none.csv",), lookahead=True, **wanted)


def test_recorded_decisions_are_replayed_and_watermarked_when_their_model_may_have_known_the_bars(
    settings: Settings, tmp_path: Path
) -> None:
    rule = made(settings)
    pairs = [(feed.bars, signals) for feed, signals in zip(rule.feeds, rule.signals, strict=True)]
    told = {}
    for name, model in (("unnamed", None), ("named", "llama3.2:3b-instruct-q4_0")):
        file = tmp_path / f"{name}.parquet"
        write_decisions(file, pairs, model=model)
        told[name] = made(settings, decisions=file)
    for run in told.values():
        assert run.result.trades.equals(rule.result.trades)
        assert run.contaminated == (True,)
        assert str(run.watermark).startswith("CONTAMINATED")
    assert "llama3.2" in str(told["named"].watermark)
    assert (rule.contaminated, rule.watermark) == ((False,), None)


def test_recorded_decisions_that_belong_to_no_bar_are_told(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "instrument,time,action,confidence\nEURUSD,2014-05-05T10:00:00Z,BUY,90\nEURUSD,2014-05-05T10:00:30Z,SELL,90\n"
    )
    run = made(settings, decisions=file)
    assert any(note.startswith("1 recorded decisions on EURUSD are at no bar's close") for note in run.notes)


def test_a_store_without_bars_says_so(settings: Settings, tmp_path: Path) -> None:
    store = BarStore(tmp_path / "bars", "sim")
    request = ReplayRequest(instruments=(parse_instrument("EURUSD"),))
    with pytest.raises(ConfigurationError, match=r"the bar store has no 5m bars of EURUSD"):
        replay(request, settings, gates=partial(gates, settings=settings), clock=SystemClock(), store=store)


@pytest.mark.parametrize(
    ("wanted", "error", "text"),
    [
        ({"strategy": "sma-cros"}, UnknownNameError, "sma-cross"),
        ({"engine": "fast"}, ConfigurationError, "auto, compiled, exact"),
        ({"instruments": (parse_instrument("BTCUSD"),)}, Exception, "BTCUSD"),
        ({"start": datetime(2020, 1, 1, tzinfo=UTC)}, ConfigurationError, "at least 61"),
        ({"bars": ()}, ConfigurationError, "name the files"),
        (
            {"bars": (EUR, BTC, ETH), "timeframe": None, "instruments": (parse_instrument("GBPUSD"),)},
            Exception,
            "GBPUSD",
        ),
        ({"strategy": "llm"}, ConfigurationError, "needs a model"),
    ],
)
def test_what_cannot_be_replayed_is_refused_by_name(
    settings: Settings, wanted: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        made(settings, **wanted)


def test_rules_that_only_the_exact_engine_knows_are_replayed_by_it_and_it_is_said(settings: Settings) -> None:
    trailing = settings.model_copy(update={"risk": settings.risk.model_copy(update={"trailing_stop": True})})
    run = made(trailing, end=datetime(2014, 5, 5, 12, tzinfo=UTC))
    assert run.result.engine == "exact"
    assert any("trailing" in note for note in run.notes)
    with pytest.raises(ConfigurationError, match="trailing"):
        made(trailing, engine="compiled")
