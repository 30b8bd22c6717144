"""Ledger beside venue: units, stops and trades that only one of them knows, and venues that do not answer."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import intent
from world import World

from ffe.market.models import parse_instrument
from ffe.observe.reality.venue import PENDING
from ffe.orders.models import OrderState, Side
from ffe.venues.models import OrderRequest

LATER = PENDING + timedelta(minutes=1)
EURUSD = parse_instrument("EURUSD")


@pytest.fixture
def kind() -> str:
    """What differs is what the other side says; every statement runs on PostgreSQL in the other files."""
    return "sqlite"


def by_hand(world: World, name: str = "by-hand", units: int = 1000) -> None:
    """A trade that somebody makes in the venue's own app."""
    request = OrderRequest(client_order_id=name, instrument="EURUSD", side=Side.BUY, units=Decimal(units))
    world.account.broker.submit(request, world.account.broker.checkpoint())


def test_other_units_in_the_ledger_than_at_the_venue_are_found_with_both_numbers(world: World) -> None:
    world.put("position", units=3000)
    assert world.why("positions-match") == "4000 at the venue, 3000 in the ledger"


def test_a_position_that_the_ledger_never_heard_of_is_found(world: World) -> None:
    by_hand(world)
    assert world.broken() == {}, "the next reconciliation will book it"
    world.clock.advance(LATER)
    found = world.broken()
    assert set(found) == {"positions-match", "trades-known-to-both"}
    assert found["positions-match"].rows[0]["why"] == "5000 at the venue, 4000 in the ledger"
    assert "is not booked" in found["trades-known-to-both"].rows[0]["why"]
    world.account.reconcile()
    assert world.broken() == {}


def test_a_stop_that_filled_since_the_last_reconciliation_is_no_difference_until_it_is_old(world: World) -> None:
    (stop,) = [order for order in world.account.venue.state.resting if order.stop is not None]
    world.account.venue.hit(stop.venue_order_id, at=world.clock.at)
    assert world.broken() == {}
    world.clock.advance(LATER)
    assert set(world.broken()) == {"positions-match", "trades-known-to-both"}
    world.account.reconcile()
    assert world.broken() == {}
    assert world.account.protection() is not None


def test_an_account_that_was_never_reconciled_is_compared_as_it_is(world: World) -> None:
    world.run("DELETE FROM cursor")
    assert world.broken() == {}
    by_hand(world)
    assert world.why("positions-match") == "5000 at the venue, 4000 in the ledger"


def test_a_difference_that_a_second_look_does_not_find_is_none(world: World) -> None:
    broker, looks = world.account.broker, []
    real = broker.positions

    def late() -> Any:
        looks.append(world.clock.at)
        return [] if len(looks) == 1 else real()

    broker.positions = late
    assert world.broken() == {}
    assert looks[1] - looks[0] == timedelta(seconds=1)


def test_a_venue_that_fails_at_the_second_look_is_unknown(world: World) -> None:
    world.put("position", units=3000)
    broker = world.account.broker
    world.clock.sleep = lambda seconds: broker.broken.add("positions")
    found = world.broken()
    assert (found["positions-match"].holds, found["positions-protected"].holds) == ("unknown", "unknown")


def test_a_position_without_its_stop_is_found(world: World) -> None:
    world.account.broker.cancel(world.account.resting)
    (entry,) = world.ledger.orders(5)
    assert world.why("positions-protected") == (f"4000 held by order {entry.client_order_id}, stops at the venue: none")


def test_a_stop_for_fewer_units_than_are_held_is_found(world: World) -> None:
    resting = world.account.venue.state.resting
    resting[:] = [order.model_copy(update={"units": Decimal(1500)}) for order in resting]
    assert "for 1500" in world.why("positions-protected")


def test_an_exit_that_we_watch_needs_no_stop_at_the_venue(world: World) -> None:
    world.account.broker.cancel(world.account.resting)
    (entry,) = world.ledger.orders(5)
    world.ledger.watch(entry.id, world.clock.at, "the venue can't hold it")
    assert world.broken() == {}


def test_an_entry_that_filled_a_moment_ago_may_still_be_reading_its_stop(world: World) -> None:
    world.account.broker.cancel(world.account.resting)
    world.put("orders", submitted_at=world.clock.at - timedelta(seconds=5))
    assert "positions-protected" not in world.broken()


def test_units_that_no_entry_stands_behind_are_found(world: World) -> None:
    world.put("orders", average_price=None)
    assert world.why("positions-protected") == "4000 held, and no entry of ours stands behind it"


def test_dust_that_no_close_could_take_needs_no_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = world.account.broker
    broker.cancel(world.account.resting)
    big = broker.spec(EURUSD).model_copy(update={"min_size": Decimal(9000)})
    monkeypatch.setattr(broker, "spec", lambda instrument: big)
    assert world.broken() == {}


def test_a_stop_for_what_can_be_closed_is_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    resting, broker = world.account.venue.state.resting, world.account.broker
    resting[:] = [order.model_copy(update={"units": Decimal(3000)}) for order in resting]
    rules = broker.spec(EURUSD).model_copy(update={"max_size": Decimal(3000)})
    monkeypatch.setattr(broker, "spec", lambda instrument: rules)
    assert world.broken() == {}


def test_a_fill_that_the_venue_does_not_have_is_found(world: World) -> None:
    world.put("fill", venue_fill_id="made-up")
    found = world.only("trades-known-to-both")
    assert "fill made-up of order" in found.rows[0]["why"]
    assert "is not among the venue's trades" in found.rows[0]["why"]
    assert "1 trades at oanda and 1 in the ledger since 2018-04-03T15:3" in found.detail


def test_what_a_person_acknowledged_is_no_trade_of_the_venue(world: World) -> None:
    world.put("fill", venue_fill_id="accepted-1234")
    assert world.broken() == {}


def test_two_orders_at_the_venue_under_one_client_id_are_found(world: World) -> None:
    name = intent().client_order_id
    happened = world.account.venue.state.log
    (ours,) = [each for each in happened if each.execution is not None]
    fill = ours.execution.fill.model_copy(update={"venue_fill_id": "f-again"})
    happened.append(
        ours.model_copy(
            update={"execution": ours.execution.model_copy(update={"venue_order_id": "v-again", "fill": fill})}
        )
    )
    found = world.broken()["trades-known-to-both"]
    assert f"2 orders under client id {name}: v-{name}, v-again" in [row["why"] for row in found.rows]


def test_a_live_order_that_the_venue_has_never_heard_of_is_found(world: World) -> None:
    order = world.account.enter("accept", bars=1, reserve_amount=Decimal(1))
    assert order.state in (OrderState.ACCEPTED, OrderState.FILLED)
    world.put("orders", {"id": order.id}, state="ACCEPTED")
    world.account.venue.state.placed[:] = world.account.venue.state.placed[:1]
    found = world.broken()["trades-known-to-both"]
    assert f"order {order.client_order_id} is ACCEPTED here, unknown there" in [row["why"] for row in found.rows]


def test_without_an_order_of_the_last_day_there_is_nothing_to_compare(world: World) -> None:
    world.clock.advance(timedelta(days=2))
    found = {each.name: each for each in world.check().invariants}["trades-known-to-both"]
    assert (found.holds, found.detail.split(" since ")[0]) == ("yes", "0 of no order at oanda")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("positions", {"positions-match", "positions-protected"}),
        ("working_orders", {"positions-protected"}),
        ("activity", {"positions-match", "trades-known-to-both"}),
        ("account_state", {"reservations-within-balance"}),
    ],
)
def test_a_venue_that_can_not_be_asked_is_unknown_and_counts_as_broken(
    world: World, query: str, names: set[str]
) -> None:
    world.account.broker.broken.add(query)
    found = world.broken()
    assert set(found) == names
    for each in found.values():
        assert each.holds == "unknown"
        assert each.detail == f"could not be looked at: VenueReadError: 502 on {query}"


def test_a_venue_whose_credentials_are_missing_is_unknown(world: World) -> None:
    del world.engine._brokers["oanda"]
    found = world.broken()
    assert {each.holds for each in found.values()} == {"unknown"}
    assert "MissingCredentialsError" in found["positions-match"].detail
