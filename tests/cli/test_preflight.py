"""`ffe preflight` and `ffe health` as a person and a machine read them, with their exit codes."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ffe.cli import health, preflight
from ffe.errors import VenueReadError
from ffe.ledger.ledger import Ledger
from ffe.observe.health_models import Health, Status, healthy
from ffe.processes import Child
from ffe.settings import load_settings
from ffe.venues.probe import QUESTIONS


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """The environment of a simulator with these faults on every request that they fit."""
    children: list[Child] = []

    def start(*faults: dict[str, Any]) -> dict[str, str]:
        file = tmp_path / "faults.json"
        file.write_text(json.dumps({"faults": [{"count": None, **each} for each in faults]}))
        command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(tmp_path / "venue")]
        with (tmp_path / "simulator.log").open("a") as log:
            child = Child.spawn("simulator", [*command, "--faults", str(file)], env=os.environ, log=log, read=True)
        children.append(child)
        environment: dict[str, str] = child.ready(60)["env"]
        return environment

    yield start
    for child in children:
        child.close()


@pytest.fixture
def on(served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets this process on a simulator with faults, and on a data folder of its own."""

    def set_up(*faults: dict[str, Any]) -> None:
        for name, value in served(*faults).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("FFE_SOURCES__CRYPTO", "coinbase")
        monkeypatch.setenv("FFE_SOURCES__FOREX", "oanda")

    return set_up


def test_in_sim_it_starts_the_simulator_asks_it_and_is_ready(
    ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    said = ffe("preflight", "--json")
    assert said.code == 0, said.err
    assert [each["provider"] for each in said.document["providers"]] == [
        "coinbase",
        "oanda",
        "alpha-vantage",
        "model embedded",
    ]
    venues = said.document["providers"][:2]
    assert {each[question]["says"] for each in venues for question in QUESTIONS} == {"yes"}
    ledger = Ledger.open(load_settings(data_dir=tmp_path / "data").resolved_ledger_url)
    (run,) = ledger.checks("preflight")
    ledger.close()
    assert run.document == said.document


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ({"kind": "server_error", "route": "coinbase.accounts"}, 3, "signal-only"),
        ({"kind": "revoke_key", "venue": "oanda"}, 4, "the key was refused"),
    ],
)
def test_a_person_reads_the_table_and_why(ffe: Any, on: Any, fault: dict[str, Any], code: int, text: str) -> None:
    on(fault)
    said = ffe("preflight")
    assert said.code == code
    assert text in said.out
    for heading in ("authenticated", "account active", "can trade", "balance readable", "market data readable"):
        assert heading in said.out
    assert "model embedded (not needed)" in said.out


def test_a_venue_that_does_not_answer_at_all_is_refused(
    ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))

    def silent(_: Any) -> Any:
        raise VenueReadError("no answer")

    monkeypatch.setattr(preflight, "venues", silent)
    said = ffe("preflight")
    assert (said.code, said.err) == (4, "ffe: preflight refused: no venue answered: no answer\n")


def test_a_run_in_practice_is_refused_before_anything(
    ffe: Any, on: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on({"kind": "revoke_key", "venue": "oanda"})
    monkeypatch.setenv("FFE_CLOCK", "2024-05-15T12:00:20Z")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    said = ffe("run", "EURUSD", "--mode", "practice")
    assert said.code == 4
    assert "preflight refused: " in said.err
    assert "oanda authenticated: no" in said.err
    ledger = Ledger.open(load_settings(data_dir=tmp_path / "data").resolved_ledger_url)
    assert (ledger.cycles(), ledger.decisions()) == ([], [])
    ledger.close()


# health


def test_a_fresh_checkout_is_unhealthy_and_says_what_to_start(
    ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("PREFECT_API_URL")
    said = ffe("health")
    assert said.code == 4
    assert "no `ffe up` runs on" in said.out
    assert "there is no ledger yet" in said.out


def test_a_machine_reads_one_document(ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    said = ffe("health", "--json", "--mode", "paper")
    assert said.code == 4
    assert set(said.document) == {"at", "mode", "status", "components"}
    assert set(said.document["components"][0]) == {"name", "status", "detail", "value", "limit"}
    assert (said.document["mode"], said.document["status"]) == ("paper", "unhealthy")


@pytest.mark.parametrize(("status", "code"), [(Status.HEALTHY, 0), (Status.DEGRADED, 3), (Status.UNHEALTHY, 4)])
def test_the_exit_code_says_how_bad_it_is(
    ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: Status, code: int
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    at = datetime(2024, 5, 15, tzinfo=UTC)
    found = Health(at=at, mode="sim", status=status, components=(healthy("disk", "ok"),))
    monkeypatch.setattr(health, "check_health", lambda *_: found)
    assert ffe("health", "--json").code == code


def test_the_system_of_this_folder_is_asked_where_the_environment_names_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    settings = load_settings(data_dir=tmp_path)
    assert health.deployed_api(settings) is None
    (tmp_path / "up.json").write_text(json.dumps({"pid": os.getpid(), "api_url": "http://127.0.0.1:9/api"}))
    api = health.deployed_api(settings)
    assert api is not None
    assert api.url == "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:8/api")
    named = health.deployed_api(settings)
    assert named is not None
    assert named.url == "http://127.0.0.1:8/api"


def test_the_clock_is_the_simulators_of_the_system_that_runs(
    served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert health._clock(settings) is None
    (tmp_path / "up.json").write_text(json.dumps({"pid": os.getpid(), "simulator": served()}))
    clock = health._clock(settings)
    assert clock is not None
    assert clock.now().year == 2026
    assert health._clock(load_settings(data_dir=tmp_path, mode="paper")) is not None


def test_a_simulator_that_does_not_answer_gives_no_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, mode="paper")

    def refused(_: Any) -> Any:
        raise VenueReadError("down")

    monkeypatch.setattr(health, "open_clock", refused)
    assert health._clock(settings) is None
    done = threading.Event()
    monkeypatch.setattr(health, "open_clock", lambda _: done.wait(20))
    monkeypatch.setattr(health, "CLOCK_SECONDS", 0.05)
    assert health._clock(settings) is None
    done.set()
