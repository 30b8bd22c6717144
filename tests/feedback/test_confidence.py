"""Which number gates: always from 0 to 100, never rounded up, and no number at all where the one that was asked for is not known."""

import math
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.answer import Answer
from ffe.decision.models import Action
from ffe.feedback.calibration import apply
from ffe.feedback.confidence import DIGITS, weigh
from ffe.feedback.models import Calibration
from ffe.settings import ConfidenceSettings, ConfidenceSource

STATED, TOKEN, CALIBRATED = (ConfidenceSettings(source=source) for source in ConfidenceSource)
LEVEL = {action.value: math.log(1 / 3) for action in Action}
ANSWERS = st.builds(
    Answer,
    reasoning=st.just("up."),
    action=st.sampled_from(Action),
    confidence=st.integers(0, 20).map(lambda at: 5 * at),
)
ODDS = st.fixed_dictionaries({action.value: st.floats(0, 1) for action in Action})


def answer(action: Action = Action.BUY, confidence: int = 85) -> Answer:
    return Answer(reasoning="up.", action=action, confidence=confidence)


def odds(buy: float = 0.6, sell: float = 0.3, hold: float = 0.1) -> dict[str, float]:
    return {"BUY": buy, "SELL": sell, "HOLD": hold}


def calibration(**changes: Any) -> Calibration:
    values: dict[str, Any] = {
        "id": "c1",
        "model_digest": "d1",
        "prompt_version": "v3",
        "source": "token",
        "method": "isotonic",
        "parameters": {"values": [0.0, 1.0], "shares": [0.2, 0.7]},
        "habit": LEVEL,
        "grades": 200,
        "known_until": datetime(2018, 4, 4, tzinfo=UTC),
        "brier_before": 0.3,
        "brier_after": 0.25,
        "ece_before": 0.2,
        "ece_after": 0.1,
        "fitted_at": datetime(2018, 4, 4, tzinfo=UTC),
    }
    return Calibration(**values | changes)


BY_STATED = calibration(source="stated", habit=None)
CURVES = st.sampled_from([None, calibration(), BY_STATED])


def test_stated_confidence_gates_by_default_and_the_others_stand_beside_it() -> None:
    found, parts = weigh(answer(), odds(), calibration(), ConfidenceSettings())
    assert found == 85
    assert (parts.source, parts.stated, parts.token, parts.odds) == ("stated", 0.85, 0.6, odds())
    assert parts.corrected == pytest.approx(0.6)
    assert parts.calibrated == pytest.approx(0.5)
    assert parts.calibration_id == "c1"


def test_the_probability_of_the_written_action_gates_where_it_is_known() -> None:
    assert weigh(answer(), odds(buy=0.699, sell=0.3, hold=0.001), None, TOKEN)[0] == 69
    assert weigh(answer(Action.SELL), odds(), None, TOKEN)[0] == 30
    found, parts = weigh(answer(), odds(), None, TOKEN)
    assert (found, parts.source, parts.corrected, parts.calibrated, parts.calibration_id) == (
        60,
        "token",
        None,
        None,
        None,
    )


def test_the_calibrated_share_gates_where_it_is_known() -> None:
    found, parts = weigh(answer(), odds(), calibration(), CALIBRATED)
    assert (found, parts.source) == (50, "calibrated")
    found, parts = weigh(answer(), None, BY_STATED, CALIBRATED)
    assert (found, parts.token, parts.calibration_id) == (62, None, "c1")
    assert parts.calibrated == pytest.approx(0.625)


@pytest.mark.parametrize("three", [None, {}, {"BUY": 1.0}, odds(math.nan), odds(0, 0, 0), odds(-0.1)])
def test_a_source_that_is_not_known_gives_no_confidence_and_is_named(three: dict[str, float] | None) -> None:
    assert weigh(answer(), three, None, TOKEN)[0] is None
    assert weigh(answer(), three, calibration(), TOKEN)[0] is None
    found, parts = weigh(answer(), three, calibration(), CALIBRATED)
    assert (found, parts.source, parts.odds, parts.calibration_id) == (None, "calibrated", None, None)
    assert weigh(answer(), odds(), None, CALIBRATED)[0] is None


@pytest.mark.parametrize("settings", [TOKEN, CALIBRATED])
def test_a_hold_takes_the_stated_one_where_the_source_is_missing(settings: ConfidenceSettings) -> None:
    found, parts = weigh(answer(Action.HOLD, 55), None, None, settings)
    assert (found, parts.source) == (55, "stated")


def test_a_hold_has_a_token_probability_and_no_calibrated_share() -> None:
    assert weigh(answer(Action.HOLD), odds(), None, TOKEN)[0] == 10
    found, parts = weigh(answer(Action.HOLD, 55), odds(), calibration(), CALIBRATED)
    assert (found, parts.source, parts.calibrated) == (55, "stated", None)
    assert parts.corrected == pytest.approx(0.1)


@given(ANSWERS, st.none() | ODDS, CURVES, st.sampled_from([STATED, TOKEN, CALIBRATED]))
def test_confidence_is_a_whole_number_from_0_to_100_or_none_for_an_entry(
    given_answer: Answer, three: dict[str, float] | None, curve: Calibration | None, settings: ConfidenceSettings
) -> None:
    found, parts = weigh(given_answer, three, curve, settings)
    if found is None:
        assert given_answer.action is not Action.HOLD
        assert getattr(parts, settings.source.value) is None
    else:
        assert 0 <= found <= 100
        assert parts.source == settings.source.value or given_answer.action is Action.HOLD
        named = getattr(parts, parts.source)
        assert found <= Decimal(repr(round(named, DIGITS))) * 100 < found + 1


@given(st.integers(0, 100))
def test_a_share_of_whole_percent_is_that_percent(percent: int) -> None:
    curve = calibration(parameters={"values": [0.0], "shares": [percent / 100]})
    assert weigh(answer(), odds(), curve, CALIBRATED)[0] == percent


def test_what_gates_is_what_the_calibration_gives() -> None:
    parts = weigh(answer(Action.SELL), odds(), calibration(), CALIBRATED)[1]
    assert (parts.corrected, parts.calibrated) == apply(calibration(), 0.85, odds(), Action.SELL)


def test_weighing_an_answer_loads_no_library_that_only_fitting_needs() -> None:
    """Every decision is made by a process that should start soon."""
    code = "import sys, ffe.feedback.confidence; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
