"""Average-cost netting of fills."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ffe.ledger.position import Holding, after_fill
from ffe.orders.models import Side

FLAT = Holding(Decimal(0), None, Decimal(0))
TRADES = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 1000), st.integers(1, 500)), max_size=12)


def run(*trades: tuple[Side, int, int]) -> Holding:
    held = FLAT
    for side, units, price in trades:
        held = after_fill(held, side, Decimal(units), Decimal(price))
    return held


def test_adding_averages_the_price_in() -> None:
    assert run((Side.BUY, 1, 100), (Side.BUY, 3, 200)) == Holding(Decimal(4), Decimal(175), Decimal(0))


def test_reducing_realises_and_keeps_the_average() -> None:
    assert run((Side.BUY, 4, 100), (Side.SELL, 1, 130)) == Holding(Decimal(3), Decimal(100), Decimal(30))


def test_a_short_gains_when_the_price_falls() -> None:
    assert run((Side.SELL, 2, 100), (Side.BUY, 2, 90)) == Holding(Decimal(0), None, Decimal(20))


def test_through_zero_opens_the_other_side_at_the_new_price() -> None:
    assert run((Side.BUY, 2, 100), (Side.SELL, 5, 110)) == Holding(Decimal(-3), Decimal(110), Decimal(20))


@given(TRADES)
def test_units_are_the_signed_sum_and_money_is_conserved(trades: list[tuple[Side, int, int]]) -> None:
    held = run(*trades)
    assert held.units == sum(side.sign * units for side, units, _ in trades)
    cash = -sum(side.sign * units * price for side, units, price in trades)
    worth = held.units * (held.average_price if held.average_price is not None else Decimal(0))
    assert abs(cash + worth - held.realised) < Decimal("1e-15")
