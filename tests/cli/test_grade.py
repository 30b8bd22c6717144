"""`ffe grade`: exit code, table and JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.cli import grade as command
from ffe.decision.models import Action, Author
from ffe.feedback.models import Calibration, Exit, Grade
from ffe.feedback.report import GradingReport, MarketGrades
from ffe.market.models import Timeframe

AT = datetime(2024, 3, 20, 13, 0, tzinfo=UTC)
DONE = MarketGrades(instrument="BTCUSD", timeframe=Timeframe.M5, graded=2, pending=3)


def graded(action: Action, net_return: float, *, paid: bool, regret: float) -> Grade:
    return Grade(
        decision_id=f"d-{action}-{net_return}",
        instrument="BTCUSD",
        timeframe=Timeframe.M5,
        bar_close=AT,
        action=action,
        decided_by=Author.MODEL,
        model_digest="d1",
        prompt_version="v3",
        horizon_bars=12,
        known_at=AT,
        entry_price=100,
        exit_price=101,
        exit=Exit.HORIZON,
        cost=0.001,
        net_return=net_return,
        long_return=net_return,
        short_return=-0.01,
        paid=paid,
        regret=regret,
        graded_at=AT,
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
    ece_before=0.2,
    ece_after=0.1,
    fitted_at=AT,
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the engine say so without a venue, with two graded BUYs and a HOLD on record."""
    grades = [
        graded(Action.BUY, 0.01, paid=True, regret=0.0),
        graded(Action.BUY, -0.005, paid=False, regret=0.005),
        graded(Action.HOLD, 0.0, paid=True, regret=0.0),
    ]

    @contextmanager
    def venues(settings: Any) -> Iterator[Any]:
        clock, ledger = SimpleNamespace(now=lambda: AT), SimpleNamespace(grades=lambda: grades)
        yield SimpleNamespace(settings=settings, clock=clock, ledger=ledger)

    def give(*markets: MarketGrades, **values: Any) -> None:
        report = GradingReport(at=AT, markets=markets, **values)
        monkeypatch.setattr(command, "grade_all", lambda engine, now, validate: report)

    monkeypatch.setattr(command, "venues", venues)
    return give


def test_the_tables_say_what_was_graded_and_what_it_amounts_to(ffe: Callable[..., Any], found: Any) -> None:
    found(DONE, calibrations=(CALIBRATION,))
    said = ffe("grade")
    assert said.code == 0
    lines = [" ".join(line.replace("│", " ").split()) for line in said.out.splitlines()]
    assert "BTCUSD 5m 2 3 0" in lines
    assert "model BUY 2 50.0% +0.250% 0.250%" in lines
    assert "model HOLD 1 100.0% +0.000% 0.000%" in lines
    assert "calibrated dddddddddddd v3: temperature of 40 grades" in lines


@pytest.mark.parametrize(
    ("problem", "elsewhere"),
    [("BTCUSD 5m: coinbase: 503", None), ("calibrations: ValueError: no curve", "ValueError: no curve")],
)
def test_a_failure_is_printed_and_ends_with_3(
    ffe: Callable[..., Any], found: Any, problem: str, elsewhere: str | None
) -> None:
    failed = DONE if elsewhere is not None else DONE.model_copy(update={"problem": "coinbase: 503", "missing": 1})
    found(failed, problem=elsewhere)
    said = ffe("grade")
    assert said.code == 3
    assert problem in said.out.splitlines()


def test_json_is_one_document_with_everything_in_it(ffe: Callable[..., Any], found: Any) -> None:
    found(DONE.model_copy(update={"problem": "coinbase: 503"}))
    said = ffe("grade", "--json")
    assert said.code == 3
    document = json.loads(said.out)
    assert document["markets"][0] == {
        "instrument": "BTCUSD",
        "timeframe": "5m",
        "graded": 2,
        "pending": 3,
        "missing": 0,
        "problem": "coinbase: 503",
    }
    assert [(row["decided_by"], row["action"], row["count"]) for row in document["authors"]] == [
        ("model", "BUY", 2),
        ("model", "HOLD", 1),
    ]


@pytest.mark.slow
def test_a_new_ledger_has_nothing_to_grade(ffe: Callable[..., Any]) -> None:
    said = ffe("grade", "--mode", "sim")
    assert said.code == 0, said.err
    assert "no decisions to grade" in said.out
    assert "no grades on record" in said.out
