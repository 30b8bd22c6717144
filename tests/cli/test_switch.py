"""The kill switch as a person types it: nothing new is opened while it is set, and flat is what the venue says."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe.ledger.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("prefect_api")]


def test_a_halt_holds_every_instrument_in_its_own_name_and_asks_nobody(
    ffe: Callable[..., Any], recorded_bars: Path, tmp_path: Path
) -> None:
    halted = ffe("halt", "--reason", "earnings night", "--json")
    assert (halted.code, halted.document["state"], halted.document["by"]) == (0, "halt", "person")
    run = ffe("run", "--bars", str(recorded_bars), "--json")
    assert run.code == 4, run.err
    for row in run.document["instruments"]:
        assert (row["decision"]["action"], row["decision"]["decided_by"]) == ("HOLD", "halt")
        assert "earnings night" in row["decision"]["reasoning"]
        assert row["order"] is None
    ledger = Ledger.open(f"sqlite:///{tmp_path}/.ffe/ledger.sqlite")
    assert ledger.orders() == []
    assert ledger.model_calls(run.document["cycle_id"], "BTCUSD") == []
    ledger.close()
    assert ffe("resume", "--json").document["state"] == "normal"


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_flatten_asks_first_and_closes_nothing_without_a_yes(
    ffe: Callable[..., Any], recorded_bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setenv("FFE_SIMULATOR__BARS", str(recorded_bars))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    refused = ffe("flatten", "--json")
    assert refused.code in {1, 4}
    assert refused.out == ""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/.ffe/ledger.sqlite")
    assert ledger.switch().state == "normal"
    ledger.close()


def test_flatten_proves_flat_by_the_venues_word_and_stops_everybody_until_resume(
    ffe: Callable[..., Any], recorded_bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_SIMULATOR__BARS", str(recorded_bars))
    bought = ffe("run", "--json")
    held = {row["instrument"] for row in bought.document["instruments"] if row["order"] is not None}
    assert held, bought.document
    done = ffe("flatten", "--yes", "--reason", "leaving", "--json")
    assert done.code == 0, done.err
    assert all(row["flat"] for row in done.document)
    assert {order["instrument"] for row in done.document for order in row["orders"]} == held
    assert {order["state"] for row in done.document for order in row["orders"]} == {"FILLED"}
    assert ffe("positions", "--json").document == []
    again = ffe("flatten", "--yes", "--json")
    assert [row["orders"] for row in again.document] == [[], []]
    halted = ffe("run", "--json")
    assert halted.code == 4
    assert {row["decision"]["reason_code"] for row in halted.document["instruments"]} == {"kill_switch_flatten"}
    reconciled = ffe("reconcile", "--json")
    assert (reconciled.code, [row["open"] for row in reconciled.document]) == (0, [[], []])


def test_an_account_that_agrees_is_said_to(
    ffe: Callable[..., Any], recorded_bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_SIMULATOR__BARS", str(recorded_bars))
    first, again = ffe("reconcile", "--json"), ffe("reconcile", "--json")
    for said in (first, again):
        assert said.code == 0, said.err
        assert [(row["venue"], row["open"], row["error"]) for row in said.document] == [
            ("coinbase", [], None),
            ("oanda", [], None),
        ]
    assert [row["settled"] for row in again.document] == [[], []]


def test_an_unknown_difference_can_not_be_accepted(
    ffe: Callable[..., Any], recorded_bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_SIMULATOR__BARS", str(recorded_bars))
    said = ffe("reconcile", "--accept", "abcdef12")
    assert said.code == 2
    assert "'abcdef12' names 0 open differences" in said.err


def test_only_resume_loosens_the_switch_and_anybody_can_look_at_it(ffe: Callable[..., Any]) -> None:
    assert ffe("switch", "--json").document["state"] == "normal"
    assert ffe("halt", "--reason", "first").code == 0
    looser = ffe("halt", "--reduce-only", "--reason", "second")
    assert looser.code == 4
    assert "`ffe resume` first" in looser.err
    assert "halt since" in ffe("switch").out
    assert ffe("resume").code == 0
    assert ffe("switch", "--json").document["state"] == "normal"


@pytest.mark.parametrize("arguments", [("halt", "--reason", " "), ("reconcile", "--note", "for nothing")])
def test_words_that_lead_nowhere_are_refused(ffe: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    assert ffe(*arguments).code == 2
