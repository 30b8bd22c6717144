"""The artifacts of a cycle: one click from the order to the quality of its bars, in both of Prefect's UIs."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ffe.cycle.report import CycleReport, ErrorSummary, InstrumentReport, QualitySummary
from ffe.market.models import Timeframe
from tasks import summaries
from tasks.summaries import publish_report

NOW = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
PAGE = "/quality/page.html"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, str]]:
    """Content and description of every artifact by its key, in place of Prefect's API."""
    made: dict[str, tuple[Any, str]] = {}

    def create(content: Any, *, key: str, description: str) -> None:
        made[key] = (content, description)

    monkeypatch.setattr(summaries, "create_markdown_artifact", create)
    monkeypatch.setattr(summaries, "create_table_artifact", create)
    return made


def _row(symbol: str, **values: Any) -> InstrumentReport:
    return InstrumentReport(instrument=symbol, venue="coinbase", **values)


def _checked(*critical: str) -> QualitySummary:
    return QualitySummary(passed=not critical, critical=critical, warnings=())


def _cycle(*rows: InstrumentReport) -> CycleReport:
    return CycleReport(
        cycle_id="c1",
        mode="sim",
        timeframe=Timeframe.M5,
        started_at=NOW,
        finished_at=NOW,
        timings_ms={"bars": 12.4},
        instruments=rows,
    )


BOUGHT = _row(
    "BTCUSD",
    quality=_checked(),
    decision={"decided_by": "model", "action": "BUY", "confidence": 85},
    sizing={"units": "0.01", "clamps": [{"name": "cash", "before": "2", "after": "1", "rule": "r"}]},
)


def test_the_rows_of_decision_and_sizing_lead_to_the_quality_page(published: dict[str, tuple[Any, str]]) -> None:
    publish_report.fn(
        _cycle(BOUGHT, _row("EURUSD", quality=_checked("gap"))), {"BTCUSD": PAGE, "EURUSD": "/quality/e.html"}
    )
    assert set(published) == {"cycle-5m", "decisions-5m", "sizing-5m"}
    text, _ = published["cycle-5m"]
    assert f"| BTCUSD | [passed]({PAGE}) | model | BUY | 85 |" in text
    assert "| EURUSD | [failed](/quality/e.html) |" in text
    rows, description = published["decisions-5m"]
    assert [row["instrument"] for row in rows] == ["BTCUSD", "EURUSD"]
    assert (
        description
        == f"decisions of cycle c1; [quality page of BTCUSD]({PAGE}); [quality page of EURUSD](/quality/e.html)"
    )
    rows, description = published["sizing-5m"]
    assert rows == [{"instrument": "BTCUSD", "units": "0.01", "clamps": "cash 2 -> 1"}]
    assert description == f"sizing of cycle c1; [quality page of BTCUSD]({PAGE})"


def test_a_page_that_is_not_served_is_named_by_its_file(published: dict[str, tuple[Any, str]]) -> None:
    publish_report.fn(_cycle(BOUGHT), {"BTCUSD": "bars/batches/ab/p.html"})
    assert "| BTCUSD | passed (`bars/batches/ab/p.html`) |" in published["cycle-5m"][0]
    assert published["sizing-5m"][1].endswith("quality page of BTCUSD (`bars/batches/ab/p.html`)")


def test_without_pages_the_verdict_alone_is_there(published: dict[str, tuple[Any, str]]) -> None:
    away = _row("GBPUSD", error=ErrorSummary(type="NoSourceError", message="none", incident="incident-1"))
    publish_report.fn(_cycle(BOUGHT, away), {"BTCUSD": None})
    text, _ = published["cycle-5m"]
    assert "| BTCUSD | passed | model |" in text
    assert "| GBPUSD | not checked | - |" in text
    assert "NoSourceError, artifact `incident-1`" in text
    assert published["decisions-5m"][1] == "decisions of cycle c1"


def test_a_cycle_without_an_order_has_no_sizing(published: dict[str, tuple[Any, str]]) -> None:
    publish_report.fn(_cycle(_row("BTCUSD")))
    assert set(published) == {"cycle-5m", "decisions-5m"}
