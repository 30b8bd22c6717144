"""One real cycle by the real command on recorded bars, with the real quantized model; then everything that can be asked of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.ledger.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SYMBOLS = ["BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, recorded_bars: Path, run_ffe: Any) -> SimpleNamespace:
    data_dir = tmp_path_factory.mktemp("cycle") / "data folder"
    first = run_ffe(data_dir, "run", "--bars", str(recorded_bars), "--json")
    again = run_ffe(data_dir, "run", "--bars", str(recorded_bars), "--json")
    return SimpleNamespace(data_dir=data_dir, first=first, again=again)


@pytest.fixture
def here(ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, ran: SimpleNamespace) -> Callable[..., Any]:
    """The command in this process, on the data folder of the cycle."""
    monkeypatch.setenv("FFE_DATA_DIR", str(ran.data_dir))
    return ffe


def test_four_instruments_are_judged_by_the_model_on_checked_bars(ran: SimpleNamespace) -> None:
    assert ran.first.code == 0, ran.first.err
    report = ran.first.document
    assert set(report) == {"cycle_id", "mode", "timeframe", "started_at", "finished_at", "timings_ms", "instruments"}
    assert [row["instrument"] for row in report["instruments"]] == SYMBOLS
    for row in report["instruments"]:
        assert set(row) == {
            *("instrument", "venue", "bar_close", "source", "age_seconds", "limit_seconds"),
            *("quality", "decision", "sizing", "order", "error"),
        }
        assert row["error"] is None
        assert row["quality"]["passed"] is True
        assert 0 <= row["age_seconds"] <= row["limit_seconds"] == 900
        decision = row["decision"]
        assert decision["decided_by"] in {"model", "risk-gate"}
        assert decision["action"] in {"BUY", "SELL", "HOLD"}
        assert 0 <= decision["confidence"] <= 100
        assert len(decision["prompt_sha256"]) == len(decision["model_digest"]) == 64
        assert (row["order"] is None) == (decision["action"] == "HOLD")


def test_the_same_bar_again_places_no_second_order(ran: SimpleNamespace) -> None:
    assert ran.again.code == 0, ran.again.err
    ledger = Ledger.open(f"sqlite:///{ran.data_dir / 'ledger.sqlite'}")
    try:
        keys = [(order.instrument, order.bar_close, order.leg) for order in ledger.orders(100)]
    finally:
        ledger.close()
    assert len(keys) == len(set(keys))
    for before, after in zip(ran.first.document["instruments"], ran.again.document["instruments"], strict=True):
        if before["bar_close"] == after["bar_close"] and before["order"] is not None:
            assert after["order"]["client_order_id"] == before["order"]["client_order_id"]
            assert after["order"]["placed_by_this_cycle"] is False
            assert after["sizing"] == before["sizing"]


def test_a_decision_traces_back_to_bar_hash_quality_prompt_and_raw_answer(
    here: Callable[..., Any], ran: SimpleNamespace
) -> None:
    for row in ran.first.document["instruments"]:
        decision = row["decision"]
        chain = here("explain", decision["id"], "--json").document
        batch = chain["batch"]
        assert hashlib.sha256((ran.data_dir / batch["path"]).read_bytes()).hexdigest() == batch["id"]
        assert chain["quality"]["batch_id"] == batch["id"]
        assert chain["model_call"]["prompt_sha256"] == decision["prompt_sha256"]
        assert json.loads(chain["model_call"]["raw_text"])["action"] in {"BUY", "SELL", "HOLD"}
        assert chain["missing"] == []
        assert decision["id"] in here("explain", decision["id"][:10]).out


def test_a_cycle_is_explained_with_all_its_instruments(here: Callable[..., Any], ran: SimpleNamespace) -> None:
    text = json.dumps(here("explain", ran.first.document["cycle_id"], "--json").document)
    for symbol in SYMBOLS:
        assert symbol in text


@pytest.mark.parametrize("command", ["orders", "decisions", "incidents"])
def test_what_the_ledger_holds_is_listed_as_an_array_and_as_a_table(here: Callable[..., Any], command: str) -> None:
    rows = here(command, "--json").document
    assert isinstance(rows, list)
    table = here(command)
    assert table.code == 0
    if command == "decisions":
        assert {row["instrument"] for row in rows} == set(SYMBOLS)
        assert all(row["instrument"] in table.out for row in rows)


def test_what_the_venues_hold_is_listed_and_agrees_with_the_ledger(
    here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, recorded_bars: Path
) -> None:
    monkeypatch.setenv("FFE_SIMULATOR__BARS", str(recorded_bars))
    balances = here("balance", "--json").document
    assert {row["currency"] for row in balances} >= {"USD", "BTC", "ETH"}
    assert all(row["source"] for row in balances)
    for row in here("positions", "--json").document:
        assert row["agree"] is True
        assert row["protection"]


def test_analyze_draws_the_pulse_and_never_orders(
    here: Callable[..., Any], ran: SimpleNamespace, recorded_bars: Path, run_ffe: Any
) -> None:
    before = len(here("orders", "--json").document)
    document = here("analyze", "BTC-USD", "--show-pulse", "--json", "--bars", str(recorded_bars)).document
    assert [frame["timeframe"] for frame in document["pulse"]][:3] == ["1m", "5m", "15m"]
    assert document["decision"]["decided_by"] == "model"
    assert len(here("orders", "--json").document) == before
    closed = {"FFE_CLOCK": "2018-04-07T12:00:20Z"}
    said = run_ffe(ran.data_dir, "analyze", "EURUSD", "--show-pulse", "--bars", str(recorded_bars), **closed)
    assert "market-hours" in said.out


def test_stale_bars_hold_everything_and_the_model_is_not_called(
    tmp_path: Path, recorded_bars: Path, run_ffe: Any
) -> None:
    data_dir = tmp_path / "data"
    said = run_ffe(data_dir, "run", "--bars", str(recorded_bars), "--stale-minutes", "52", "--json")
    assert said.code == 0, said.err
    for row in said.document["instruments"]:
        decision = row["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "data-gate")
        assert f"{row['age_seconds'] / 60:.1f} min" in decision["reasoning"]
        assert "limit 15.0 min" in decision["reasoning"]
        assert decision["model"] is None
    ledger = Ledger.open(f"sqlite:///{data_dir / 'ledger.sqlite'}")
    try:
        assert ledger.orders(10) == []
        assert all(ledger.model_calls(said.document["cycle_id"], symbol) == [] for symbol in SYMBOLS)
    finally:
        ledger.close()


def test_the_table_for_people_names_author_confidence_and_order(tmp_path: Path, run_ffe: Any) -> None:
    said = run_ffe(tmp_path / "data", "run", "BTCUSD", "EURUSD")
    assert said.code == 0, said.err
    for part in ("author", "confidence", "order", "BTCUSD", "EURUSD", "model", "ffe explain"):
        assert part in said.out
    assert "FILLED" in said.out, "the demonstration's first cycle is meant to show an order"
