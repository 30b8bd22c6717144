"""Sizes and prices of sent orders against the rules that were on record then."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import AT, spec
from world import World

from ffe.ledger.tables import InstrumentSpecRow


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"min_size": 5000}, "size 4000 is below EURUSD min_size 5000"),
        ({"max_size": 3000}, "size 4000 is above EURUSD max_size 3000"),
        ({"size_increment": 3}, "size 4000 is no multiple of EURUSD size_increment 3"),
        ({"min_notional": 10_000}, "notional 4908.4000 USD is below EURUSD min_notional 10000"),
    ],
)
def test_a_size_against_the_venues_rules_is_found(world: World, rules: dict[str, Any], why: str) -> None:
    world.put("instrument_spec", **rules)
    assert world.why("sizes-on-grid") == why


def test_a_size_of_nothing_is_found(world: World) -> None:
    world.put("instrument_spec", min_size=0)
    world.put("orders", units=0)
    assert world.broken()["sizes-on-grid"].rows[0]["why"] == "size 0 is below EURUSD min_size 0"


def test_every_price_off_the_increment_is_named(world: World) -> None:
    world.put("instrument_spec", price_increment="0.001")
    world.put("orders", trailing_distance="0.0042")
    said = world.why("prices-on-grid")
    assert "price_bound 1.23324 is no multiple of EURUSD price_increment 0.001" in said
    assert "trailing_distance 0.0042" in said
    assert "stop_loss 1.2240" not in said.replace("1.22400", "")


def test_a_price_that_is_none_at_all_is_found(world: World) -> None:
    world.put("orders", take_profit=0)
    assert world.why("prices-on-grid").startswith("take_profit 0 is no multiple")


def test_rules_that_came_later_do_not_judge_an_earlier_order(world: World) -> None:
    world.ledger.record_spec(spec(min_size=Decimal(9000), fetched_at=AT + timedelta(seconds=30)))
    assert world.broken() == {}


def test_an_order_of_a_decision_without_recorded_rules_is_found(world: World) -> None:
    world.run(f"DELETE FROM {InstrumentSpecRow.__tablename__}")
    found = world.broken()
    assert set(found) == {"sizes-on-grid", "prices-on-grid"}
    assert found["sizes-on-grid"].rows[0]["why"] == "the venue's rules are not on record"
    assert "1 orders sent" in found["sizes-on-grid"].detail
    assert "(1 without recorded rules)" in found["sizes-on-grid"].detail


def test_a_close_may_come_before_anybody_recorded_the_rules(world: World) -> None:
    world.run(f"DELETE FROM {InstrumentSpecRow.__tablename__}")
    world.put("orders", leg="flatten")
    found = world.broken()
    assert not {"sizes-on-grid", "prices-on-grid"} & set(found)
