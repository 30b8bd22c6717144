"""`ffe reality-check`: exit code, tables, JSON, what it puts on record, and which deployment it asks."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ffe.cli import reality as command
from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.observe.reality.models import Holds, Invariant, Reality
from ffe.settings import load_settings
from ffe.sources.store import BarStore

AT = datetime(2024, 3, 20, 13, 0, tzinfo=UTC)
FINE = Invariant(name="passed-batch", holds=Holds.YES, detail="0 of 4 orders rest on nothing")
BAD = Invariant(
    name="positions-match",
    holds=Holds.BROKEN,
    detail="1 of 4 instruments have other units at the venue",
    count=1,
    rows=({"instrument": "EURUSD", "why": "4000 at the venue, 3000 in the ledger"},),
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Lets the check find so, over a real ledger and without a venue."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    ledger, apis = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite"), []

    @contextmanager
    def venues(settings: Any) -> Iterator[Engine]:
        yield Engine(settings, FixedClock(AT), ledger, BarStore(tmp_path / "bars", "sim"))

    def give(*invariants: Invariant) -> Any:
        def check(engine: Any, api: Any, automations: Any) -> Reality:
            apis.append(api)
            assert "ffe-reality-broken" in automations
            return Reality(at=engine.clock.now(), mode="sim", took_ms=12.5, invariants=invariants)

        monkeypatch.setattr(command, "check_reality", check)
        return ledger, apis

    monkeypatch.setattr(command, "venues", venues)
    yield give
    ledger.close()


def test_a_reality_that_holds_ends_with_0_and_is_on_record(ffe: Callable[..., Any], found: Any) -> None:
    ledger, apis = found(FINE)
    said = ffe("reality-check")
    assert said.code == 0, said.err
    lines = [" ".join(line.replace("│", " ").split()) for line in said.out.splitlines()]
    assert "passed-batch yes 0 of 4 orders rest on nothing" in lines
    assert lines[-1] == "all 1 invariants hold"
    assert [each.passed for each in ledger.checks("reality-check")] == [True]
    assert (apis, ledger.incidents()) == ([None], [])


def test_a_broken_one_ends_with_3_and_says_what_breaks_it_with_one_incident_while_it_lasts(
    ffe: Callable[..., Any], found: Any
) -> None:
    ledger, _ = found(FINE, BAD)
    assert ffe("reality-check").code == 3
    said = ffe("reality-check")
    assert said.code == 3
    assert f"positions-match is broken (since 2024-03-20T13:00:00Z): {BAD.detail}" in said.out
    assert "  instrument EURUSD, why 4000 at the venue, 3000 in the ledger" in said.out.splitlines()
    assert "broken in the last 2 runs: " in said.out
    assert said.out.splitlines()[-1] == "1 of 2 invariants are broken: positions-match"
    (incident,) = ledger.incidents()
    assert (incident.type, incident.count) == ("InvariantBroken", 1)
    assert "4000 at the venue, 3000 in the ledger" in incident.message


def test_json_is_one_document_with_a_trend_of_the_asked_length(ffe: Callable[..., Any], found: Any) -> None:
    found(BAD)
    for _ in range(3):
        ffe("reality-check")
    said = ffe("reality-check", "--json", "--history", "2")
    assert said.code == 3
    document = json.loads(said.out)
    assert (document["mode"], document["broken"]) == ("sim", ["positions-match"])
    assert document["invariants"][0]["rows"] == [dict(BAD.rows[0])]
    assert [each["broken"] for each in document["trend"]] == [1, 1]


def test_the_deployment_is_that_of_the_environment_or_of_the_running_ffe_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = load_settings(data_dir=tmp_path)
    assert command.deployed_api(settings) is None
    (tmp_path / "up.json").write_text(json.dumps({"pid": os.getpid(), "api_url": "http://127.0.0.1:4299/api"}))
    up = command.deployed_api(settings)
    assert up is not None
    assert up.url == "http://127.0.0.1:4299/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    named = command.deployed_api(settings)
    assert named is not None
    assert named.url == "http://127.0.0.1:4200/api"


@pytest.mark.slow
def test_a_new_ledger_beside_a_real_simulator_holds(ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    said = ffe("reality-check", "--mode", "sim", "--json")
    assert said.code == 0, said.out + said.err
    holds = {each["name"]: each["holds"] for each in json.loads(said.out)["invariants"]}
    assert [name for name, each in holds.items() if each == "not-applicable"] == [
        "alarms-wired",
        "workers-alive",
        "deployments-running",
    ]
    assert set(holds.values()) == {"yes", "not-applicable"}
