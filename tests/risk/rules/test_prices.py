"""Rules about one trade's own numbers: confidence, spread, slippage, reward over risk. At the limit is allowed, past it is not."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from ffe.orders.models import Side
from ffe.risk.rules import confidence, reward_risk, slippage, spread


@pytest.mark.parametrize(("found", "allowed"), [(70, True), (69, False), (100, True), (0, False)])
def test_the_confidence_floor(make: SimpleNamespace, found: int, allowed: bool) -> None:
    verdict = confidence.judge(make.proposal(confidence=found), make.portfolio(), make.settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("confidence", "confidence_below_floor", allowed)
    assert str(found) in verdict.reason
    assert "70" in verdict.reason


@pytest.mark.parametrize(("ask", "allowed"), [("1002.5", True), ("1002.51", False)])
def test_the_spread_ceiling(make: SimpleNamespace, ask: str, allowed: bool) -> None:
    """Half a percent of a mid price of 1000 is 5."""
    quote = make.quote(bid="997.5", ask=ask)
    verdict = spread.judge(make.proposal(quote=quote), make.portfolio(), make.settings)
    assert (verdict.rule, verdict.allowed) == ("spread", allowed)
    assert "0.5" in verdict.reason


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("away", "allowed"), [("35", True), ("35.01", False)])
def test_the_slippage_ceiling(make: SimpleNamespace, side: Side, away: str, allowed: bool) -> None:
    """Half a percent of 7000 is 35."""
    bound = 7000 + side.sign * Decimal(away)
    verdict = slippage.judge(make.proposal(side=side, bound=bound), make.portfolio(), make.settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("slippage", "slippage_too_wide", allowed)
    assert str(bound) in verdict.reason


def test_a_bound_that_a_coarse_tick_pushed_out_is_caught(make: SimpleNamespace) -> None:
    """At ticks of 100 the nearest price that a buyer at 7001 can name is 7100: 1.4 % away."""
    spec = make.spec(price_increment=Decimal(100))
    found = make.sized(atr=200, spec=spec, quote=make.quote(bid="7000", ask="7001"))
    assert found.code == "slippage_too_wide"


@pytest.mark.parametrize(("least", "allowed"), [("1.5", True), ("1.6", False)])
def test_without_costs_the_ratio_is_the_nominal_one(make: SimpleNamespace, least: str, allowed: bool) -> None:
    free = make.proposal(quote=make.quote(bid=7000, ask=7000))
    settings = make.settings.model_copy(update={"min_reward_risk": Decimal(least)})
    verdict = reward_risk.judge(free, make.portfolio(), settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("reward_risk", "reward_too_small", allowed)
    assert "1.5000" in verdict.reason
    assert least in verdict.reason


def test_coinbases_fee_leaves_an_eighth_of_a_stop_of_one_percent(make: SimpleNamespace) -> None:
    """Stop 70, target 105; fees 42 + 42.63 to the target, 42 + 41.58 to the stop: (105 - 84.63) / (70 + 83.58)."""
    trade = make.proposal(
        stop=Decimal(6930), target=Decimal(7105), fee_rate=Decimal("0.006"), quote=make.quote(bid=7000, ask=7000)
    )
    assert trade.reward_risk == Decimal("20.37") / Decimal("153.58")
    verdict = reward_risk.judge(trade, make.portfolio(), make.settings)
    assert verdict.allowed
    assert "pays from 88 % winners" in verdict.reason


def test_the_spread_is_a_cost_too(make: SimpleNamespace) -> None:
    """(300 - 50) / (200 + 50)"""
    assert make.proposal(quote=make.quote(bid=6950, ask=7000)).reward_risk == 1


def test_a_target_inside_its_costs_is_refused(make: SimpleNamespace) -> None:
    trade = make.proposal(stop=Decimal(6930), target=Decimal(7105), fee_rate=Decimal("0.01"))
    verdict = reward_risk.judge(trade, make.portfolio(), make.settings)
    assert not verdict.allowed
    assert "below min_reward_risk 0.1" in verdict.reason


def test_a_person_may_allow_what_never_pays_and_is_told_so(make: SimpleNamespace) -> None:
    trade = make.proposal(target=Decimal(7000), quote=make.quote(bid=7000, ask=7000))
    settings = make.settings.model_copy(update={"min_reward_risk": Decimal(0)})
    verdict = reward_risk.judge(trade, make.portfolio(), settings)
    assert verdict.allowed
    assert "never pays" in verdict.reason
