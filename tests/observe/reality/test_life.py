"""The life of an order: what may follow what, how often, for how long, and that the numbers add up."""

import sqlite3
from contextlib import closing as closed
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import AT, BAR, intent
from world import World

from ffe.ledger.schema import METADATA
from ffe.orders.models import Intent, Leg, Order, OrderState, Side


def second(world: World, *states: OrderState) -> Order:
    """Another order of the same decision: the close of the same bar."""
    order, _ = world.ledger.plan(closing(), AT)
    for state in states:
        if state is OrderState.RESERVED:
            world.ledger.reserve(order.id, "USD", Decimal(0), Decimal(0), AT)
        else:
            order = world.ledger.transition(order.id, state, AT, checkpoint="6410")
    return order


def closing(**changes: Any) -> Intent:
    return intent(**{"leg": Leg.EXIT, "side": Side.SELL, "stop_loss": None, "take_profit": None} | changes)


SENT = (OrderState.RESERVED, OrderState.SUBMITTING)


@pytest.mark.parametrize("states", [SENT, (*SENT, OrderState.UNRESOLVED)])
def test_an_outcome_that_stays_unknown_for_more_than_two_minutes_is_found(
    world: World, states: tuple[OrderState, ...]
) -> None:
    second(world, *states)
    world.clock.at = AT + timedelta(minutes=2)
    assert world.broken() == {}
    world.clock.advance(timedelta(seconds=1))
    assert world.why("no-old-unresolved") == "sent at 2018-04-04T15:30:20Z, 121 s ago, limit 120 s"


def test_sending_it_again_does_not_make_it_young(world: World) -> None:
    order = second(world, *SENT, OrderState.UNRESOLVED)
    world.clock.at = AT + timedelta(minutes=3)
    world.ledger.resending(order.id, world.clock.at, "once more")
    assert "180 s ago" in world.why("no-old-unresolved")


def test_an_order_under_another_client_id_than_its_key_makes_is_found(world: World) -> None:
    order = second(world, OrderState.DENIED)
    world.put("orders", {"id": order.id}, client_order_id="random")
    assert world.why("one-order-a-leg") == f"its key makes {order.client_order_id}"


def without_keys(world: World, kind: str) -> None:
    if kind == "sqlite":
        with closed(sqlite3.connect(str(world.ledger.database.url.database))) as connection:
            for statement in ("CREATE TABLE bare AS SELECT * FROM orders", "DROP TABLE orders"):
                connection.execute(statement)
            connection.execute("ALTER TABLE bare RENAME TO orders")
            connection.commit()
        return
    world.run("ALTER TABLE orders DROP CONSTRAINT uq_orders_account_instrument_timeframe_bar_close_leg")
    world.run("ALTER TABLE orders DROP CONSTRAINT uq_orders_client_order_id")


def test_a_table_that_would_take_a_second_order_is_found_and_so_is_the_second_order(world: World, kind: str) -> None:
    order = second(world, OrderState.DENIED)
    without_keys(world, kind)
    found = world.broken()["one-order-a-leg"]
    assert [row["why"] for row in found.rows] == ["no unique key", "no unique key"]
    assert found.rows[1]["key"] == "client_order_id"
    world.put("orders", {"id": order.id}, leg="entry", client_order_id=intent().client_order_id)
    doubled = [row for row in world.broken()["one-order-a-leg"].rows if row["why"] == "2 orders"]
    assert len(doubled) == 2


def event(world: World, old: str | None, new: str) -> None:
    """One more line of history for the filled order, as nothing here would write it."""
    (order,) = world.ledger.orders(5)
    moment = "2018-04-04 15:31:00.000000" + ("" if world.ledger.database.engine.dialect.name == "sqlite" else "+00")
    before = "NULL" if old is None else f"'{old}'"
    world.run(
        "INSERT INTO order_event (order_id, at, from_state, to_state) "
        f"VALUES ('{order.id}', '{moment}', {before}, '{new}')"
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("FILLED", "CANCELLED", "FILLED -> CANCELLED is not a transition"),
        ("ACCEPTED", "FILLED", "ACCEPTED -> FILLED after FILLED"),
        (None, "PLANNED", "None -> PLANNED after FILLED"),
    ],
)
def test_a_step_that_the_table_does_not_allow_is_found(world: World, old: str | None, new: str, why: str) -> None:
    event(world, old, new)
    assert world.why("legal-history") == why


def test_an_order_whose_state_its_history_does_not_end_in_is_found(world: World) -> None:
    world.put("orders", state="CANCELLED")
    assert world.why("legal-history") == "its last event says FILLED, the order CANCELLED"


def test_an_order_without_an_intent_is_found(world: World) -> None:
    order = second(world, OrderState.DENIED)
    later = closing(bar_close=BAR + timedelta(minutes=10))
    copied = {"id": "'x'", "client_order_id": f"'{later.client_order_id}'", "bar_close": "'2018-04-04 15:40:00.000000'"}
    names = [column.name for column in METADATA.tables["orders"].columns]
    values = ", ".join(copied.get(name, name) for name in names)
    if world.ledger.database.engine.dialect.name == "postgresql":
        values = values.replace("15:40:00.000000'", "15:40:00+00'::timestamptz")
    world.run(f"INSERT INTO orders ({', '.join(names)}) SELECT {values} FROM orders WHERE id = '{order.id}'")
    assert world.why("legal-history") == "no event at all, not even its intent"


def test_an_order_that_begins_in_the_middle_is_found(world: World) -> None:
    world.put("orders", leg="protection")
    assert "it begins with None -> PLANNED, not with ACCEPTED" in world.broken()["legal-history"].rows[0]["why"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"filled_units": 3999}, "filled_units 3999, its 1 fills 4000"),
        ({"fees": 1}, "fees 1, its 1 fills 0.25"),
    ],
)
def test_fills_that_do_not_add_up_to_the_order_are_found(world: World, values: dict[str, Any], why: str) -> None:
    world.put("orders", **values)
    assert world.why("fills-add-up") == why


def test_a_filled_order_without_a_fill_is_found(world: World) -> None:
    order = second(world, OrderState.DENIED)
    world.put("orders", {"id": order.id}, state="FILLED")
    found = world.broken()
    assert set(found) == {"fills-add-up", "legal-history"}
    assert found["fills-add-up"].rows[0]["why"] == "FILLED without a fill"


def test_more_filled_than_was_ordered_is_found(world: World) -> None:
    world.put("orders", units=3000)
    assert "4000 filled of 3000 ordered" in world.broken()["fills-add-up"].rows[0]["why"]
