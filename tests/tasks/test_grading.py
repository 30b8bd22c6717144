"""The pages about grades, from the records alone."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.feedback.models import Calibration
from ffe.feedback.report import MarketGrades
from ffe.feedback.scores import ReliabilityBin
from ffe.feedback.summary import ConfidenceSummary
from ffe.market.models import Timeframe
from tasks import grading, runtime

AT = datetime(2024, 3, 20, 13, 0, tzinfo=UTC)
SUMMARY = ConfidenceSummary(
    model_digest="d" * 64, prompt_version="v3", entries=40, holds=2, paid=0.475, calibration=None, bins={}
)
CALIBRATION = Calibration(
    id="k",
    model_digest="d" * 64,
    prompt_version="v3",
    source="stated",
    method="temperature",
    parameters={},
    habit=None,
    grades=40,
    known_until=AT,
    brier_before=0.3,
    brier_after=0.2,
    ece_before=0.25,
    ece_after=0.1,
    fitted_at=AT,
)


def test_a_model_with_a_calibration_shows_its_scores_before_and_after_and_its_curve() -> None:
    bins = {"stated": [ReliabilityBin(0.7, 0.8, 40, 0.75, 0.475)]}
    page = grading.calibration_page([SUMMARY.model_copy(update={"calibration": CALIBRATION, "bins": bins})])
    row = "| dddddddddddd | v3 | 40 | 47.5% | temperature of stated, 40 grades | 0.3000 -> 0.2000 | 0.2500 -> 0.1000 |"
    assert row in page
    assert "data:image/png;base64," in page


def test_a_model_without_one_says_so() -> None:
    page = grading.calibration_page([SUMMARY.model_copy(update={"entries": 0, "paid": None})])
    assert "| dddddddddddd | v3 | 0 | - | no calibration yet | - | - |" in page


def test_pages_that_can_not_be_published_fail_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> Any:
        raise RuntimeError("disk full")

    monkeypatch.setattr(runtime, "engine", lambda: SimpleNamespace(ledger=SimpleNamespace(grades=refused)))
    grading.publish_grades.fn([MarketGrades(instrument="BTCUSD", timeframe=Timeframe.M5)])
    assert "could not be published" in caplog.text
    assert "disk full" in caplog.text


def test_without_a_grade_there_is_a_page_and_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    ledger = SimpleNamespace(grades=lambda **_: [], calibrations=list)
    monkeypatch.setattr(runtime, "engine", lambda: SimpleNamespace(ledger=ledger))
    monkeypatch.setattr(grading, "create_table_artifact", lambda *_, key, **__: made.append(key))
    monkeypatch.setattr(grading, "create_markdown_artifact", lambda *_, key, **__: made.append(key))
    grading.publish_grades.fn([])
    assert made == ["calibration"]
