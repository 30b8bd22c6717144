"""Weights of an ensemble's members: by what their votes earned, near one while that is little, and nobody silenced."""

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.feedback.weights import WORTH, weights

RETURNS = st.dictionaries(
    st.text(min_size=1, max_size=4), st.lists(st.floats(-1, 1), max_size=40), min_size=1, max_size=6
)


@given(RETURNS)
def test_weights_are_above_zero_with_mean_one_and_bounded(returns: dict[str, list[float]]) -> None:
    found = weights(returns)
    assert found.keys() == returns.keys()
    assert fmean(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0
    assert max(found.values()) / min(found.values()) <= math.exp(2 * WORTH) * (1 + 1e-9)


@given(RETURNS, st.sampled_from([0.001, 0.5, 16.0]))
def test_the_scale_of_returns_does_not_matter(returns: dict[str, list[float]], scale: float) -> None:
    rounded = {name: [round(each, 3) for each in record] for name, record in returns.items()}
    scaled = {name: [each * scale for each in record] for name, record in rounded.items()}
    assert weights(scaled) == pytest.approx(weights(rounded), rel=1e-6)


def test_who_earned_more_counts_more_and_a_longer_record_says_so_louder() -> None:
    good, bad = [0.01, 0.0, 0.012, -0.002], [-0.01, 0.0, -0.012, 0.002]
    few, many = weights({"good": good, "bad": bad}), weights({"good": good * 50, "bad": bad * 50})
    assert 1 < few["good"] < 1.1 < many["good"]
    assert few["bad"] > many["bad"] > 0


def test_a_newcomer_counts_about_as_one_among_equals() -> None:
    record = [0.01, -0.01] * 100
    assert weights({"a": record, "b": record, "new": []}) == pytest.approx({"a": 1, "b": 1, "new": 1})


def test_who_always_held_lies_between_those_who_earned_and_those_who_lost() -> None:
    found = weights({"earned": [0.01, 0.02] * 30, "held": [0.0] * 60, "lost": [-0.01, -0.02] * 30})
    assert found["earned"] > found["held"] > found["lost"]


def test_without_a_difference_all_are_equal() -> None:
    assert weights({}) == {}
    assert weights({"a": [], "b": []}) == {"a": 1, "b": 1}
    assert weights({"a": [0.0] * 9, "b": [0.0]}) == {"a": 1, "b": 1}


def test_a_return_that_is_no_number_is_left_out() -> None:
    record = [0.01, -0.02, 0.03]
    spoiled = [math.nan, *record, math.inf]
    assert weights({"a": spoiled, "b": [0.0]}) == weights({"a": record, "b": [0.0]})
    assert weights({"a": [math.nan]}) == {"a": 1}
