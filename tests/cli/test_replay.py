"""`ffe replay`: what a person and a program read of it, and what it exits with."""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[1] / "replay" / "data"
EUR, BTC, ETH = (
    DATA / name
    for name in (
        "EUR-USD_1m_bidask_2014-05-05.csv",
        "BTC-USD_1m_trades_2017-09-03.csv",
        "ETH-USD_1m_trades_2017-09-03.csv",
    )
)
# `ffe replay --json` of the public surface; ours come after.
KEYS = ["instrument", "timeframe", "strategy", "from", "to", "bars", "seconds", "contaminated", "data_sha256", "stats"]
STATS = {"return", "cagr", "sharpe", "sortino", "max_drawdown", "exposure", "turnover", "trades", "win_rate"} | {
    "profit_factor",
    "fees",
    "hold_share",
}
PEEK = (
    "import numpy as np\nNAME, LOOKBACK = 'peek', 2\n"
    "def actions(bars):\n    return np.sign(np.roll(bars.close, -1) - bars.close).astype(np.int8)\n"
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_REPLAY__RESAMPLES", "100")
    monkeypatch.setenv("COLUMNS", "160")


def test_one_document_for_one_instrument_as_the_public_surface_says(ffe: Any, tmp_path: Path) -> None:
    made = ffe("replay", "--bars", str(EUR), "--json", "--report", str(tmp_path / "report"))
    assert made.code == 0, made.err
    document = json.loads(made.out)
    assert [*document][: len(KEYS)] == KEYS
    assert set(document["stats"]) >= STATS
    assert {each["strategy"] for each in document["baselines"]} >= {"buy-and-hold", "hold", "random"}
    assert all(len(each["interval_95"]) == 2 for each in document["baselines"])
    assert (document["instrument"], document["timeframe"]) == ("EURUSD", "1m")
    assert Path(document["report"]).is_file()
    assert json.loads((tmp_path / "report" / "replay.json").read_text())


def test_several_instruments_are_a_list_and_their_table_ends_with_an_answer(ffe: Any, tmp_path: Path) -> None:
    made = ffe("replay", "--bars", str(BTC), str(ETH), "--timeframe", "5m", "--strategy", "momentum", "--json")
    assert [each["instrument"] for each in json.loads(made.out)] == ["BTCUSD", "ETHUSD"]
    shown = ffe("replay", "--bars", str(BTC), "--timeframe", "5m", "--no-costs")
    assert shown.code == 0, shown.err
    assert "buy-and-hold" in shown.out
    assert "Costs are off" in shown.out


def test_a_strategy_that_looks_ahead_is_told_no_and_ends_with_exit_3_where_that_was_asked(
    ffe: Any, tmp_path: Path
) -> None:
    peek = tmp_path / "peek.py"
    peek.write_text(PEEK)
    asked = ffe("replay", "--bars", str(EUR), "--strategy", str(peek), "--lookahead-check", "--json")
    assert asked.code == 3, asked.err
    assert json.loads(asked.out)["verdict"]["answer"] == "no"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bars", str(EUR), "--strategy", "sma-cros"), "sma-cross"),
        (("--bars", str(EUR), "--from", "yesterday"), "--from 'yesterday'"),
        (("--bars", str(EUR), "--param", "fast"), "fast=20"),
        (("--bars", str(EUR), "--engine", "warp"), "auto, compiled, exact"),
        (("--bars", str(EUR), "--instrument", "GBPUSD"), "GBPUSD"),
        (("--bars", str(EUR), "--timeframe", "7m"), "7m"),
        (("--instrument", "EURUSD"), "EURUSD"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_exits_with_2(ffe: Any, options: tuple[object, ...], said: str) -> None:
    made = ffe("replay", *map(str, options))
    assert made.code == 2, made.err
    assert said in made.err
    assert "Traceback" not in made.err


@pytest.mark.slow
def test_the_model_is_asked_once_and_its_answers_are_replayed_after(ffe: Any, tmp_path: Path) -> None:
    """With the packaged model: three bars, whose answers are kept."""
    wanted = (
        "--bars",
        str(EUR),
        "--timeframe",
        "5m",
        "--to",
        "2014-05-05T10:00:00Z",
        "--strategy",
        "llm",
        "--every",
        20,
    )
    first = ffe("replay", *map(str, wanted), "--json")
    assert first.code == 0, first.err
    kept = tmp_path / ".ffe" / "replay" / "answers.jsonl"
    answers = kept.read_text()
    assert 1 <= len(answers.splitlines()) <= 6
    document = json.loads(first.out)
    assert document["contaminated"] is True
    assert document["watermark"].startswith("CONTAMINATED")
    second = json.loads(ffe("replay", *map(str, wanted), "--json").out)
    assert kept.read_text() == answers
    assert second["stats"] == document["stats"]
