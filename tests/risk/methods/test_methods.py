"""How much is wanted before the limits, by each method: worked examples."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.risk.methods import METHODS, atr_risk, fixed_fraction, half_kelly, volatility_target
from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.methods.half_kelly import kelly
from ffe.risk.methods.volatility_target import annual_volatility
from ffe.risk.models import Denial
from ffe.settings import SizingMethod


def basis(**changes: Any) -> Basis:
    """10,000 of equity; a unit costs 7000 and loses 200 at its stop; five-minute bars around the clock."""
    values: dict[str, Any] = {
        "symbol": "BTCUSD",
        "equity": Decimal(10000),
        "entry": Decimal(7000),
        "atr": Decimal(10),
        "unit_notional": Decimal(7000),
        "unit_risk": Decimal(200),
        "bars_per_year": Decimal(105120),
    }
    return Basis(**(values | changes))


def record(make: SimpleNamespace, *results: tuple[str, int]) -> tuple[Any, ...]:
    return tuple(make.trade(result=result) for result, count in results for _ in range(count))


def test_every_method_of_the_settings_has_its_arithmetic() -> None:
    assert set(METHODS) == set(SizingMethod)


def test_atr_risk_loses_one_percent_at_the_stop(make: SimpleNamespace) -> None:
    assert atr_risk.size(basis(), make.settings) == Wanted(method="atr-risk", units=Decimal("0.5"))


def test_a_fixed_fraction_looks_at_the_price_only(make: SimpleNamespace) -> None:
    for risk in (1, 5000):
        wanted = fixed_fraction.size(basis(unit_risk=Decimal(risk)), make.settings)
        assert wanted.method == "fixed-fraction"
        assert wanted.units.quantize(Decimal("1e-9")) == Decimal("0.142857143")


def test_a_range_becomes_a_volatility_by_way_of_a_random_walk() -> None:
    """A random walk's range is 1.5958 sigma: a range of 1.5958 % on one bar a year is 1 %; on four, twice that."""
    price = Decimal(100)
    assert annual_volatility(Decimal("1.5957691216"), price, Decimal(1)) == Decimal("0.01")
    assert annual_volatility(Decimal("1.5957691216"), price, Decimal(4)) == Decimal("0.02")


def test_a_volatility_target_puts_less_into_a_wilder_market(make: SimpleNamespace) -> None:
    """10 / 7000 of range on five-minute bars is 29 % a year, so that 10 % of volatility are 34 % of equity."""
    calm = volatility_target.size(basis(), make.settings)
    wild = volatility_target.size(basis(atr=Decimal(20)), make.settings)
    assert isinstance(calm, Wanted)
    assert isinstance(wild, Wanted)
    assert calm.method == "volatility-target"
    assert (calm.units * 7000 / 10000).quantize(Decimal("0.001")) == Decimal("0.345")
    assert (calm.units / wild.units).quantize(Decimal("1e-9")) == 2


@pytest.mark.parametrize(
    "changes",
    [{"bars_per_year": None}, {"bars_per_year": Decimal(0)}, {"atr": Decimal(0)}],
    ids=["bars of a year unknown", "no bars", "no range"],
)
def test_without_a_volatility_there_is_no_target(make: SimpleNamespace, changes: dict[str, Any]) -> None:
    denial = volatility_target.size(basis(**changes), make.settings)
    assert isinstance(denial, Denial)
    assert denial.code == "no_volatility"
    assert "BTCUSD" in denial.reason


@pytest.mark.parametrize(
    ("results", "share"),
    [
        ([("0.02", 30), ("-0.02", 20)], "0.2"),
        ([("0.03", 25), ("-0.02", 25)], "0.1666666667"),
        ([("0.02", 30), ("-0.02", 20), ("0", 50)], "0.1"),
        ([("0.02", 20), ("-0.02", 30)], "-0.2"),
        ([("0.01", 50)], "1"),
        ([("-0.01", 50)], "-1"),
        ([("0", 50)], "0"),
    ],
    ids=["even odds", "better odds", "half came out even", "a losing record", "only wins", "only losses", "nothing"],
)
def test_the_kelly_share_of_a_record(make: SimpleNamespace, results: list[tuple[str, int]], share: str) -> None:
    assert kelly(record(make, *results)).quantize(Decimal("1e-10")) == Decimal(share).quantize(Decimal("1e-10"))


def test_half_of_the_kelly_share_is_staked(make: SimpleNamespace) -> None:
    wanted = half_kelly.size(basis(trades=record(make, ("0.02", 30), ("-0.02", 20))), make.settings)
    assert isinstance(wanted, Wanted)
    assert (wanted.method, wanted.clamps) == ("half-kelly", ())
    assert (wanted.units * 7000).quantize(Decimal("0.01")) == 1000


def test_half_kelly_is_capped_with_both_numbers(make: SimpleNamespace) -> None:
    wanted = half_kelly.size(basis(trades=record(make, ("0.02", 40), ("-0.02", 10))), make.settings)
    assert isinstance(wanted, Wanted)
    (clamp,) = wanted.clamps
    assert (clamp.name, clamp.after) == ("kelly_cap", wanted.units)
    assert clamp.rule == "half-Kelly 30 % of equity is cut to kelly_cap 20 %"
    assert (wanted.units * 7000).quantize(Decimal("0.01")) == 2000


@pytest.mark.parametrize("results", [[("0.02", 25), ("-0.02", 25)], [("0.02", 10), ("-0.02", 40)], [("0", 50)]])
def test_a_record_without_an_edge_stakes_nothing(make: SimpleNamespace, results: list[tuple[str, int]]) -> None:
    denial = half_kelly.size(basis(trades=record(make, *results)), make.settings)
    assert isinstance(denial, Denial)
    assert denial.code == "no_edge"
    assert "over 50 trades" in denial.reason


@pytest.mark.parametrize(("graded", "locked"), [(0, True), (12, True), (49, True), (50, False)])
def test_kelly_is_locked_until_fifty_trades_are_graded(make: SimpleNamespace, graded: int, locked: bool) -> None:
    wanted = half_kelly.size(basis(trades=record(make, ("0.01", graded))), make.settings)
    assert isinstance(wanted, Wanted)
    assert (wanted.method == "atr-risk") is locked
    if locked:
        (clamp,) = wanted.clamps
        assert (clamp.name, clamp.before, clamp.after) == ("kelly_locked", Decimal("0.5"), Decimal("0.5"))
        assert f"{graded} of 50 so far" in clamp.rule
