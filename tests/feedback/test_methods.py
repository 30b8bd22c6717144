"""The two curves beside scikit-learn's, and what no data may make of them: falling, reaching 0 or 1, or not a number."""

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ffe.feedback.methods import ISOTONIC, LEAST_INPUT, TEMPERATURE, fit_curve, on_curve

METHODS = (ISOTONIC, TEMPERATURE)
GRADED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80)
STEPS = st.lists(st.tuples(st.integers(0, 20).map(lambda step: step / 20), st.booleans()), min_size=1, max_size=80)


def fitted(method: str, pairs: list[tuple[float, bool]]) -> dict[str, Any]:
    return fit_curve(method, [value for value, _ in pairs], [paid for _, paid in pairs])


def synthetic(count: int, *, slope: float = 1.0, bias: float = 0.0, seed: int = 5) -> list[tuple[float, bool]]:
    """Values and outcomes that come true with the share that a line on the logit gives."""
    chance = np.random.default_rng(seed)
    values = chance.uniform(0.02, 0.98, count)
    shares = 1 / (1 + np.exp(-(slope * np.log(values / (1 - values)) + bias)))
    return [(float(value), bool(paid)) for value, paid in zip(values, chance.random(count) < shares, strict=True)]


@given(GRADED | STEPS)
def test_the_knots_of_the_isotonic_curve_are_those_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    bound = 1 / (len(pairs) + 2)
    reference = IsotonicRegression(y_min=bound, y_max=1 - bound, out_of_bounds="clip")
    reference.fit([value for value, _ in pairs], [paid for _, paid in pairs])
    curve = fitted(ISOTONIC, pairs)
    asked = np.concatenate([np.linspace(0, 1, 101), [value for value, _ in pairs]])
    # scikit-learn takes values within one part in 10**16 for one point; asked a little beside them it may stand on the other side of a step.
    if np.all(np.diff(np.unique([value for value, _ in pairs])) > 1e-9):
        np.testing.assert_allclose(curve["values"], reference.X_thresholds_, atol=1e-12)
        np.testing.assert_allclose(curve["shares"], reference.y_thresholds_, atol=1e-12)
        found = [on_curve(ISOTONIC, curve, float(value)) for value in asked]
        np.testing.assert_allclose(found, reference.predict(asked), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_line_is_the_unpenalised_logistic_regression_on_smoothed_targets(seed: int) -> None:
    pairs = synthetic(150, slope=0.7, bias=-0.4, seed=seed)
    values, paid = np.array([value for value, _ in pairs]), np.array([paid for _, paid in pairs])
    yes, no = paid.sum(), (~paid).sum()
    targets = np.where(paid, (yes + 1) / (yes + 2), 1 / (no + 2))
    odds = np.log(values / (1 - values))[:, None]
    reference = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13, max_iter=200)
    outcomes = np.repeat([1, 0], len(odds))
    reference.fit(np.vstack([odds, odds]), outcomes, sample_weight=np.concatenate([targets, 1 - targets]))
    curve = fitted(TEMPERATURE, pairs)
    assert curve["slope"] == pytest.approx(float(reference.coef_[0, 0]), abs=1e-9)
    assert curve["bias"] == pytest.approx(float(reference.intercept_[0]), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@given(pairs=GRADED | STEPS, asked=st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_a_curve_never_falls_and_stays_strictly_inside(
    method: str, pairs: list[tuple[float, bool]], asked: list[float]
) -> None:
    curve = fitted(method, pairs)
    found = [on_curve(method, curve, value) for value in sorted([0.0, *asked, 1.0])]
    assert all(0 < share < 1 for share in found)
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(found))


@pytest.mark.parametrize("method", METHODS)
@given(pairs=GRADED)
@settings(max_examples=30)
def test_parameters_survive_json(method: str, pairs: list[tuple[float, bool]]) -> None:
    curve = fitted(method, pairs)
    assert json.loads(json.dumps(curve, allow_nan=False)) == curve


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("outcome", "share"), [(True, 41 / 42), (False, 1 / 42)])
def test_when_all_ended_alike_the_share_is_that_of_the_rule_of_succession(
    method: str, outcome: bool, share: float
) -> None:
    curve = fitted(method, [(step / 40, outcome) for step in range(40)])
    assert on_curve(method, curve, 0.7) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.85, 1.0])
def test_one_value_for_all_gives_the_base_rate(method: str, value: float) -> None:
    curve = fitted(method, [(value, at % 4 == 0) for at in range(400)])
    assert {round(on_curve(method, curve, asked), 2) for asked in (0.0, 0.5, 0.85, 1.0)} == {0.25}


def test_values_that_no_line_can_be_told_from_count_as_one() -> None:
    curve = fitted(TEMPERATURE, [(0.5, False), (0.5 + 1e-9, True)])
    assert (curve["slope"], curve["bias"]) == (0.0, pytest.approx(0.0, abs=1e-12))


def test_surer_answers_that_paid_less_level_the_line_instead_of_turning_it() -> None:
    pairs = synthetic(300, slope=-2.0)
    curve = fitted(TEMPERATURE, pairs)
    assert curve["slope"] == 0
    assert on_curve(TEMPERATURE, curve, 0.9) == pytest.approx(np.mean([paid for _, paid in pairs]), abs=0.01)


def test_the_line_that_made_the_outcomes_is_found_again() -> None:
    curve = fitted(TEMPERATURE, synthetic(20_000, slope=0.5, bias=-0.3))
    assert curve["slope"] == pytest.approx(0.5, abs=0.05)
    assert curve["bias"] == pytest.approx(-0.3, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_a_value_outside_what_was_graded_counts_as_the_nearest_that_was(method: str) -> None:
    curve = fitted(method, [(0.6 + at / 100, at % 3 == 0) for at in range(30)])
    assert on_curve(method, curve, 0.1) == on_curve(method, curve, 0.6)
    assert on_curve(method, curve, 1.0) == on_curve(method, curve, 0.89)


def test_answers_of_0_and_100_percent_do_not_carry_the_line_away() -> None:
    curve = fitted(TEMPERATURE, [(0.0, False), (1.0, True)] * 30)
    assert all(math.isfinite(curve[name]) for name in ("slope", "bias"))
    assert on_curve(TEMPERATURE, curve, 1.0) == on_curve(TEMPERATURE, curve, 1 - LEAST_INPUT / 2)
    assert 0.9 < on_curve(TEMPERATURE, curve, 1.0) < 1


def test_a_method_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="neither isotonic nor temperature"):
        fit_curve("beta", [0.5], [True])
    with pytest.raises(ValueError, match="neither isotonic nor temperature"):
        on_curve("beta", {}, 0.5)
