"""What a sweep tries: values, ranges, combinations and the plans that they mean."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import ConfigurationError, UnknownNameError
from ffe.replay.models import Fills, Plan
from ffe.replay.sweep_space import MOST, combinations, of_strategy, parse_space, plan_of, written
from ffe.settings import RiskSettings, SizingMethod

PLAN = Plan(risk=RiskSettings())


def test_values_and_ranges_are_read_in_their_order_and_each_is_tried_once() -> None:
    assert parse_space(["fast=5, 10,5", "slow=50:200:50"]) == {"fast": (5.0, 10.0), "slow": (50.0, 100.0, 150.0, 200.0)}
    assert parse_space(["at=0.1:0.3:0.1,7"]) == {"at": (0.1, 0.2, 0.3, 7.0)}


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["fast"], "is no parameter"),
        (["=5"], "is no parameter"),
        (["fast="], "is no parameter"),
        (["fast=5,,6"], "empty value"),
        (["fast=inf"], "finite"),
        (["fast=1:5:0"], "no range"),
        (["fast=5:1:1"], "no range"),
        (["fast=a:b:c"], "no range"),
        (["fast=0:1000000:1"], "at most"),
        (["fast=1", "fast=2"], "twice"),
    ],
)
def test_what_makes_no_sense_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_space(texts)


@pytest.mark.parametrize("name", ["risk.reward_risc", "plan.slipage_bps", "plan.capital", "plan.lookback"])
def test_a_setting_that_does_not_exist_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownNameError, match="nearest known"):
        parse_space([f"{name}=1"])


def test_without_anything_to_try_the_defaults_are_tried_once() -> None:
    assert combinations({}) == [{}]
    assert written({}) == "-"


def test_every_combination_comes_once_the_last_name_fastest() -> None:
    space = {"a": (1.0, 2.0), "b": (3.0, 4.0)}
    assert [tuple(each.values()) for each in combinations(space)] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    with pytest.raises(ConfigurationError, match="too many"):
        combinations({"a": tuple(map(float, range(1000))), "b": tuple(map(float, range(1 + MOST // 1000)))})


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 700), st.integers(0, 9))
def test_random_combinations_are_different_ones_of_the_grid_and_the_same_each_time(
    sizes: list[int], count: int, seed: int
) -> None:
    space = {f"p{index}": tuple(float(value) for value in range(size)) for index, size in enumerate(sizes)}
    every = combinations(space)
    drawn = combinations(space, count, seed)
    assert drawn == combinations(space, count, seed)
    assert len(drawn) == min(count, len(every))
    assert [each for each in every if each in drawn] == drawn


def test_each_name_reaches_whom_it_belongs_to() -> None:
    (combination,) = combinations(
        parse_space(
            ["fast=7", "risk.reward_risk=2.5", "risk.sizing=fixed-fraction", "plan.lag_seconds=90", "plan.fills=looks"]
        )
    )
    assert of_strategy(combination) == {"fast": 7.0}
    made = plan_of(PLAN, combination)
    assert (made.risk.reward_risk, made.risk.sizing) == (Decimal("2.5"), SizingMethod.FIXED_FRACTION)
    assert (made.lag_seconds, made.fills, made.slippage_bps) == (90, Fills.LOOKS, PLAN.slippage_bps)
    assert written(combination).startswith("fast=7 risk.reward_risk=2.5")


@pytest.mark.parametrize(
    "text",
    ["risk.reward_risk=0.5", "risk.reward_risk=high", "plan.fills=often", "plan.slippage_bps=-1", "plan.lag_seconds=x"],
)
def test_a_value_that_a_setting_does_not_take_is_named(text: str) -> None:
    (combination,) = combinations(parse_space([text]))
    with pytest.raises(ConfigurationError, match=text.partition("=")[0]):
        plan_of(PLAN, combination)


def test_a_strategy_takes_numbers_only() -> None:
    with pytest.raises(ConfigurationError, match="fast=quick"):
        of_strategy({"fast": "quick"})
