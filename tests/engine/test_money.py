"""Money: exact, rounded down, and never a float."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.money import decimal, from_float, plain, round_down, round_nearest, round_up

increments = st.sampled_from(
    [Decimal(text) for text in ("0.00000001", "0.00001", "0.001", "0.01", "0.25", "1", "5", "100")]
)
amounts = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=10)


@given(amounts, increments)
def test_rounding_down_never_grows_and_always_lands_on_the_increment(value: Decimal, increment: Decimal) -> None:
    rounded = round_down(value, increment)
    assert abs(rounded) <= abs(value)
    assert abs(value - rounded) < increment
    assert rounded % increment == 0
    assert round_down(rounded, increment) == rounded


@given(amounts, increments)
def test_rounding_up_never_shrinks_and_nearest_lies_between(value: Decimal, increment: Decimal) -> None:
    assert abs(round_up(value, increment)) >= abs(value)
    assert abs(round_nearest(value, increment) - value) <= increment / 2


@given(amounts)
def test_plain_text_has_no_exponent_and_reads_back_exactly(value: Decimal) -> None:
    text = plain(value)
    assert "E" not in text.upper()
    assert decimal(text) == value


@pytest.mark.parametrize("increment", [Decimal(0), Decimal("-0.01")])
def test_an_increment_that_is_not_positive_is_refused(increment: Decimal) -> None:
    with pytest.raises(ValueError, match="not positive"):
        round_down(Decimal(1), increment)


@pytest.mark.parametrize("value", [1.5, True, None, "ten", "", "NaN", "Infinity", Decimal("NaN")])
def test_what_is_not_exact_money_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=" is "):
        decimal(value)


def test_text_ints_and_decimals_are_taken_exactly() -> None:
    assert decimal(" 1.10 ") == Decimal("1.10")
    assert decimal(7) == Decimal(7)
    assert plain(decimal("1E-8")) == "0.00000001"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_never_becomes_money(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        from_float(value)


def test_an_indicator_value_becomes_the_decimal_it_prints() -> None:
    assert from_float(0.1) == Decimal("0.1")
    assert from_float(1 / 3) == Decimal("0.333333333333")
