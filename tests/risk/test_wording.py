"""Numbers in reasons, and units that fit into room."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ffe.risk.wording import percent, show, units_within

AMOUNTS = st.decimals(min_value=0, max_value=10**20, allow_nan=False, allow_infinity=False, places=4)


def test_numbers_are_shown_plainly_and_cut() -> None:
    assert [show(Decimal(text)) for text in ("1E-8", "100", "0.1234567890129", "1E+20", "-2.50")] == [
        "0.00000001",
        "100",
        "0.123456789012",
        "100000000000000000000",
        "-2.5",
    ]


def test_shares_are_shown_in_percent() -> None:
    assert [percent(Decimal(text)) for text in ("0.02", "5", "0.0143884", "0")] == ["2 %", "500 %", "1.4388 %", "0 %"]


@given(room=AMOUNTS, unit=AMOUNTS.filter(lambda unit: unit > 0))
def test_units_that_fit_never_cost_more_than_the_room(room: Decimal, unit: Decimal) -> None:
    assert units_within(room, unit) * unit <= room
