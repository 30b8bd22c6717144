"""VaR by historical simulation: the quantile, the size it allows, and the refusal to answer without data."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.orders.models import Side
from ffe.risk.models import Verdict
from ffe.risk.rules import value_at_risk

MAX_VAR = Decimal("0.02")


def judged(
    make: SimpleNamespace,
    returns: dict[str, Any],
    held: tuple[Any, ...] = (),
    side: Side = Side.BUY,
    max_var: Any = MAX_VAR,
) -> Verdict:
    """A unit of BTCUSD is worth 7000, equity is 10,000 and two percent of it 200."""
    past = {name: tuple(Decimal(str(share)) for share in shares) for name, shares in returns.items()}
    settings = make.settings.model_copy(update={"max_var": max_var})
    return value_at_risk.judge(make.proposal(side=side), make.portfolio(returns=past, positions=held), settings)


def test_it_is_off_until_a_limit_is_set(make: SimpleNamespace) -> None:
    verdict = judged(make, {}, max_var=None)
    assert (verdict.rule, verdict.allowed, verdict.most) == ("value_at_risk", True, None)


@pytest.mark.parametrize(("days", "code"), [(0, "var_unknown"), (29, "var_unknown"), (30, "max_var")])
def test_under_thirty_days_it_refuses_to_answer(make: SimpleNamespace, days: int, code: str) -> None:
    verdict = judged(make, {"BTCUSD": ["-0.01"] * days})
    assert (verdict.code, verdict.allowed) == (code, code == "max_var")
    assert code == "max_var" or f"VaR needs 30 daily returns: BTCUSD has {days}" in verdict.reason


def test_a_holding_without_history_makes_the_whole_unknown(make: SimpleNamespace) -> None:
    verdict = judged(make, {"BTCUSD": ["-0.01"] * 30}, (make.holding("ETHUSD"),))
    assert (verdict.code, verdict.allowed) == ("var_unknown", False)
    assert "ETHUSD has 0" in verdict.reason


@pytest.mark.parametrize(("days", "worst"), [(30, 30), (39, 39), (40, 39), (100, 96)])
def test_the_twentieth_part_of_the_days_is_the_tail(days: int, worst: int) -> None:
    """Losses of 1 to `days`: of 100 the fifth worst counts, 96."""
    assert value_at_risk.value_at_risk([Decimal(loss) for loss in range(1, days + 1)]) == worst


def test_a_tail_that_earns_is_no_risk() -> None:
    assert value_at_risk.value_at_risk([Decimal(-1)] * 30) == 0


@pytest.mark.parametrize(("side", "worst"), [(Side.BUY, "-0.04"), (Side.SELL, "0.05")])
def test_the_worst_day_in_thirty_bounds_the_size_on_either_side(make: SimpleNamespace, side: Side, worst: str) -> None:
    """A long loses 4 % on its worst day, a short 5 %: 200 / 0.04 and 200 / 0.05 of notional."""
    verdict = judged(make, {"BTCUSD": ["-0.04", "0.05", *["0.001"] * 28]}, side=side)
    assert verdict.allowed
    assert verdict.most == (200 / abs(Decimal(worst)) / 7000).quantize(Decimal("1e-12"), rounding="ROUND_DOWN")


def test_what_is_held_uses_up_the_room(make: SimpleNamespace) -> None:
    """3000 of ETHUSD lose 120 on the day on which BTCUSD loses 4 %: 80 are left, 2000 of notional."""
    past = {"BTCUSD": ["-0.04", *["0.001"] * 29], "ETHUSD": ["-0.04", *["0.002"] * 29]}
    verdict = judged(make, past, (make.holding("ETHUSD", 1, 3000),))
    assert verdict.most == Decimal("0.285714285714")
    assert "is 120 USD as it is held, limit 200" in verdict.reason


def test_a_hedge_is_let_through_up_to_where_it_turns_into_a_risk(make: SimpleNamespace) -> None:
    """3000 of ETHUSD held short earn on the day on which the long loses 4 %."""
    past = {"BTCUSD": ["-0.04", *["0.001"] * 29], "ETHUSD": ["-0.04", *["0.001"] * 29]}
    verdict = judged(make, past, (make.holding("ETHUSD", -1, 3000),))
    assert verdict.most == ((200 + 120) / Decimal("0.04") / 7000).quantize(Decimal("1e-12"), rounding="ROUND_DOWN")


@pytest.mark.parametrize("notional", [5000, 5001, 9000])
def test_an_account_at_its_limit_gets_nothing_more(make: SimpleNamespace, notional: int) -> None:
    past = {"BTCUSD": ["-0.04"] * 30, "ETHUSD": ["-0.04"] * 30}
    verdict = judged(make, past, (make.holding("ETHUSD", 1, notional),))
    assert (verdict.allowed, verdict.code, verdict.most) == (False, "max_var", 0)


def test_returns_that_never_fall_bound_nothing(make: SimpleNamespace) -> None:
    assert judged(make, {"BTCUSD": ["0.01"] * 30}).most is None


def test_the_newest_days_count_where_one_history_is_longer(make: SimpleNamespace) -> None:
    past = {"BTCUSD": ["-0.5"] * 10 + ["-0.04"] * 30, "ETHUSD": ["0"] * 30}
    assert judged(make, past, (make.holding("ETHUSD"),)).most == Decimal("0.714285714285")


SHARES = st.lists(st.integers(-900, 900).map(lambda bps: Decimal(bps) / 10000), min_size=30, max_size=60)


@given(
    own=SHARES, other=SHARES, notional=st.integers(0, 9000), sign=st.sampled_from((1, -1)), side=st.sampled_from(Side)
)
def test_up_to_the_size_it_allows_the_var_stays_within_the_limit(
    make: SimpleNamespace, own: list[Decimal], other: list[Decimal], notional: int, sign: int, side: Side
) -> None:
    verdict = judged(make, {"BTCUSD": own, "ETHUSD": other}, (make.holding("ETHUSD", sign, notional),), side)
    count = min(len(own), len(other))
    pairs = list(zip(own[-count:], other[-count:], strict=True))

    def var(units: Decimal) -> Decimal:
        losses = [-side.sign * units * 7000 * one - sign * notional * two for one, two in pairs]
        return value_at_risk.value_at_risk(losses)

    most = Decimal(100) if verdict.most is None else verdict.most
    if verdict.allowed:
        assert all(var(most * part / 7) <= 200 for part in range(8))
    if verdict.most is not None:
        assert var(verdict.most + Decimal("0.0001")) > 200 or var(Decimal(0)) == 200
