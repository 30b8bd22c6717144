"""Rules that leave room for a number of units: exposure of one, of all and of those that move together, leverage and heat."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.market.models import parse_instrument
from ffe.risk.models import Verdict
from ffe.risk.rules import correlated_exposure, exposure, gross_exposure, leverage, portfolio_heat
from ffe.risk.rules.correlated_exposure import correlated


def room(verdict: Verdict, unit: int) -> Decimal:
    """What the verdict leaves, in the account currency."""
    assert verdict.allowed
    assert verdict.most is not None
    assert verdict.most * unit <= 10000 * 5
    return (verdict.most * unit).quantize(Decimal("0.01"))


@pytest.mark.parametrize(("held", "left"), [(0, 2500), (1000, 1500), ("2499.99", "0.01")])
def test_one_instrument_gets_a_quarter_of_equity(make: SimpleNamespace, held: Any, left: Any) -> None:
    book = make.portfolio(positions=(make.holding("BTCUSD", 1, held), make.holding("ETHUSD", 1, 9000)))
    verdict = exposure.judge(make.proposal(), book, make.settings)
    assert room(verdict, 7000) == Decimal(left)
    assert (verdict.rule, verdict.code) == ("exposure", "max_position")
    assert f"{held} of at most 2500 USD, 25 % of equity 10000" in verdict.reason


@pytest.mark.parametrize("held", [2500, 3000])
def test_an_instrument_that_is_full_gets_nothing(make: SimpleNamespace, held: int) -> None:
    verdict = exposure.judge(
        make.proposal(), make.portfolio(positions=(make.holding("BTCUSD", -1, held),)), make.settings
    )
    assert (verdict.allowed, verdict.code, verdict.most) == (False, "max_position", 0)


@pytest.mark.parametrize(("reserved", "left"), [(0, 2000), (1999, 1), (2000, None), (5000, None)])
def test_longs_shorts_and_reservations_add_up_to_the_gross_exposure(
    make: SimpleNamespace, reserved: int, left: int | None
) -> None:
    book = make.portfolio(positions=(make.holding("EURUSD", 5000, 5000), make.holding("USDJPY", -3000, 3000)))
    verdict = gross_exposure.judge(make.proposal(reserved=Decimal(reserved)), book, make.settings)
    assert (verdict.rule, verdict.code) == ("gross_exposure", "max_gross")
    if left is None:
        assert (verdict.allowed, verdict.most) == (False, 0)
    else:
        assert room(verdict, 7000) == left


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("BTCUSD", "ETHUSD", True),
        ("BTCUSD", "SOLEUR", True),
        ("EURUSD", "GBPUSD", True),
        ("EURUSD", "EURGBP", True),
        ("EURUSD", "USDJPY", True),
        ("EURUSD", "EURUSD", True),
        ("EURUSD", "AUDNZD", False),
        ("EURGBP", "USDJPY", False),
        ("BTCUSD", "EURUSD", False),
    ],
)
def test_what_moves_together(one: str, other: str, together: bool) -> None:
    first, second = parse_instrument(one), parse_instrument(other)
    assert correlated(first, second) is correlated(second, first) is together


def test_a_group_gets_half_of_equity_whichever_way_its_members_point(make: SimpleNamespace) -> None:
    held = (make.holding("GBPUSD", -4000, 4000), make.holding("AUDNZD", 9000, 9000))
    verdict = correlated_exposure.judge(make.proposal("EURUSD"), make.portfolio(positions=held), make.settings)
    assert room(verdict, 7000) == 1000
    assert (verdict.rule, verdict.code) == ("correlated_exposure", "max_correlated")
    assert "(GBPUSD) 4000 of at most 5000 USD" in verdict.reason


def test_a_full_group_gets_nothing(make: SimpleNamespace) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, 5000),))
    verdict = correlated_exposure.judge(make.proposal(), book, make.settings)
    assert (verdict.allowed, verdict.most) == (False, 0)


def test_an_instrument_without_relatives_has_the_group_to_itself(make: SimpleNamespace) -> None:
    verdict = correlated_exposure.judge(make.proposal(), make.portfolio(), make.settings)
    assert room(verdict, 7000) == 5000
    assert "(none)" in verdict.reason


@pytest.mark.parametrize(("used", "left"), [(0, 50000), ("49999", 1), (50000, None), (60000, None)])
def test_margin_positions_stay_within_five_times_equity(make: SimpleNamespace, used: Any, left: int | None) -> None:
    verdict = leverage.judge(make.proposal("EURUSD", open_notional=Decimal(used)), make.portfolio(), make.settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("leverage", "max_leverage", left is not None)
    assert left is None or room(verdict, 7000) == left


def test_spot_has_no_leverage_to_limit(make: SimpleNamespace) -> None:
    verdict = leverage.judge(make.proposal(), make.portfolio(), make.settings)
    assert (verdict.allowed, verdict.most) == (True, None)


@pytest.mark.parametrize(("at_risk", "left"), [(0, 600), (599, 1), (600, None), (700, None)])
def test_all_stops_together_cost_six_percent_at_most(make: SimpleNamespace, at_risk: int, left: int | None) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, 2500, at_risk),))
    verdict = portfolio_heat.judge(make.proposal(), book, make.settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("portfolio_heat", "max_heat", left is not None)
    assert left is None or room(verdict, 200) == left


def test_a_position_without_a_stop_risks_all_of_it(make: SimpleNamespace) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, 2500, None),))
    verdict = portfolio_heat.judge(make.proposal(), book, make.settings)
    assert not verdict.allowed
    assert "(ETHUSD without one) 2500 of at most 600 USD" in verdict.reason


@pytest.mark.parametrize("rule", [exposure, gross_exposure, correlated_exposure, portfolio_heat])
def test_an_account_that_is_worth_nothing_has_no_room(make: SimpleNamespace, rule: Any) -> None:
    for equity in (0, -5):
        assert not rule.judge(make.proposal(), make.portfolio(equity), make.settings).allowed
