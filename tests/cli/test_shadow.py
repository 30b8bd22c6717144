"""`ffe shadow report`: the table, the JSON document, plain words, and what it says where there is nothing yet."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "replay"))

from shadow_cases import FIRST, Live

from ffe.cli.main import app
from ffe.cli.shadow import answer
from ffe.cli.shadow import app as shadow_app
from ffe.replay.shadow import Line, Shadowed

ROWS = range(FIRST, FIRST + 60)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """Cycles of a strategy that now and then trades beside a trader that never does."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FFE_TIMEFRAME", "1h")
    made = Live(tmp_path)
    yield made
    made.ledger.close()


def test_the_command_has_its_place() -> None:
    assert shadow_app in [group.typer_instance for group in app.registered_groups]


def filled(live: Live) -> None:
    live.market("EURUSD")
    live.shadow("EURUSD", live.rule("EURUSD", "momentum", ROWS))
    live.shadow("EURUSD", {ROWS[0]: 0}, strategy="mine", params={}, action=None, confidence=None, error="ValueError: x")
    live.trader("EURUSD", dict.fromkeys(ROWS, 0))


def test_the_report_shows_a_row_a_sentence_and_what_is_missing(live: Live, ffe: Callable[..., Any]) -> None:
    filled(live)
    said = ffe("shadow", "report")
    assert said.code == 0, said.err
    text = " ".join(said.out.replace("│", " ").split())
    assert "60 decisions of the trader" in text
    assert "sma-cross fast=20 slow=50 all 60" in text
    assert "sma-cross fast=20 slow=50: " in text
    assert "mine: nothing to compare yet." in text
    assert "mine: it failed 1 times, last with ValueError: x." in text


def test_the_document_is_the_report(live: Live, ffe: Callable[..., Any]) -> None:
    filled(live)
    start = live.close("EURUSD", FIRST + 10)
    said = ffe("shadow", "report", "--json", "--from", f"{start:%Y-%m-%dT%H:%M:%SZ}")
    document = said.document
    assert set(document) == {
        "mode",
        "timeframe",
        "start",
        "end",
        "engine",
        "trader_decisions",
        "strategies",
        "missing",
    }
    (only,) = document["strategies"]
    assert (only["strategy"], only["params"]) == ("sma-cross", {"fast": 20, "slow": 50})
    line = only["together"]
    assert (line["decisions"], line["trader_return"]) == (50, 0)
    assert line["low"] <= line["difference"] == line["return"] <= line["high"]
    assert document["start"] == f"{start:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "no shadow decisions on 1h bars in sim mode"),
        (("--timeframe", "5m"), "no shadow decisions on 5m bars"),
        (("--from", "soon"), "--from 'soon' is no UTC time"),
        (("--mode", "papers"), "unknown mode 'papers'"),
    ],
)
def test_what_can_not_be_reported_ends_with_2_and_says_why(
    live: Live, ffe: Callable[..., Any], arguments: tuple[str, ...], why: str
) -> None:
    assert live.ledger.shadows("sim", "1h") == []
    said = ffe("shadow", "report", *arguments)
    assert said.code == 2
    assert why in said.err


@pytest.mark.parametrize("command", [("run",), ("up", "--port", "0"), ("worker", "cpu")])
def test_an_unknown_strategy_is_refused_before_anything_starts(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FFE_SHADOW__STRATEGIES", "sma-cross,momentun")
    monkeypatch.setattr("ffe.cli.run.check_model_file", lambda settings: None)
    said = ffe(*command)
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("ffe: unknown strategy 'momentun'; nearest known: momentum")
    assert not (tmp_path / "simulator.log").exists()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.05, "more than the trader"),
        (-0.05, -0.01, "less than the trader"),
        (-0.01, 0.01, "nobody can say"),
        (float("-inf"), float("inf"), "nobody can say"),
    ],
)
def test_the_sentence_follows_from_the_interval(low: float, high: float, words: str) -> None:
    line = Line(None, 100, 0.5, 0.02, 0.0, 3, 2, 0.02, low, high)
    assert words in answer(Shadowed("momentum", {}, 100, 0, 0, line, (line,)))


def test_several_instruments_have_a_row_each(live: Live, ffe: Callable[..., Any]) -> None:
    for symbol in ("BTCUSD", "ETHUSD"):
        live.market(symbol)
        live.shadow(symbol, dict.fromkeys(ROWS, 0), decided_at=live.close(symbol, FIRST) + timedelta(seconds=1))
        live.trader(symbol, dict.fromkeys(ROWS, 0))
    rows = ffe("shadow", "report").out.splitlines()
    for name in ("all", "BTCUSD", "ETHUSD"):
        assert any("sma-cross" in row and name in row for row in rows), name
