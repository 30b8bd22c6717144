"""Flat is what the venue says it is, after everything that can be closed was closed."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from account import Account
from builders import AT
from scripted import ScriptedBroker

from ffe.errors import LedgerError, VenueReadError
from ffe.orders.flatten import ROUNDS, Flattened, flatten
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.switch import NEVER_SET, SwitchState

S = OrderState


def flat(account: Account, *, only_ours: bool = False) -> Flattened:
    standing = account.ledger.switch()
    if standing.state is not SwitchState.FLATTEN:
        standing = account.ledger.set_switch(SwitchState.FLATTEN, "drill", "person", AT)
    return flatten(
        account.ledger,
        account.broker,
        account.clock,
        standing,
        cycle_id="flatten",
        only_ours=only_ours,
        sleep=account.clock.sleep,
    )


def flattening(account: Account) -> list[Order]:
    return [order for order in account.ledger.orders() if order.leg is Leg.FLATTEN]


def test_everything_is_closed_and_cancelled_and_the_venue_says_so(margin: Account) -> None:
    margin.enter()
    margin.venue.trade("USDJPY", Side.SELL, "300", at=margin.clock.now())
    margin.venue.rest(instrument="GBPUSD", side=Side.BUY)
    done = flat(margin)
    assert (done.flat, done.left, done.working, margin.venue.positions()) == (True, (), (), [])
    assert {(order.instrument, order.side, order.units) for order in done.orders} == {
        ("EURUSD", Side.SELL, Decimal(4000)),
        ("USDJPY", Side.BUY, Decimal(300)),
    }
    assert margin.position.units == 0
    decision = margin.ledger.decision(done.orders[0].decision_id)
    assert (decision.decided_by, decision.reason_code) == ("halt", "flatten")


def test_a_second_flatten_sends_nothing(margin: Account) -> None:
    margin.enter()
    flat(margin)
    sent = margin.broker.sent
    again = flat(margin)
    assert (again.flat, again.orders, margin.broker.sent) == (True, (), sent)


def test_only_ours_leaves_alone_what_others_hold_and_ordered(spot: Account) -> None:
    spot.venue.trade("BTCUSD", Side.BUY, "100", at=spot.clock.now())
    spot.reconcile()
    spot.enter()
    spot.clock.sleep(30)
    spot.venue.end(spot.resting, "CANCELLED")
    spot.reconcile()
    foreign = spot.venue.rest(instrument="BTCUSD", side=Side.BUY)
    stranger = spot.venue.rest(instrument="BTCUSD", side=Side.BUY, protects="another-engines")
    done = flat(spot, only_ours=True)
    assert (done.flat, spot.venue.units("BTCUSD"), spot.resting) == (True, 100, [foreign, stranger])


def test_only_ours_of_a_position_that_others_turned_around_is_nothing(margin: Account) -> None:
    margin.enter()
    margin.venue.trade("EURUSD", Side.SELL, "5000", at=margin.clock.now())
    done = flat(margin, only_ours=True)
    assert (done.orders, margin.venue.units("EURUSD")) == ((), -1000)


@pytest.mark.parametrize("units", ["0.0005", "0.5"])
def test_dust_counts_as_flat_and_is_listed(spot: Account, units: str) -> None:
    """Below the venue's smallest size, and below its smallest value."""
    spot.venue.trade("BTCUSD", Side.BUY, units, at=spot.clock.now())
    done = flat(spot)
    assert (done.flat, [held.units for held in done.dust], done.orders) == (True, [Decimal(units)], ())


def test_a_close_that_fills_in_part_is_followed_by_another(margin: Account) -> None:
    margin.enter()
    margin.broker._outcomes = ["partial"]
    done = flat(margin)
    assert [order.filled_units for order in done.orders] == [2000, 2000]
    assert [order.bar_close for order in done.orders] == [AT, AT + timedelta(seconds=1)]
    assert done.flat


def test_a_position_larger_than_the_largest_order_takes_more_rounds(margin: Account) -> None:
    margin.venue.trade("EURUSD", Side.BUY, "2500000", at=margin.clock.now())
    done = flat(margin)
    assert [order.units for order in done.orders] == [1_000_000, 1_000_000, 500_000]
    assert done.flat


def test_what_the_venue_refuses_is_left_and_said_after_three_rounds(margin: Account) -> None:
    margin.enter()
    margin.broker._outcomes = ["reject"] * 9
    done = flat(margin)
    assert (done.flat, len(done.orders), [held.units for held in done.left]) == (False, ROUNDS, [4000])


def test_a_close_of_unknown_outcome_stops_the_rounds(margin: Account) -> None:
    margin.enter()
    margin.broker._outcomes = ["lost_before"]
    done = flat(margin)
    assert ([order.state for order in done.orders], done.flat) == ([S.UNRESOLVED], False)
    assert [order.id for order in done.pending] == [done.orders[0].id]
    assert len(flattening(margin)) == 1
    margin.clock.advance(timedelta(minutes=2))
    again = flat(margin)
    assert (again.flat, margin.venue.units("EURUSD"), len(flattening(margin))) == (True, 0, 2)


def test_a_flatten_that_was_killed_is_carried_on_under_the_same_id(spot: Account) -> None:
    spot.enter()

    def die(place: str) -> None:
        if place == "after":
            raise KeyboardInterrupt

    spot.broker._on_wire = die
    with pytest.raises(KeyboardInterrupt):
        flat(spot)
    spot.broker = ScriptedBroker(spot.venue, spot.clock, name="coinbase")
    done = flat(spot)
    assert (done.flat, spot.venue.units("BTCUSD"), spot.position.units, len(flattening(spot))) == (True, 0, 0, 1)


def test_an_entry_on_its_way_is_settled_before_and_closed(margin: Account) -> None:
    def die(place: str) -> None:
        raise KeyboardInterrupt

    margin.broker._on_wire = lambda place: die(place) if place == "after" else None
    with pytest.raises(KeyboardInterrupt):
        margin.enter()
    margin.broker._on_wire = lambda place: None
    done = flat(margin)
    assert (done.flat, margin.venue.units("EURUSD"), margin.position.units) == (True, 0, 0)


def test_an_entry_that_nobody_has_heard_of_is_not_flat_yet(margin: Account) -> None:
    margin.enter("lost_before")
    done = flat(margin)
    assert (done.flat, [order.leg for order in done.pending]) == (False, [Leg.ENTRY])


def test_a_price_that_fails_keeps_no_other_position_open(margin: Account) -> None:
    margin.enter()
    margin.venue.trade("USDJPY", Side.BUY, "300", at=margin.clock.now())
    margin.broker.on_read = _break_the_first_closes_quote(margin)
    with pytest.raises(VenueReadError):
        flat(margin)
    assert [position.instrument for position in margin.venue.positions()] == ["EURUSD"]
    assert flat(margin).flat


def _break_the_first_closes_quote(account: Account) -> Callable[[str], None]:
    seen: list[str] = []

    def check(name: str) -> None:
        seen.extend([name] if name == "quote" else [])
        # Each market was asked once whether it trades: the third price is that of the first close.
        account.broker.broken = {"quote"} if len(seen) == 3 and name == "quote" else set()

    return check


@pytest.mark.parametrize("outcome", ["not_sent", "lost_before"])
def test_a_cancel_that_fails_is_seen_in_what_still_rests(margin: Account, outcome: str) -> None:
    number = margin.venue.rest(instrument="GBPUSD", side=Side.BUY)
    margin.broker.cancels = [outcome] * ROUNDS
    done = flat(margin)
    assert (done.flat, [order.venue_order_id for order in done.working]) == (False, [number])
    assert flat(margin).flat


def test_a_position_that_appears_in_the_middle_is_closed_too(margin: Account) -> None:
    margin.enter()

    def appear(name: str) -> None:
        if name == "working_orders" and margin.venue.units("USDJPY") == 0 and margin.venue.units("EURUSD") != 0:
            margin.venue.trade("USDJPY", Side.BUY, "300", at=margin.clock.now())

    margin.broker.on_read = appear
    assert flat(margin).flat


def test_a_switch_that_was_never_set_flattens_nothing(margin: Account) -> None:
    margin.enter()
    with pytest.raises(LedgerError, match="set the kill switch first"):
        flatten(margin.ledger, margin.broker, margin.clock, NEVER_SET, cycle_id="flatten")
    assert margin.venue.units("EURUSD") == 4000


def test_a_query_that_fails_is_never_flat(margin: Account) -> None:
    margin.broker.broken = {"positions"}
    with pytest.raises(VenueReadError):
        flat(margin)


def test_a_closed_market_is_not_flat_and_keeps_its_stop(margin: Account) -> None:
    margin.enter()
    margin.venue.closed = True
    resting = margin.resting
    done = flat(margin)
    assert (done.flat, done.orders, [each.units for each in done.left]) == (False, (), [Decimal(4000)])
    assert margin.resting == resting
    margin.venue.closed = False
    assert flat(margin).flat


def test_an_instrument_that_nobody_knows_is_left_and_keeps_no_other_open(margin: Account) -> None:
    margin.enter()
    margin.venue.trade("XAUUSD", Side.BUY, "3", at=margin.clock.now())
    done = flat(margin)
    assert (done.flat, [each.instrument for each in done.left]) == (False, ["XAUUSD"])
    assert [(order.instrument, order.state) for order in done.orders] == [("EURUSD", OrderState.FILLED)] * len(
        done.orders
    )
    assert margin.position.units == 0


def test_units_bought_by_hand_a_moment_ago_are_not_taken_for_ours(margin: Account) -> None:
    margin.enter()
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now())
    done = flat(margin)
    assert (done.flat, margin.position.units, margin.position.external) == (True, 0, 0)


def test_flattening_goes_on_when_the_activity_can_not_be_read(margin: Account) -> None:
    margin.enter()
    margin.broker.broken = {"activity"}
    assert flat(margin).flat


def test_only_ours_says_what_others_still_hold(spot: Account) -> None:
    spot.venue.trade("BTCUSD", Side.BUY, "0.3", at=spot.clock.now())
    spot.reconcile()
    spot.enter()
    done = flat(spot, only_ours=True)
    assert (done.flat, [(each.instrument, each.units) for each in done.others]) == (True, [("BTCUSD", Decimal("0.3"))])


def test_without_a_price_nothing_is_sold_and_the_stop_stays(margin: Account) -> None:
    margin.enter()
    resting, margin.broker.broken = margin.resting, {"quote"}
    with pytest.raises(VenueReadError):
        flat(margin)
    assert (margin.resting, margin.venue.units("EURUSD")) == (resting, 4000)
