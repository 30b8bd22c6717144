"""What people read of the quality of bars: every failing row, the page, the chart and the trend, and never a failed cycle."""

import csv
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pyarrow as pa
import pytest
from prefect import flow, get_client
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from ffe.cli.surroundings import await_healthy, free_port
from ffe.clock import FixedClock, parse_time
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, Freshness, QualityReport, Severity
from ffe.processes import Child
from ffe.risk.models import Sizing
from ffe.sources.models import BAR_SCHEMA, BarBatch, Outcome, SourceAnswer
from ffe.sources.store import BarStore
from tasks import quality, runtime
from tasks.quality import load_result, publish_quality, publish_trend, save_result, validate_and_save

BARS = 200
GAP = Finding(check="gaps", severity=Severity.WARNING, message="2 bars missing", examples=("15:05", "15:06"))
SPIKE = Finding(check="spikes", severity=Severity.CRITICAL, message="1 bar | 9 MAD away", examples=("close 1.0",))
QUIET = Finding(check="volume", severity=Severity.INFO, message="thin")
CANARY = "c4n4ry-token-value"


@dataclass
class Artifacts:
    """What would have gone to Prefect's API: (kind, key, content, description), the newest last."""

    made: list[tuple[str, str, Any, str]] = field(default_factory=list)

    def one(self, key: str) -> tuple[str, Any, str]:
        ((kind, _, content, description),) = [each for each in self.made if each[1] == key]
        return kind, content, description

    @property
    def keys(self) -> list[str]:
        return [key for _, key, _, _ in self.made]


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    found = Artifacts()
    for kind in ("link", "markdown", "table"):

        def create(content: Any, *, key: str, description: str, kind: str = kind, link_text: str = "") -> None:
            shown = (content, link_text) if kind == "link" else content
            found.made.append((kind, key, shown, description))

        monkeypatch.setattr(quality, f"create_{kind}_artifact", create)
    monkeypatch.setattr(quality.Artifact, "get", lambda key: _newest(found, key))
    return found


def _newest(found: Artifacts, key: str) -> Any:
    descriptions = [description for _, each, _, description in found.made if each == key]
    return SimpleNamespace(description=descriptions[-1]) if descriptions else None


@pytest.fixture(scope="module")
def table() -> pa.Table:
    path = Path(__file__).parents[1] / "data" / "bars" / "BTC-USD_1m_trades_2018-04-04.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))[:BARS]
    prices = ("open", "high", "low", "close", "volume")
    plain = [{"time": parse_time(row["time"])} | {name: Decimal(row[name]) for name in prices} for row in rows]
    return pa.Table.from_pylist(plain, schema=BAR_SCHEMA)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    opened = SimpleNamespace(
        ledger=ledger,
        clock=FixedClock(parse_time("2018-04-04T15:30:00Z")),
        store=BarStore(tmp_path / "bars"),
        settings=SimpleNamespace(data_dir=tmp_path),
    )
    runtime.use(opened)  # type: ignore[arg-type]
    yield opened
    runtime.use(None)
    ledger.close()


@pytest.fixture
def batch(engine: Any, table: pa.Table) -> BarBatch:
    instrument, now = parse_instrument("BTCUSD"), engine.clock.now()
    stored: BarBatch = engine.store.write_batch(instrument, Timeframe.M1, "coinbase", table, now)
    engine.ledger.record_batch(stored)
    return stored


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that shows what it was made from."""
    monkeypatch.setattr(
        quality, "render_page", lambda result, report, batch: f"<h1>{result['checks']} {report.id} {batch.id}</h1>"
    )


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API serves this data folder."""
    monkeypatch.setattr(quality.quality_pages, "link", lambda page, url: f"/quality/{page.name}")


def _report(batch: BarBatch, *findings: Finding, **changes: Any) -> QualityReport:
    values: dict[str, Any] = {
        "id": "e" * 32,
        "batch_id": batch.id,
        "suite": "minute",
        "checks": 23,
        "findings": findings,
        "checked_at": batch.bar_close + timedelta(seconds=20),
        "duration_ms": 41.5,
    }
    return QualityReport(**values | changes)


def _fresh(batch: BarBatch) -> Freshness:
    return Freshness(bar_close=batch.bar_close, age_seconds=20.0, limit_seconds=900.0, fresh=True, message="20 s old")


def _decision(**changes: Any) -> Decision:
    values: dict[str, Any] = {
        "id": "d" * 32,
        "cycle_id": "c" * 32,
        "instrument": "BTCUSD",
        "timeframe": Timeframe.M1,
        "bar_close": None,
        "action": Action.BUY,
        "confidence": 85,
        "decided_by": Author.MODEL,
        "reason_code": "model",
        "reasoning": "trend up",
        "decided_at": parse_time("2018-04-04T15:30:00Z"),
    }
    return Decision(**values | changes)


def _sizing(**changes: Any) -> Sizing:
    values: dict[str, Any] = {
        "method": "atr",
        "units": Decimal("0.01"),
        "entry_price": Decimal("7000"),
        "notional": Decimal("70"),
        "risk_amount": Decimal("1"),
        "stop_loss": Decimal("6860.0"),
        "take_profit": Decimal("7350"),
        "balance": Decimal("1000"),
        "balance_source": "coinbase",
        "clamps": (),
    }
    return Sizing(**values | changes)


def test_every_example_row_of_every_failed_check_has_its_line(artifacts: Artifacts, batch: BarBatch) -> None:
    publish_quality.fn(batch, _report(batch, SPIKE, GAP, QUIET))
    kind, rows, description = artifacts.one("quality-btcusd-1m")
    assert kind == "table"
    assert [(row["check"], row["severity"], row["row"]) for row in rows] == [
        ("spikes", "critical", "close 1.0"),
        ("gaps", "warning", "15:05"),
        ("gaps", "warning", "15:06"),
        ("volume", "info", ""),
    ]
    assert rows[0]["message"] == "1 bar | 9 MAD away"
    assert description == "BTCUSD 1m from coinbase: failed, 23 checks, 1 critical, 1 warning"


def test_a_batch_without_findings_says_so_in_one_line(artifacts: Artifacts, batch: BarBatch) -> None:
    fresh = Freshness(bar_close=batch.bar_close, age_seconds=20.4, limit_seconds=300, fresh=True, message="20 s old")
    publish_quality.fn(batch, _report(batch, freshness=fresh))
    _, rows, description = artifacts.one("quality-btcusd-1m")
    assert rows == [
        {"timeframe": "1m", "check": "all 23 checks passed", "severity": "", "message": "", "row": ""},
    ]
    assert description == "BTCUSD 1m from coinbase: passed, 23 checks, 0 critical, 0 warnings, 20 s old"


def test_a_secret_in_a_finding_stays_secret(
    artifacts: Artifacts, batch: BarBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", CANARY)
    leak = Finding(check="suite", severity=Severity.CRITICAL, message=f"no {CANARY}", examples=(CANARY,))
    answer = SourceAnswer(source="oanda", outcome=Outcome.FAILED, at=batch.fetched_at, message=f"a | {CANARY}")
    publish_quality.fn(batch.model_copy(update={"answers": (answer,)}), _report(batch, leak))
    assert len(artifacts.made) == 2
    assert CANARY not in str(artifacts.made)
    assert "no <masked>" in str(artifacts.made)
    assert "| oanda | failed | 0 | 0 | a &#124; &#60;masked&#62; |" in artifacts.one("chart-btcusd-1m")[1]


@pytest.mark.usefixtures("rendered", "served")
def test_the_page_is_saved_beside_its_batch_and_linked(
    artifacts: Artifacts, batch: BarBatch, engine: Any, tmp_path: Path
) -> None:
    report = _report(batch, GAP)
    save_result(batch, report, {"checks": 23}, tmp_path)
    place = publish_quality.fn(batch, report)
    assert place == f"/quality/{batch.id}.{report.id}.html"
    page = (tmp_path / batch.path).with_name(f"{batch.id}.{report.id}.html")
    assert page.read_text() == f"<h1>23 {report.id} {batch.id}</h1>"
    kind, (href, text), _ = artifacts.one("quality-page-btcusd-1m")
    assert (kind, href) == ("link", place)
    assert text == "BTCUSD 1m from coinbase: passed, 23 checks, 0 critical, 1 warning"
    assert f"[quality page]({place})" in artifacts.one("chart-btcusd-1m")[1]
    assert f"[quality page]({place})" in artifacts.one("quality-btcusd-1m")[2]


@pytest.mark.usefixtures("served")
def test_a_report_that_still_stands_is_linked_again_and_rendered_once(
    artifacts: Artifacts, batch: BarBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    monkeypatch.setattr(quality, "render_page", lambda result, report, batch: rendered.append(report.id) or "page")
    save_result(batch, _report(batch), {"checks": 23}, tmp_path)
    places = [publish_quality.fn(batch, _report(batch)) for _ in range(2)]
    assert rendered == ["e" * 32]
    assert places[0] == places[1]
    assert artifacts.keys.count("quality-page-btcusd-1m") == 2


@pytest.mark.usefixtures("rendered")
def test_where_the_server_does_not_show_the_page_the_place_of_its_file_is_named(
    artifacts: Artifacts, batch: BarBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality.quality_pages, "link", lambda page, url: None)
    report = _report(batch)
    save_result(batch, report, {"checks": 23}, tmp_path)
    place = publish_quality.fn(batch, report)
    assert place == f"bars/batches/{batch.id[:2]}/{batch.id}.{report.id}.html"
    kind, text, _ = artifacts.one("quality-page-btcusd-1m")
    assert kind == "markdown"
    assert f"quality page (`{place}`)" in text


def test_stale_bars_have_rows_and_a_chart_but_no_page(artifacts: Artifacts, batch: BarBatch) -> None:
    stale = Finding(check="freshness", severity=Severity.CRITICAL, message="52 min old, limit 15 min")
    assert publish_quality.fn(batch, _report(batch, stale, checks=1)) is None
    assert artifacts.keys == ["quality-btcusd-1m", "chart-btcusd-1m"]


@pytest.mark.usefixtures("rendered", "served")
def test_the_frames_of_the_pulse_share_the_table_and_one_with_findings_has_its_own_page(
    artifacts: Artifacts, batch: BarBatch, tmp_path: Path
) -> None:
    hour = batch.model_copy(update={"timeframe": Timeframe.H1, "id": "1" * 64, "path": "bars/batches/11/1.parquet"})
    day = batch.model_copy(update={"timeframe": Timeframe.D1, "id": "2" * 64, "path": "bars/batches/22/2.parquet"})
    frames = [(hour, _report(hour, GAP, id="a" * 32)), (day, _report(day, id="b" * 32))]
    for each, report in [(batch, _report(batch)), *frames]:
        save_result(each, report, {"checks": 23}, tmp_path)
    place = publish_quality.fn(batch, _report(batch), frames=frames)
    _, rows, _ = artifacts.one("quality-btcusd-1m")
    assert [(row["timeframe"], row["check"]) for row in rows] == [
        ("1m", "all 23 checks passed"),
        ("1h", "gaps"),
        ("1h", "gaps"),
        ("1d", "all 23 checks passed"),
    ]
    assert artifacts.keys == [
        "quality-page-btcusd-1h",
        "quality-page-btcusd-1m",
        "quality-btcusd-1m",
        "chart-btcusd-1m",
    ]
    assert place == f"/quality/{batch.id}.{'e' * 32}.html"


def test_the_chart_shows_the_levels_of_the_decision_and_what_each_source_said(
    artifacts: Artifacts, batch: BarBatch
) -> None:
    answers = (
        SourceAnswer(source="oanda", outcome=Outcome.FAILED, at=batch.fetched_at, message="HTTP 503\nbusy"),
        SourceAnswer(source="coinbase", outcome=Outcome.ANSWERED, at=batch.fetched_at, rows=200, latency_ms=81.4),
    )
    publish_quality.fn(batch.model_copy(update={"answers": answers}), _report(batch), _decision(), _sizing())
    kind, text, _ = artifacts.one("chart-btcusd-1m")
    assert kind == "markdown"
    assert "**BUY** by model, confidence 85" in text
    for line in ("| entry | 7000 | +0.00% |", "| stop | 6860 | -2.00% |", "| target | 7350 | +5.00% |"):
        assert line in text
    assert "](data:image/png;base64,iVBORw0KGgo" in text
    assert "| oanda | failed | 0 | 0 | HTTP 503 busy |" in text
    assert "| coinbase | answered | 200 | 81 |  |" in text


def test_an_order_without_a_target_and_a_hold_draw_what_there_is(artifacts: Artifacts, batch: BarBatch) -> None:
    publish_quality.fn(batch, _report(batch), _decision(), _sizing(take_profit=None))
    publish_quality.fn(batch, _report(batch), _decision(action=Action.HOLD), None)
    sized, held = [content for _, key, content, _ in artifacts.made if key == "chart-btcusd-1m"]
    assert "| stop |" in sized
    assert "| target |" not in sized
    assert "| level |" not in held
    assert "**HOLD** by model" in held
    assert "data:image/png" in held


@pytest.mark.usefixtures("rendered", "served", "artifacts")
def test_an_order_of_an_earlier_run_leads_to_the_page_that_allowed_it(batch: BarBatch, tmp_path: Path) -> None:
    allowed, again = _report(batch, id="a" * 32), _report(batch, id="b" * 32)
    for report in (allowed, again):
        save_result(batch, report, {"checks": 23}, tmp_path)
    decision = _decision(batch_id=batch.id, quality_report_id=allowed.id)
    assert publish_quality.fn(batch, allowed, decision) == f"/quality/{batch.id}.{allowed.id}.html"
    assert publish_quality.fn(batch, again, decision) == f"/quality/{batch.id}.{allowed.id}.html"
    unknown = _decision(batch_id="9" * 64, quality_report_id="9" * 32)
    assert publish_quality.fn(batch, again, unknown) == f"/quality/{batch.id}.{again.id}.html"


@pytest.mark.parametrize("broken", ["create_table_artifact", "render_page", "candle_chart", "create_markdown_artifact"])
@pytest.mark.usefixtures("rendered", "served")
def test_one_part_that_fails_is_logged_and_the_others_are_published(
    artifacts: Artifacts,
    batch: BarBatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConnectionError("the API is away")

    save_result(batch, _report(batch), {"checks": 23}, tmp_path)
    monkeypatch.setattr(quality, broken, refuse)
    with caplog.at_level(logging.ERROR):
        publish_quality.fn(batch, _report(batch))
    assert "BTCUSD could not be published" in caplog.text
    assert "the API is away" in caplog.text
    assert len(artifacts.made) == 2


def test_without_an_engine_nothing_is_raised(
    batch: BarBatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> Any:
        raise ConnectionError("the ledger is away")

    monkeypatch.setattr(runtime, "engine", away)
    assert publish_quality.fn(batch, _report(batch)) is None
    publish_trend.fn()
    assert [record.getMessage() for record in caplog.records if record.name == "tasks.quality"] == [
        "the quality of BTCUSD could not be published",
        "the trend could not be published",
    ]


def test_the_result_of_the_checks_comes_back_from_beside_its_batch(batch: BarBatch, tmp_path: Path) -> None:
    report = _report(batch)
    assert load_result(batch, report, tmp_path) is None
    path = save_result(batch, report, {"checks": 23, "rows": [{"close": None}]}, tmp_path)
    assert path == (tmp_path / batch.path).parent / f"{batch.id}.{report.id}.json"
    assert load_result(batch, report, tmp_path) == {"checks": 23, "rows": [{"close": None}]}
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".json", ".parquet"]


def test_a_validation_leaves_its_whole_result_beside_the_batch(
    engine: Any, batch: BarBatch, table: pa.Table, tmp_path: Path
) -> None:
    report = validate_and_save(table, batch, batch.bar_close + timedelta(seconds=20))
    found = load_result(batch, report, tmp_path)
    assert found is not None
    assert len(found["results"]) == report.checks > 0


def test_a_result_that_cannot_be_saved_changes_no_verdict(
    engine: Any, batch: BarBatch, table: pa.Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quality, "replace", full)
    assert validate_and_save(table, batch, batch.bar_close + timedelta(seconds=20)).checks > 0
    assert "No space left on device" in caplog.text


def test_a_suite_that_could_not_run_saves_nothing(engine: Any, batch: BarBatch, tmp_path: Path) -> None:
    report = validate_and_save(None, batch, batch.bar_close)
    assert not report.passed
    assert load_result(batch, report, tmp_path) is None


def test_the_trend_is_published_once_a_day(artifacts: Artifacts, batch: BarBatch, engine: Any) -> None:
    publish_trend.fn()
    assert artifacts.made == []
    fresh = _fresh(batch)
    engine.ledger.record_quality(_report(batch, checked_at=engine.clock.now(), freshness=fresh))
    engine.ledger.record_quality(_report(batch, SPIKE, id="f" * 32, checked_at=engine.clock.now(), freshness=fresh))
    for _ in range(3):
        publish_trend.fn()
    kind, text, description = artifacts.one("quality-trend")
    assert (kind, description) == ("markdown", "Pass rate up to 2018-04-04")
    assert "| BTCUSD | 50.0% | 1 | 2 | ▄ |" in text
    assert "](data:image/png;base64,iVBORw0KGgo" in text
    engine.clock.advance(timedelta(days=1))
    publish_trend.fn()
    assert [description for *_, description in artifacts.made][1:] == ["Pass rate up to 2018-04-05"]
    engine.clock.advance(timedelta(days=40))
    publish_trend.fn()
    assert len(artifacts.made) == 2, "nothing was checked in the days of the trend"


@pytest.mark.slow
async def test_from_the_link_in_prefect_it_is_one_request_to_the_page(
    engine: Any, batch: BarBatch, table: pa.Table, local_api: str
) -> None:
    report = validate_and_save(table, batch, batch.bar_close + timedelta(seconds=20))
    report = report.model_copy(update={"freshness": _fresh(batch)})
    engine.ledger.record_quality(report)
    engine.clock.at = report.checked_at

    @flow
    def publish() -> str | None:
        publish_trend()
        publish_trend()
        return publish_quality(batch, report, _decision(), _sizing())

    with temporary_settings({PREFECT_API_URL: local_api}):
        place = publish()
        async with get_client() as client:
            made = await client.read_artifacts()
    found = {each.key: each.data for each in made}
    assert place == f"/quality/{batch.id}.{report.id}.html"
    names = ["chart-btcusd-1m", "quality-btcusd-1m", "quality-page-btcusd-1m", "quality-trend"]
    assert sorted(str(each.key) for each in made) == names
    assert f"]({place})" in found["quality-page-btcusd-1m"]
    page = httpx.get(local_api.removesuffix("/api") + place, trust_env=False)
    assert page.status_code == 200
    assert report.id in page.text
    assert page.headers["content-security-policy"] == quality.quality_pages.POLICY


@pytest.fixture
def local_api(tmp_path: Path) -> Iterator[str]:
    """URL of a Prefect API that serves the pages of this test's data folder."""
    port = free_port()
    command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(tmp_path), "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (tmp_path / "api.log").open("w") as log:
        child = Child.spawn("api", command, env=clean, log=log)
        await_healthy(f"http://127.0.0.1:{port}/api", child)
        # Prefect's queue of events is one a process and stays with the API it met first: this one ends before the others.
        EventsWorker.set_client_override(NullEventsClient)
        yield f"http://127.0.0.1:{port}/api"
        EventsWorker.set_client_override(None)
        child.close()
