"""Money set aside, money sized from, and amounts that are exact."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, AT, BAR, intent, sizing
from world import World

from ffe.orders.models import Order

LOTS = Decimal(10) ** 12


def reserved(world: World, amount: str) -> Order:
    """A second order, with money set aside and not yet sent."""
    later = intent(bar_close=BAR + timedelta(minutes=5), reserve_amount=Decimal(amount))
    order, _ = world.ledger.plan(later, AT)
    world.ledger.reserve(order.id, "USD", Decimal(amount), LOTS, AT)
    return order


def test_more_set_aside_than_the_venue_has_is_found_with_both_numbers(world: World) -> None:
    reserved(world, "1000000000")
    said = world.why("reservations-within-balance")
    available = world.account.broker.account_state([]).available
    assert said == f"1000000000 set aside, {available:f} available by scripted"


def test_what_fits_the_balance_is_fine(world: World) -> None:
    reserved(world, "98.17")
    assert world.broken() == {}


def test_a_negative_reservation_is_found(world: World) -> None:
    order = reserved(world, "98.17")
    world.put("reservation", {"order_id": order.id}, amount=-5)
    world.put("orders", {"id": order.id}, reserve_amount=-5)
    assert world.why("reservations-within-balance") == "a reservation of -5 is negative"


def test_money_set_aside_in_a_currency_or_an_account_that_nobody_has_is_found(world: World) -> None:
    order = reserved(world, "98.17")
    world.put("reservation", {"order_id": order.id}, currency="JPY")
    assert world.why("reservations-within-balance") == "98.17 set aside, 0 available by scripted"
    world.put("reservation", {"order_id": order.id}, account="another")
    assert world.why("reservations-within-balance") == "no venue of the settings has this account"


def test_a_reservation_that_outlives_its_order_is_found(world: World) -> None:
    world.put("reservation", released_at=None)
    assert world.why("reservations-match-orders") == "FILLED with 98.17 still set aside"


def test_an_open_order_without_its_reservation_is_found(world: World) -> None:
    order = reserved(world, "98.17")
    world.put("reservation", {"order_id": order.id}, released_at=AT)
    assert world.why("reservations-match-orders") == "open without a reservation"
    world.run(f"DELETE FROM reservation WHERE order_id = '{order.id}'")
    assert world.why("reservations-match-orders") == "open without a reservation"


def test_a_reservation_of_another_amount_than_its_order_needs_is_found(world: World) -> None:
    order = reserved(world, "98.17")
    world.put("orders", {"id": order.id}, reserve_amount=120)
    assert world.why("reservations-match-orders") == "98.17 set aside, 120 needed"
    world.put("orders", {"id": order.id}, leg="exit")
    assert "98.17 set aside, 0 needed" in world.broken()["reservations-match-orders"].rows[0]["why"]


def sized(**changes: Any) -> Any:
    arithmetic = sizing().model_copy(update=changes).model_dump(mode="json")
    return lambda world: world.put("sizing", arithmetic=arithmetic)


def constant_price(world: World) -> None:
    world.put("orders", reference_price=50_000)
    sized(entry_price=Decimal(50_000))(world)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (constant_price, "price 50000 is 4074547.54% from its bars' close 1.22710, limit 2.50%"),
        (lambda world: world.put("sizing", arithmetic=None), "no arithmetic of its size is on record"),
        (sized(balance_source="fallback: $10"), "balance 100000.00 from fallback: $10 in sim at oanda"),
        (sized(balance_source=""), "balance 100000.00 from nowhere in sim at oanda"),
        (
            sized(balance_source="oanda paper book: cash"),
            "balance 100000.00 from oanda paper book: cash in sim at oanda",
        ),
        (lambda world: world.put("cycle", mode="paper"), "from oanda accounts/summary in paper at oanda"),
        (sized(balance=Decimal(0)), "balance 0 from oanda accounts/summary"),
        (sized(entry_price=Decimal("1.2272")), "entry_price 1.2272 by its arithmetic, 1.2271 in the order"),
        (sized(units=Decimal(4001)), "units 4001 by its arithmetic, 4000 in the order"),
        (lambda world: world.run("DELETE FROM verdict"), "no question with the bars' close is on record"),
    ],
)
def test_a_price_or_a_balance_that_comes_from_nowhere_is_found(world: World, plant: Any, why: str) -> None:
    plant(world)
    assert why in world.why("no-fallback-price")


def test_a_paper_balance_is_right_in_paper_mode(world: World) -> None:
    world.put("cycle", mode="paper")
    sized(balance_source="oanda paper book: balance")(world)
    assert world.broken() == {}


def test_a_close_needs_no_arithmetic_and_its_price_is_looked_at(world: World) -> None:
    world.account.leave(bars=0)
    world.run("DELETE FROM sizing")
    assert world.only("no-fallback-price").count == 1
    world.put("orders", {"leg": "exit"}, reference_price="2.5")
    assert world.only("no-fallback-price").count == 2


def test_an_amount_that_came_in_as_a_float_is_found(world: World, kind: str) -> None:
    wrong = "1e-07" if kind == "sqlite" else "NaN"
    moment = "2018-04-04 15:30:00.000000" + ("" if kind == "sqlite" else "+00")
    world.run(
        "INSERT INTO equity_mark (venue, account, currency, equity, at, epoch) "
        f"VALUES ('oanda', '{ACCOUNT}', 'USD', '{wrong}', '{moment}', 0)"
    )
    found = world.only("exact-money")
    assert found.rows == ({"column": "equity_mark.equity", "row": "1", "why": f"it holds '{wrong}'"},)
    assert "35 columns of money" in found.detail


def test_a_column_of_another_type_is_found(world: World, kind: str) -> None:
    if kind == "sqlite":
        world.run("ALTER TABLE equity_mark DROP COLUMN equity")
        world.run("ALTER TABLE equity_mark ADD COLUMN equity FLOAT")
    else:
        world.run("ALTER TABLE equity_mark ALTER COLUMN equity TYPE double precision")
    found = world.only("exact-money")
    assert found.rows[0]["column"] == "equity_mark.equity"
    assert ("FLOAT" if kind == "sqlite" else "DOUBLE") in found.rows[0]["why"]
