"""`ffe models calibration`: the grades of the ledger for a person, a program and a picture."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe.decision.models import Action, Author, Decision
from ffe.feedback.calibration import fit
from ffe.feedback.models import Exit, Grade
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe
from ffe.settings import ConfidenceSettings

BEGIN = datetime(2018, 4, 4, tzinfo=UTC)
ENTRIES = 40


@pytest.fixture
def ledger_with(tmp_path: Path) -> Callable[..., None]:
    """Writes graded decisions of one model, one a bar: half of those that said 80 % paid, none of those that said 40 %."""

    def write(count: int, *, digest: str = "a" * 64, action: Action = Action.BUY, calibrated: bool = True) -> None:
        ledger = Ledger.open(f"sqlite:///{tmp_path}/.ffe/ledger.sqlite")
        for at in range(count):
            cycle = f"{digest[0]}{at:031x}"
            ledger.start_cycle(cycle, "sim", "5m", BEGIN)
            ledger.record_decision(_decision(cycle, at, digest))
            ledger.record_grade(_grade(cycle, at, digest).model_copy(update={"action": action, "opinion": action}))
        found = fit(ledger.grades(model_digest=digest), settings=ConfidenceSettings(), now=BEGIN + timedelta(days=9))
        if calibrated and found is not None:
            ledger.record_calibration(found)
        ledger.close()

    return write


def _decision(name: str, at: int, digest: str) -> Decision:
    return Decision(
        id=name,
        cycle_id=name,
        instrument="EURUSD",
        timeframe=Timeframe.M5,
        bar_close=BEGIN + at * timedelta(minutes=5),
        action=Action.BUY,
        confidence=80,
        decided_by=Author.MODEL,
        reason_code="model",
        reasoning="up.",
        model_digest=digest,
        decided_at=BEGIN,
    )


def _grade(name: str, at: int, digest: str) -> Grade:
    close = BEGIN + at * timedelta(minutes=5)
    return Grade(
        decision_id=name,
        instrument="EURUSD",
        timeframe=Timeframe.M5,
        bar_close=close,
        action=Action.BUY,
        decided_by=Author.MODEL,
        model_digest=digest,
        prompt_version="v3",
        horizon_bars=12,
        known_at=close + timedelta(hours=1),
        entry_price=Decimal("1.2"),
        exit_price=Decimal("1.2"),
        exit=Exit.HORIZON,
        cost=0.0,
        net_return=0.0,
        long_return=0.001 if at % 4 == 0 else -0.001,
        short_return=-0.001,
        paid=at % 4 == 0,
        regret=0.0,
        stated=0.8 if at % 2 == 0 else 0.4,
        graded_at=close + timedelta(hours=2),
    )


def test_a_person_sees_the_scores_and_the_bins_of_each_model(
    ffe: Callable[..., Any], ledger_with: Callable[..., None]
) -> None:
    ledger_with(ENTRIES)
    said = ffe("models", "calibration")
    assert said.code == 0
    (row,) = [line for line in said.out.splitlines() if "temperature" in line and "│" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][:7] == [
        "a" * 12,
        "v3",
        "40",
        "0",
        "25.0%",
        "stated",
        "temperature",
    ]
    assert "calibrated by temperature on 40 graded entries, scores on the newest 30 % of them" in said.out
    bins = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.out.splitlines() if " to " in line]
    assert ["stated", "70% to 80%", "20", "80.0%", "50.0%"] in bins
    assert ["stated", "30% to 40%", "20", "40.0%", "0.0%"] in bins
    assert {row[0] for row in bins} == {"stated", "calibrated"}


def test_a_program_gets_one_document_with_calibration_and_bins(
    ffe: Callable[..., Any], ledger_with: Callable[..., None]
) -> None:
    ledger_with(ENTRIES)
    (found,) = ffe("models", "calibration", "--json").document
    assert (found["model_digest"], found["entries"], found["paid"]) == ("a" * 64, 40, 0.25)
    assert found["calibration"]["method"] == "temperature"
    assert found["calibration"]["brier_after"] < found["calibration"]["brier_before"]
    assert found["bins"]["stated"][0] | {"mean_probability": 0.4} == {
        "low": pytest.approx(0.3),
        "high": 0.4,
        "count": 20,
        "mean_probability": 0.4,
        "share": 0.0,
    }
    assert found["standing"].startswith("aaaaaaaaaaaa with prompt v3: calibrated by temperature")


def test_too_few_grades_are_said_plainly(ffe: Callable[..., Any], ledger_with: Callable[..., None]) -> None:
    ledger_with(12)
    said = ffe("models", "calibration")
    assert said.code == 0
    assert "no calibration: 12 graded entries are fewer than min_grades 30" in said.out


def test_a_model_that_only_held_has_a_row_and_no_bins(
    ffe: Callable[..., Any], ledger_with: Callable[..., None]
) -> None:
    ledger_with(3, action=Action.HOLD)
    said = ffe("models", "calibration").out
    assert "no calibration: 0 graded entries are fewer than min_grades 30" in said
    assert "reliability of" not in said


def test_grades_enough_without_a_calibration_say_what_is_missing(
    ffe: Callable[..., Any], ledger_with: Callable[..., None]
) -> None:
    ledger_with(ENTRIES, calibrated=False)
    (found,) = ffe("models", "calibration", "--json").document
    assert found["calibration"] is None
    assert "although 40 graded entries are at least min_grades 30" in found["standing"]


@pytest.mark.parametrize("models", ["a", "ab"])
def test_the_plot_is_a_png_of_one_model_or_of_several(
    ffe: Callable[..., Any], ledger_with: Callable[..., None], tmp_path: Path, models: str
) -> None:
    for digest in models:
        ledger_with(6, digest=digest * 64)
    assert ffe("models", "calibration", "--plot", str(tmp_path / "curve.png")).code == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_plot_that_cannot_be_written_is_bad_usage(
    ffe: Callable[..., Any], ledger_with: Callable[..., None], tmp_path: Path
) -> None:
    ledger_with(2)
    said = ffe("models", "calibration", "--plot", str(tmp_path / "nowhere" / "curve.png"))
    assert said.code == 2
    assert "can't be written: No such file or directory" in said.err


def test_an_empty_ledger_says_so_and_has_nothing_to_draw(ffe: Callable[..., Any], tmp_path: Path) -> None:
    assert "no graded model decisions" in ffe("models", "calibration").out
    assert ffe("models", "calibration", "--json").document == []
    said = ffe("models", "calibration", "--plot", str(tmp_path / "curve.png"))
    assert (said.code, (tmp_path / "curve.png").exists()) == (2, False)
    assert "no graded decision to draw" in said.err
