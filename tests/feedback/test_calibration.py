"""Calibration: the habit comes off, meaningless confidence ends at the base rate, and nothing from after its time enters."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ffe.decision.models import Action, Author
from ffe.feedback.calibration import apply, corrected, fit, habit, raw, source_of, usable
from ffe.feedback.models import Calibration, Exit, Grade
from ffe.feedback.scores import brier, ece
from ffe.market.models import Timeframe
from ffe.settings import ConfidenceSettings

BEGIN = datetime(2018, 4, 4, tzinfo=UTC)
STEP, HORIZON = timedelta(minutes=5), timedelta(hours=1)
LATER = BEGIN + timedelta(days=400)
SETTINGS = ConfidenceSettings()
ODDS = st.fixed_dictionaries({action.value: st.floats(1e-5, 1) for action in Action}).map(
    lambda odds: {action: value / sum(odds.values()) for action, value in odds.items()}
)


def grade(at: int, *, said: float | None = 0.7, paid: bool = True, **changes: Any) -> Grade:
    close = BEGIN + at * STEP
    values: dict[str, Any] = {
        "decision_id": f"{at:032x}",
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": close,
        "action": Action.BUY,
        "decided_by": Author.MODEL,
        "model_digest": "d1",
        "prompt_version": "v3",
        "horizon_bars": 12,
        "known_at": close + HORIZON,
        "entry_price": Decimal(1),
        "exit_price": Decimal(1),
        "exit": Exit.HORIZON,
        "cost": 0.0,
        "net_return": 0.001 if paid else -0.001,
        "long_return": 0.0,
        "short_return": 0.0,
        "paid": paid,
        "regret": 0.0,
        "stated": said,
        "graded_at": LATER,
    }
    return Grade(**values | changes)


def leaning(buy: float, sell: float, hold: float) -> dict[str, float]:
    return {"BUY": buy, "SELL": sell, "HOLD": hold}


def synthetic(count: int, *, meaning: float, base: float = 0.45, seed: int = 3) -> list[Grade]:
    """Decisions that say anything from 5 to 95 %: with `meaning` 1 that share of them pays, with 0 always `base` does."""
    chance = np.random.default_rng(seed)
    said = chance.integers(1, 20, count) / 20
    paid = chance.random(count) < meaning * said + (1 - meaning) * base
    return [grade(at, said=float(said[at]), paid=bool(paid[at])) for at in range(count)]


def with_odds(count: int, seed: int = 11) -> list[Grade]:
    """A model that says BUY most of the time, whatever it sees, while its odds of a SELL are where its knowledge is."""
    chance = np.random.default_rng(seed)
    grades = []
    for at in range(count):
        knowing = chance.normal()
        weights = np.exp([2.0 + knowing, -knowing, 0.5])
        odds = dict(zip(("BUY", "SELL", "HOLD"), (weights / weights.sum()).tolist(), strict=True))
        action = Action(max(odds, key=lambda name: odds[name]))
        right = chance.random() < 1 / (1 + math.exp(-2 * knowing * (1 if action is Action.BUY else -1)))
        grades.append(grade(at, said=0.85, paid=bool(right), odds=odds, token=odds[action.value], action=action))
    return grades


def fitted(grades: list[Grade], now: datetime = LATER, **changes: Any) -> Calibration:
    found = fit(grades, settings=SETTINGS.model_copy(update=changes), now=now)
    assert found is not None
    return found


def share(calibration: Calibration, stated: float, odds: Mapping[str, float] | None = None) -> float:
    found = apply(calibration, stated, odds, Action.BUY)[1]
    assert found is not None
    return found


@given(st.lists(ODDS, min_size=1, max_size=20), ODDS)
def test_corrected_odds_are_probabilities_that_sum_to_one(seen: list[dict[str, float]], odds: dict[str, float]) -> None:
    found = corrected(odds, habit(seen))
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-12)
    assert all(0 <= value <= 1 for value in found.values())


@given(ODDS)
def test_without_any_answer_there_is_no_habit_to_take_off(odds: dict[str, float]) -> None:
    assert corrected(odds, habit([])) == pytest.approx(odds, abs=1e-12)


@given(st.lists(ODDS, min_size=1, max_size=20))
def test_over_its_own_answers_a_corrected_model_leans_to_nothing(seen: list[dict[str, float]]) -> None:
    found = habit(seen)
    scores = [{action: math.log(each[action]) - found[action] for action in each} for each in seen]
    for action in Action:
        assert math.fsum(each[action.value] for each in scores) == pytest.approx(0, abs=1e-9)


def test_a_habitual_buyer_is_taken_back() -> None:
    seen = [leaning(0.9, 0.04, 0.06), leaning(0.8, 0.1, 0.1), leaning(0.95, 0.02, 0.03)]
    found = corrected(leaning(0.8, 0.1, 0.1), habit(seen))
    assert max(found, key=lambda action: found[action]) == "SELL"
    usual = corrected({action: math.exp(value) for action, value in habit(seen).items()}, habit(seen))
    assert usual == pytest.approx(leaning(1 / 3, 1 / 3, 1 / 3), abs=1e-9)


def test_one_impossible_answer_does_not_outweigh_the_others() -> None:
    seen = [leaning(0.4, 0.3, 0.3)] * 999 + [leaning(1.0, 0.0, 0.0)]
    assert habit(seen)["SELL"] == pytest.approx(math.log(0.3), abs=0.02)


@pytest.mark.parametrize(
    "odds",
    [None, {}, {"BUY": 1.0}, leaning(0, 0, 0), leaning(-0.1, 0.6, 0.5), leaning(2, 0, 0)],
)
def test_odds_that_are_not_three_probabilities_are_not_usable(odds: dict[str, float] | None) -> None:
    assert not usable(odds)
    assert raw(grade(0, odds=odds), "token") is None


@pytest.mark.parametrize("count", [120, 600])
def test_confidence_without_meaning_ends_near_the_base_rate(count: int) -> None:
    grades = synthetic(count, meaning=0)
    base = np.mean([each.paid for each in grades])
    found = fitted(grades)
    assert found.method == ("temperature" if count < SETTINGS.isotonic_grades else "isotonic")
    for stated in (0.3, 0.5, 0.7):
        assert share(found, stated) == pytest.approx(base, abs=0.12)
    assert found.brier_after < found.brier_before
    assert found.ece_after < found.ece_before


@pytest.mark.parametrize(("count", "near"), [(190, 0.1), (3000, 0.08)])
def test_a_well_calibrated_model_is_left_nearly_alone(count: int, near: float) -> None:
    found = fitted(synthetic(count, meaning=1))
    for stated in (0.2, 0.4, 0.6, 0.8):
        assert share(found, stated) == pytest.approx(stated, abs=near)
    assert found.brier_after < found.brier_before + 0.01


def test_the_method_follows_from_the_number_of_graded_entries() -> None:
    grades = synthetic(200, meaning=1)
    assert fitted(grades).method == "isotonic"
    assert fitted(grades[:199]).method == "temperature"
    assert fitted(grades[:30]).grades == 30
    assert fit(grades[:29], settings=SETTINGS, now=LATER) is None
    assert fit([], settings=SETTINGS, now=LATER) is None


@pytest.mark.parametrize(
    "change",
    [
        {"action": Action.HOLD},
        {"decided_by": Author.FALLBACK},
        {"decided_by": Author.RISK_GATE},
        {"model_digest": None},
        {"prompt_version": None},
        {"stated": None},
        {"stated": 1.2},
    ],
)
def test_what_is_no_graded_entry_of_the_model_does_not_count(change: dict[str, Any]) -> None:
    grades = synthetic(40, meaning=1)
    others = [grade(at, **{"said": 0.99} | change) for at in range(40, 90)]
    assert fitted([*grades, *others]).model_dump() == fitted(grades).model_dump()


def test_grades_of_two_models_or_two_prompts_are_refused() -> None:
    for change in ({"model_digest": "d2"}, {"prompt_version": "v4"}):
        with pytest.raises(ValueError, match="one model and prompt"):
            fit([*synthetic(40, meaning=1), grade(41, **change)], settings=SETTINGS, now=LATER)


def test_the_same_grades_in_any_order_give_the_same_calibration() -> None:
    grades = with_odds(80)
    assert fitted(grades[::-1]) == fitted(grades)
    assert fitted(grades[1:]).id != fitted(grades).id


@pytest.mark.parametrize("outcome", [True, False])
@pytest.mark.parametrize("count", [60, 300])
def test_when_all_or_none_paid_the_share_is_nearly_but_never_sure(outcome: bool, count: int) -> None:
    found = fitted([grade(at, said=0.5 + at % 10 / 20, paid=outcome) for at in range(count)])
    right = share(found, 0.75) if outcome else 1 - share(found, 0.75)
    assert 0.95 < right < 1


@pytest.mark.parametrize("count", [60, 300])
@pytest.mark.parametrize("said", [0.0, 0.85, 1.0])
def test_a_model_that_always_says_the_same_gets_its_base_rate(count: int, said: float) -> None:
    found = fitted([grade(at, said=said, paid=at % 5 < 2) for at in range(count)])
    assert share(found, said) == pytest.approx(0.4, abs=0.01)
    assert share(found, 0.5) == share(found, said)


def test_odds_are_calibrated_when_every_entry_carries_them_and_stated_confidence_otherwise() -> None:
    grades = with_odds(80)
    assert (source_of(grades), source_of([])) == ("token", "stated")
    assert fitted(grades).source == "token"
    found = fitted([*grades, grade(80)])
    assert (found.source, found.habit) == ("stated", None)


def test_holds_count_for_the_habit_and_not_for_the_curve() -> None:
    grades = with_odds(80)
    holds = [grade(at, action=Action.HOLD, odds=leaning(0.1, 0.1, 0.8)) for at in range(80)]
    found, other = fitted([*grades, *holds]), fitted(grades)
    assert found.grades == other.grades == 80
    assert found.habit is not None
    assert other.habit is not None
    assert found.habit["BUY"] < other.habit["BUY"]


def test_what_the_model_knows_below_its_habit_comes_out() -> None:
    grades = with_odds(600)
    found = fitted(grades)
    buys = [each for each in grades if each.action is Action.BUY]
    assert len(buys) > 500
    sure, unsure = leaning(0.97, 0.005, 0.025), leaning(0.5, 0.3, 0.2)
    assert share(found, 0.85, sure) > share(found, 0.85, unsure) + 0.2
    assert found.brier_after < found.brier_before


@settings(max_examples=25)
@given(cut=st.integers(0, 90), seed=st.integers(0, 5), odds=st.booleans())
def test_a_calibration_knows_nothing_that_was_not_known_by_its_time(cut: int, seed: int, odds: bool) -> None:
    grades = with_odds(90, seed) if odds else synthetic(90, meaning=1, seed=seed)
    now = BEGIN + cut * STEP + HORIZON
    found = fit(grades, settings=SETTINGS, now=now)
    known = [each for each in grades if each.known_at <= now]
    changed = [
        each.model_copy(update={"paid": not each.paid, "stated": 0.01}) for each in grades if each.known_at > now
    ]
    assert fit([*known, *changed], settings=SETTINGS, now=now) == found
    assume(found is not None)
    assert found is not None
    assert found.known_until == max(each.known_at for each in known) <= now
    assert found.grades == len(known)


def test_the_scores_are_on_the_newest_30_percent_against_what_was_known_before_them() -> None:
    grades = synthetic(100, meaning=0.5)
    found = fitted(grades)
    held, begin = grades[70:], grades[70].bar_close
    earlier = fitted([each for each in grades[:70] if each.known_at <= begin])
    said, paid = [each.stated or 0.0 for each in held], [each.paid for each in held]
    after = [share(earlier, each) for each in said]
    assert (found.brier_before, found.ece_before) == pytest.approx((brier(said, paid), ece(said, paid)))
    assert (found.brier_after, found.ece_after) == pytest.approx((brier(after, paid), ece(after, paid)))
    assert earlier.grades == 70 - 11


def test_grades_that_nothing_can_be_held_out_of_make_no_calibration() -> None:
    """All decided within one horizon: when the newest were decided, no outcome was known."""
    together = [grade(at, bar_close=BEGIN, known_at=BEGIN + HORIZON) for at in range(60)]
    assert fit(together, settings=SETTINGS, now=LATER) is None


def test_apply_gives_what_is_known_and_nothing_where_something_is_missing() -> None:
    odds = leaning(0.6, 0.3, 0.1)
    token, stated = fitted(with_odds(80)), fitted(synthetic(80, meaning=1))
    assert apply(token, 0.7, None, Action.BUY) == (None, None)
    assert apply(token, 0.7, leaning(math.nan, 0, 0), Action.BUY) == (None, None)
    assert token.habit is not None
    after, paying = apply(token, 0.7, odds, Action.BUY)
    assert after == corrected(odds, token.habit)["BUY"]
    assert paying is not None
    assert apply(stated, 0.7, odds, Action.SELL) == (None, share(stated, 0.7))
    assert apply(stated, None, odds, Action.BUY) == (None, None)
    assert apply(stated, math.nan, odds, Action.BUY) == (None, None)


def test_a_hold_gets_no_share_of_its_own() -> None:
    found = fitted(with_odds(80))
    token, paying = apply(found, 0.7, leaning(0.2, 0.2, 0.6), Action.HOLD)
    assert token is not None
    assert paying is None


@pytest.mark.parametrize("count", [60, 300])
@given(said=st.lists(st.floats(0, 1), min_size=2, max_size=10))
@settings(max_examples=30)
def test_a_surer_answer_is_never_worth_less_and_no_share_is_0_or_1(count: int, said: list[float]) -> None:
    found = CALIBRATIONS[count]
    shares = [share(found, each) for each in sorted([0.0, *said, 1.0])]
    assert all(0 < each < 1 for each in shares)
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(shares))


CALIBRATIONS = {count: fitted(synthetic(count, meaning=0.7)) for count in (60, 300)}
