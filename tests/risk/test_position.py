"""The table of what a decision means against what is held."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.decision.models import Action
from ffe.orders.models import Leg, Side
from ffe.risk.models import Denial
from ffe.risk.position import Held, Move, held, move


@pytest.mark.parametrize(
    ("symbol", "units", "action", "meaning"),
    [
        ("BTCUSD", 0, "BUY", (Leg.ENTRY, Side.BUY, 0)),
        ("EURUSD", 0, "BUY", (Leg.ENTRY, Side.BUY, 0)),
        ("EURUSD", 0, "SELL", (Leg.ENTRY, Side.SELL, 0)),
        ("BTCUSD", 0, "SELL", "nothing_to_sell"),
        ("BTCUSD", "0.5", "BUY", "already_long"),
        ("EURUSD", 1000, "BUY", "already_long"),
        ("BTCUSD", "0.5", "SELL", (Leg.EXIT, Side.SELL, "0.5")),
        ("EURUSD", 1000, "SELL", (Leg.EXIT, Side.SELL, 1000)),
        ("EURUSD", -1000, "SELL", "already_short"),
        ("EURUSD", -1000, "BUY", (Leg.EXIT, Side.BUY, 1000)),
        ("BTCUSD", 0, "HOLD", None),
        ("BTCUSD", "0.5", "HOLD", None),
        ("EURUSD", -1000, "HOLD", None),
    ],
)
def test_the_table(make: SimpleNamespace, symbol: str, units: Any, action: str, meaning: Any) -> None:
    protection = ("p1",) if units else ()
    found = move(Action(action), make.position(symbol, units, protection), make.spec(symbol), make.quote(symbol))
    if meaning is None:
        assert found is None
    elif isinstance(meaning, str):
        assert isinstance(found, Denial)
        assert found.code == meaning
        assert str(abs(Decimal(str(units)))) in found.reason
    else:
        assert isinstance(found, Move)
        assert (found.leg, found.side, found.units) == (meaning[0], meaning[1], Decimal(str(meaning[2])))
        assert found.protection == (protection if found.leg is Leg.EXIT else ())


@pytest.mark.parametrize(
    ("units", "state"),
    [
        ("0.000000001", Held.FLAT),
        ("0.000009", Held.FLAT),
        ("0.00014", Held.FLAT),
        ("0.00015", Held.LONG),
        ("0.5", Held.LONG),
    ],
)
def test_what_the_venue_would_not_take_is_dust_and_counts_as_flat(
    make: SimpleNamespace, units: str, state: Held
) -> None:
    """At a bid of 6999.50 the minimum notional of 1 USD is 0.000142868 BTC."""
    assert held(make.position("BTCUSD", units), make.spec(), make.quote()) is state


def test_dust_is_bought_over_and_not_sold(make: SimpleNamespace) -> None:
    dust = make.position("BTCUSD", "0.00001")
    bought = move(Action.BUY, dust, make.spec(), make.quote())
    sold = move(Action.SELL, dust, make.spec(), make.quote())
    assert isinstance(bought, Move)
    assert bought.leg is Leg.ENTRY
    assert isinstance(sold, Denial)
    assert sold.code == "nothing_to_sell"


def test_a_close_is_rounded_down_to_what_the_venue_takes(make: SimpleNamespace) -> None:
    found = move(Action.SELL, make.position("BTCUSD", "0.5000000019"), make.spec(), make.quote())
    assert isinstance(found, Move)
    assert found.units == Decimal("0.50000000")


def test_a_margin_position_without_minimum_notional_is_never_dust_by_value(make: SimpleNamespace) -> None:
    assert held(make.position("EURUSD", -1), make.spec("EURUSD"), make.quote("EURUSD", "1.2", "1.2001")) is Held.SHORT


@pytest.mark.parametrize(
    ("symbol", "units", "action", "reverse", "turns"),
    [
        ("EURUSD", 1000, "SELL", True, True),
        ("EURUSD", -1000, "BUY", True, True),
        ("EURUSD", 1000, "SELL", False, False),
        ("BTCUSD", "0.5", "SELL", True, False),
        ("EURUSD", 0, "SELL", True, False),
    ],
)
def test_only_a_close_on_margin_is_followed_by_an_entry_the_other_way(
    make: SimpleNamespace, symbol: str, units: Any, action: str, reverse: bool, turns: bool
) -> None:
    found = move(Action(action), make.position(symbol, units), make.spec(symbol), make.quote(symbol), reverse=reverse)
    assert isinstance(found, Move)
    assert found.then_reverse is turns
    assert found.units == abs(Decimal(str(units)))


@pytest.mark.parametrize(("largest", "units", "turns"), [("999", 999, False), ("1000", 1000, True), (None, 1000, True)])
def test_a_close_that_leaves_something_reverses_nothing(
    make: SimpleNamespace, largest: str | None, units: int, turns: bool
) -> None:
    spec = make.spec("EURUSD", max_size=None if largest is None else Decimal(largest))
    found = move(Action.SELL, make.position("EURUSD", 1000), spec, make.quote("EURUSD"), reverse=True)
    assert isinstance(found, Move)
    assert (found.units, found.then_reverse) == (units, turns)
