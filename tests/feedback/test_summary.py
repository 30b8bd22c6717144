"""What the ledger knows of each model's confidence, model by model and prompt by prompt."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe.decision.models import Action, Author
from ffe.feedback.models import Calibration, Exit, Grade
from ffe.feedback.scores import reliability
from ffe.feedback.summary import summarise
from ffe.market.models import Timeframe

AT = datetime(2018, 4, 4, tzinfo=UTC)


def grade(at: int = 0, **changes: Any) -> Grade:
    values: dict[str, Any] = {
        "decision_id": f"{at:032x}",
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": AT,
        "action": Action.BUY,
        "decided_by": Author.MODEL,
        "model_digest": "d1",
        "prompt_version": "v3",
        "horizon_bars": 12,
        "known_at": AT,
        "entry_price": Decimal(1),
        "exit_price": Decimal(1),
        "exit": Exit.HORIZON,
        "cost": 0.0,
        "net_return": 0.0,
        "long_return": 0.0,
        "short_return": 0.0,
        "paid": at % 2 == 0,
        "regret": 0.0,
        "stated": 0.85,
        "graded_at": AT,
    }
    return Grade(**values | changes)


def calibration(**changes: Any) -> Calibration:
    values: dict[str, Any] = {
        "id": "c1",
        "model_digest": "d1",
        "prompt_version": "v3",
        "source": "stated",
        "method": "isotonic",
        "parameters": {"values": [0.85], "shares": [0.45]},
        "habit": None,
        "grades": 200,
        "known_until": AT,
        "brier_before": 0.3,
        "brier_after": 0.25,
        "ece_before": 0.2,
        "ece_after": 0.1,
        "fitted_at": AT,
    }
    return Calibration(**values | changes)


def test_every_model_and_prompt_has_a_summary_and_the_longest_record_is_first() -> None:
    grades = [grade(0), grade(1, model_digest="d2"), grade(2, model_digest="d2"), grade(3, prompt_version="v4")]
    found = [(each.model_digest, each.prompt_version, each.entries) for each in summarise(grades, [])]
    assert found == [("d2", "v3", 2), ("d1", "v3", 1), ("d1", "v4", 1)]


def test_holds_are_counted_apart_and_only_opinions_of_the_model_are() -> None:
    others = [
        grade(1, decided_by=Author.FALLBACK),
        grade(2, model_digest=None),
        grade(3, prompt_version=None),
        grade(4, action=Action.HOLD),
    ]
    (found,) = summarise([grade(0), grade(5), grade(6), *others], [])
    assert (found.entries, found.holds, found.paid) == (3, 1, pytest.approx(2 / 3))
    assert summarise([others[0]], []) == []


def test_a_model_that_only_held_has_no_share_and_no_curve() -> None:
    (found,) = summarise([grade(0, action=Action.HOLD)], [calibration()])
    assert (found.entries, found.paid, found.bins) == (0, None, {})


def test_the_curves_are_those_of_what_each_entry_said() -> None:
    odds = {"BUY": 0.6, "SELL": 0.3, "HOLD": 0.1}
    (found,) = summarise([grade(0, odds=odds), grade(1), grade(2, stated=None)], [calibration()])
    assert found.bins == {
        "stated": reliability([0.85, 0.85], [True, False]),
        "token": reliability([0.6], [True]),
        "calibrated": reliability([0.45, 0.45], [True, False]),
    }


def test_the_calibration_from_the_newest_facts_counts_and_of_that_model_only() -> None:
    newer = {"known_until": AT + timedelta(days=1)}
    made = [
        calibration(id="old"),
        calibration(id="again", fitted_at=AT + timedelta(hours=1), **newer),
        calibration(id="first", **newer),
        calibration(id="other", model_digest="d2", known_until=AT + timedelta(days=9)),
        calibration(id="prompt", prompt_version="v4", known_until=AT + timedelta(days=9)),
    ]
    (found,) = summarise([grade(0)], made)
    assert found.calibration is not None
    assert found.calibration.id == "again"
    (bare,) = summarise([grade(0)], made[3:])
    assert bare.calibration is None
