"""Brier, ECE and the reliability curve: worked examples, scikit-learn beside them, and what cannot be scored."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from ffe.feedback.scores import ReliabilityBin, brier, ece, reliability

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_brier_of_a_sure_and_right_a_sure_and_wrong_and_an_undecided_forecast() -> None:
    assert brier([1, 0], [True, False]) == 0
    assert brier([1, 0], [False, True]) == 1
    assert brier([0.5, 0.5], [True, False]) == 0.25
    assert brier([0.9, 0.6], [True, False]) == pytest.approx((0.01 + 0.36) / 2)


def test_ece_weighs_the_gap_of_each_bin_by_its_count() -> None:
    said = [0.85, 0.85, 0.85, 0.85, 0.15]
    came = [True, True, True, False, False]
    assert ece(said, came) == pytest.approx(4 / 5 * abs(0.85 - 0.75) + 1 / 5 * 0.15)


def test_a_probability_on_an_edge_belongs_to_the_bin_below_it_and_empty_bins_are_left_out() -> None:
    curve = reliability([0.0, 0.5, 0.6, 1.0], [False, True, False, True], bins=2)
    assert curve == [
        ReliabilityBin(low=0.0, high=0.5, count=2, mean_probability=0.25, share=0.5),
        ReliabilityBin(low=0.5, high=1.0, count=2, mean_probability=0.8, share=0.5),
    ]
    assert [(each.low, each.high) for each in reliability([0.95], [True])] == [(0.9, 1.0)]


@given(PREDICTIONS)
def test_brier_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    said, came = [p for p, _ in pairs], [c for _, c in pairs]
    assert brier(said, came) == pytest.approx(brier_score_loss(came, said, labels=[False, True]), abs=1e-12)


@given(PREDICTIONS.filter(lambda pairs: len({came for _, came in pairs}) == 2), st.integers(1, 20))
def test_the_curve_is_that_of_scikit_learn(pairs: list[tuple[float, bool]], bins: int) -> None:
    said, came = [p for p, _ in pairs], [c for _, c in pairs]
    shares, means = calibration_curve(came, said, n_bins=bins, strategy="uniform")
    curve = reliability(said, came, bins)
    np.testing.assert_allclose([each.share for each in curve], shares, atol=1e-12)
    np.testing.assert_allclose([each.mean_probability for each in curve], means, atol=1e-12)
    assert sum(each.count for each in curve) == len(pairs)


@given(PREDICTIONS)
def test_ece_lies_between_the_overall_gap_and_one(pairs: list[tuple[float, bool]]) -> None:
    said, came = [p for p, _ in pairs], [c for _, c in pairs]
    overall = abs(float(np.mean(said)) - float(np.mean(came)))
    assert overall - 1e-12 <= ece(said, came) <= 1
    assert ece(said, came, bins=1) == pytest.approx(overall, abs=1e-12)


@pytest.mark.parametrize(
    ("said", "came", "problem"),
    [
        ([], [], "no prediction"),
        ([0.5], [True, False], "1 probabilities and 2 outcomes"),
        ([math.nan], [True], "outside 0 to 1"),
        ([1.01], [True], "outside 0 to 1"),
        ([-0.01], [True], "outside 0 to 1"),
        ([0.5], [2], "neither true nor false"),
    ],
)
def test_what_cannot_be_scored_is_refused(said: list[float], came: list[bool], problem: str) -> None:
    for score in (brier, ece, reliability):
        with pytest.raises(ValueError, match=problem):
            score(said, came)


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="0 bins"):
        ece([0.5], [True], bins=0)
