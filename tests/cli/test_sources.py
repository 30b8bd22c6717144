"""`ffe sources` shows what all processes know of the bar sources."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ffe.cli.sources import sources
from ffe.clock import SystemClock, rfc3339
from ffe.ledger.ledger import Ledger
from ffe.sources.health import Breaker, Budget
from ffe.sources.models import Outcome


@pytest.fixture
def now() -> datetime:
    return SystemClock().now()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ledger:
    monkeypatch.chdir(tmp_path)
    opened = Ledger.open(f"sqlite:///{tmp_path}/.ffe/ledger.sqlite")
    opened.close()
    return opened


def said(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(sources)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def rows(*arguments: str) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in json.loads(said("--json", *arguments))}


def test_a_source_that_was_never_asked_is_closed_and_unused(ledger: Ledger) -> None:
    found = rows()
    assert list(found) == ["coinbase", "alpha-vantage", "oanda"]
    assert found["alpha-vantage"] == {
        "source": "alpha-vantage",
        "serves": "crypto, forex",
        "state": "closed",
        "until": None,
        "failures": 0,
        "requests": 0,
        "limit": 25,
        "answered": 0,
        "failed": 0,
        "skipped": 0,
        "last_success": None,
        "last_error": None,
    }
    assert (found["oanda"]["requests"], found["oanda"]["limit"]) == (None, None), "not counted"


def test_an_open_circuit_says_until_when_and_why(ledger: Ledger, now: datetime) -> None:
    admission = ledger.admit_source("sim", "coinbase", now)
    ledger.settle_source(admission, now, Breaker(failures=1, seconds=300), Outcome.FAILED, error="503 from coinbase")
    found = rows()["coinbase"]
    assert (found["state"], found["failures"], found["failed"]) == ("open", 1, 1)
    assert found["until"] == rfc3339((now + timedelta(minutes=5)).replace(microsecond=0))
    assert found["last_error"] == f"{rfc3339(now.replace(microsecond=0))} 503 from coinbase"
    assert rows("--mode", "paper")["coinbase"]["state"] == "closed", "another mode's own"


def test_a_spent_quota_says_until_when(ledger: Ledger, now: datetime) -> None:
    ledger.spend_request("sim", "alpha-vantage", now, Budget(per_day=25, per_second=1), latest=now)
    ledger.stop_source("sim", "alpha-vantage", now, "25 requests per day")
    found = rows()["alpha-vantage"]
    assert (found["state"], found["requests"]) == ("closed", 1)
    assert found["until"].endswith("Z (quota)")


def test_an_answer_is_shown_with_its_time(ledger: Ledger, now: datetime) -> None:
    admission = ledger.admit_source("sim", "oanda", now)
    ledger.settle_source(admission, now, Breaker(), Outcome.ANSWERED)
    assert rows()["oanda"]["last_success"] == rfc3339(now.replace(microsecond=0))


def test_people_get_a_table(ledger: Ledger) -> None:
    shown = said()
    assert "alpha-vantage" in shown
    assert "last success" in shown
