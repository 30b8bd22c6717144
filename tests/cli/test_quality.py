"""`ffe quality`: the history of the ledger for a person, a program and a picture."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, Freshness, QualityReport, Severity
from ffe.sources.models import BarBatch

NOON = datetime(2018, 4, 4, 12, tzinfo=UTC)
GAP = Finding(check="gaps", severity=Severity.WARNING, message="2 bars missing")
STALE = Finding(check="freshness", severity=Severity.CRITICAL, message="52 min old")


@pytest.fixture
def checked(tmp_path: Path) -> None:
    """Two batches, judged on two days: a warning, a clean one, and a stale one."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/.ffe/ledger.sqlite")
    for name, symbol in (("a", "BTCUSD"), ("b", "EURUSD")):
        ledger.record_batch(_batch(name, symbol))
    ledger.record_quality(_report("1", "a", NOON, GAP))
    ledger.record_quality(_report("2", "b", NOON + timedelta(minutes=1)))
    ledger.record_quality(_report("3", "a", NOON + timedelta(days=1), STALE))
    ledger.close()


def _batch(name: str, symbol: str) -> BarBatch:
    return BarBatch(
        id=name * 64,
        instrument=parse_instrument(symbol),
        timeframe=Timeframe.M5,
        source="coinbase",
        path="",
        rows=200,
        first_open=NOON - timedelta(minutes=1000),
        last_open=NOON - timedelta(minutes=5),
        fetched_at=NOON,
    )


def _report(name: str, batch: str, at: datetime, *findings: Finding) -> QualityReport:
    age = (at - NOON).total_seconds() + 20
    return QualityReport(
        id=name * 32,
        batch_id=batch * 64,
        suite="intraday",
        checks=14,
        findings=findings,
        checked_at=at,
        duration_ms=40.0,
        freshness=Freshness(
            bar_close=NOON, age_seconds=age, limit_seconds=900, fresh=STALE not in findings, message="-"
        ),
    )


@pytest.mark.usefixtures("checked")
def test_the_newest_report_is_first_and_the_trend_is_below(ffe: Callable[..., Any]) -> None:
    said = ffe("quality")
    assert said.code == 0
    lines = said.out.splitlines()
    rows = [line for line in lines if "coinbase" in line]
    assert [("BTCUSD" in row, "NO" in row) for row in rows] == [(True, True), (False, False), (True, False)]
    assert "freshness" in rows[0]
    assert "86420 s" in rows[0]
    assert "gaps" in rows[2]
    assert "BTCUSD   50.00% of 2 passed  █▁  2018-04-04 to 2018-04-05" in lines
    assert "EURUSD  100.00% of 1 passed  █  2018-04-04" in lines


@pytest.mark.usefixtures("checked")
def test_one_instrument_under_any_of_its_names_and_a_limit(ffe: Callable[..., Any]) -> None:
    said = ffe("quality", "btc-usd", "--limit", "1", "--json").document
    assert [point["report_id"] for point in said["reports"]] == ["3" * 32]
    assert [(rate["instrument"], rate["reports"], rate["share"]) for rate in said["pass_rates"]] == [("BTCUSD", 2, 0.5)]


@pytest.mark.usefixtures("checked")
def test_the_json_is_one_document_with_every_field(ffe: Callable[..., Any]) -> None:
    said = ffe("quality", "--json").document
    newest = said["reports"][0]
    assert (newest["batch_id"], newest["critical"], newest["age_seconds"]) == ("a" * 64, ["freshness"], 86420.0)
    assert (newest["timeframe"], newest["passed"], newest["checked_at"]) == ("5m", False, "2018-04-05T12:00:00Z")
    assert said["pass_rates"][0]["days"] == [["2018-04-04", 1, 1], ["2018-04-05", 0, 1]]


@pytest.mark.usefixtures("checked")
def test_the_plot_is_a_png(ffe: Callable[..., Any], tmp_path: Path) -> None:
    assert ffe("quality", "--plot", str(tmp_path / "trend.png")).code == 0
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.usefixtures("checked")
def test_a_plot_that_cannot_be_written_is_bad_usage(ffe: Callable[..., Any], tmp_path: Path) -> None:
    said = ffe("quality", "--plot", str(tmp_path / "nowhere" / "trend.png"))
    assert said.code == 2
    assert "can't be written: No such file or directory" in said.err


def test_an_empty_ledger_says_so_and_has_nothing_to_draw(ffe: Callable[..., Any], tmp_path: Path) -> None:
    assert "no quality reports" in ffe("quality").out
    assert ffe("quality", "--json").document == {"reports": [], "pass_rates": []}
    said = ffe("quality", "--plot", str(tmp_path / "trend.png"))
    assert (said.code, (tmp_path / "trend.png").exists()) == (2, False)
    assert "no quality report to draw" in said.err


def test_an_unknown_instrument_is_bad_usage(ffe: Callable[..., Any]) -> None:
    assert ffe("quality", "NOPE").code == 2
