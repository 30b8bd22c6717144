"""A filled entry is protected, watched or closed within one run."""

from datetime import timedelta
from decimal import Decimal

import pytest
from account import Account
from builders import bare_decision, dump

from ffe.errors import VenueReadError
from ffe.ledger.ledger import Ledger
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.protection import PROTECTION_STEPS, check_exits
from ffe.venues.models import WorkingKind

S = OrderState
STOPPED = (Decimal("1.2239"), Decimal("1.2241"))
AT_TARGET = (Decimal("1.2318"), Decimal("1.2320"))


def bare(account: Account, *, sleep: int = 30, **changes: object) -> Order:
    """An entry whose stop is gone, old enough that nobody waits for it."""
    entry = account.enter(**changes)
    account.venue.end(account.resting, "CANCELLED")
    account.clock.sleep(sleep)
    return entry


def watched(account: Account, **changes: object) -> Order:
    """An entry whose exit we watch, because nothing can rest at its venue."""
    account.venue.holds_stops = account.venue.attaches = False
    entry = account.enter(**changes)
    account.clock.sleep(30)
    account.reconcile()
    return account.ledger.order(entry.id)


def exits(account: Account) -> list[Order]:
    return check_exits(account.ledger, account.broker, account.clock, cycle_id="watch", sleep=account.clock.sleep)


def closes(account: Account) -> list[Order]:
    return [order for order in account.ledger.orders() if order.leg in {Leg.REPAIR, Leg.WATCHED}]


def test_a_protected_entry_is_left_alone(margin: Account) -> None:
    margin.enter()
    margin.reconcile()
    before = dump(margin.ledger)
    assert margin.reconcile().settled == ()
    assert (margin.broker.protected, dump(margin.ledger)) == ([], before)


def test_the_bracket_of_a_young_entry_is_waited_for(spot: Account) -> None:
    spot.enter()
    (bracket,) = spot.venue.state.resting
    spot.venue.state.resting.clear()
    looks = []

    def appear(name: str) -> None:
        if name == "working_orders":
            looks.append(name)
            if len(looks) == 3:
                spot.venue.state.resting.append(bracket)

    spot.broker.on_read = appear
    assert spot.reconcile().clean
    assert spot.broker.protected == []


def test_a_young_entry_is_protected_when_waiting_does_not_help(spot: Account) -> None:
    entry = bare(spot, sleep=0)
    found = spot.reconcile()
    assert [trouble.type for trouble in found.incidents] == ["UnprotectedPosition"]
    assert spot.ledger.order(entry.id).protection_ids == tuple(spot.resting)


def test_each_protection_that_died_gives_the_next_another_id(spot: Account) -> None:
    bare(spot)
    spot.reconcile()
    assert spot.reconcile().settled == ()
    spot.venue.end(spot.resting, "CANCELLED")
    spot.reconcile()
    first, second = spot.broker.protected
    assert first.client_order_id != second.client_order_id
    assert (first.units, first.stop_loss, first.take_profit) == (4000, Decimal("1.2240"), Decimal("1.2318"))
    assert first.side is Side.SELL


def test_asking_again_after_no_answer_places_one(spot: Account) -> None:
    bare(spot)
    spot.broker.protections = ["lost_before"]
    (found,) = spot.reconcile().open
    assert (found.kind, found.instrument) == (DifferenceKind.UNPROTECTED, "BTCUSD")
    spot.broker.protections = ["lost_after"]
    assert spot.reconcile().clean
    first, second = spot.broker.protected
    assert first.client_order_id == second.client_order_id
    assert len(spot.resting) == 1


def test_the_steps_of_a_protection_are_heard(margin: Account) -> None:
    bare(margin)
    heard: list[str] = []
    margin.reconcile(on_step=heard.append)
    assert [step for step in heard if step in PROTECTION_STEPS] == list(PROTECTION_STEPS)


def test_a_short_is_protected_on_the_other_side(margin: Account) -> None:
    bare(margin, side=Side.SELL, stop_loss=Decimal("1.24"), take_profit=Decimal("1.21"))
    margin.reconcile()
    assert {order.side for order in margin.venue.state.resting} == {Side.BUY}


def test_an_entry_without_a_stop_needs_none(margin: Account) -> None:
    margin.enter(stop_loss=None, take_profit=None)
    margin.clock.sleep(30)
    assert margin.reconcile().incidents == ()


def test_a_trailing_stop_protects_as_well(margin: Account) -> None:
    entry = bare(margin, stop_loss=None, take_profit=None, trailing_distance=Decimal("0.005"))
    margin.reconcile()
    assert [order.kind for order in margin.venue.state.resting] == [WorkingKind.TRAILING_STOP]
    assert margin.ledger.order(entry.id).protection_ids == tuple(margin.resting)


def test_a_trailing_stop_that_the_venue_has_not_can_not_be_watched_and_is_closed(spot: Account) -> None:
    bare(spot, stop_loss=None, take_profit=None, trailing_distance=Decimal("0.005"))
    spot.broker.protections = ["unsupported"]
    spot.reconcile()
    (order,) = closes(spot)
    assert (order.leg, order.state, spot.position.units) == (Leg.REPAIR, S.FILLED, 0)


def test_a_close_for_want_of_protection_is_a_decision_that_can_be_explained(margin: Account) -> None:
    entry = bare(margin)
    margin.broker.protections = ["reject"]
    found = margin.reconcile()
    (order,) = closes(margin)
    decision = margin.ledger.decision(order.decision_id)
    assert (decision.action, decision.decided_by, decision.reason_code) == ("SELL", "risk-gate", "unprotected")
    assert margin.ledger.cycle(decision.cycle_id).summary == {"run": "run", "client_order_id": order.client_order_id}
    assert (order.bar_close, order.units, order.reserve_amount) == (entry.bar_close, 4000, 0)
    (trouble,) = found.incidents
    assert (trouble.order_id, trouble.request, trouble.response) == (entry.id, "POST orders", "400")


def test_a_close_that_fills_in_part_is_tried_again_in_the_next_run(margin: Account) -> None:
    bare(margin)
    margin.broker.protections, margin.broker._outcomes = ["reject", "reject"], ["partial"]
    (found,) = margin.reconcile().open
    assert found.kind is DifferenceKind.UNPROTECTED
    assert margin.reconcile().clean
    second, first = closes(margin)
    assert (first.units, second.units, margin.position.units) == (4000, 2000, 0)
    assert second.bar_close == first.bar_close + timedelta(seconds=1)


def test_nothing_is_closed_while_the_market_is(margin: Account) -> None:
    bare(margin)
    margin.venue.closed, margin.broker.protections = True, ["reject"]
    (found,) = margin.reconcile().open
    assert found.kind is DifferenceKind.UNPROTECTED
    assert closes(margin) == []


def test_a_stop_that_filled_while_we_looked_is_not_closed_again(margin: Account) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.broker.protections = ["reject"]

    def fill_now(name: str) -> None:
        if name == "working_orders" and margin.resting:
            margin.venue.hit(margin.resting[0], at=margin.clock.now())

    margin.broker.on_read = fill_now
    assert margin.reconcile().clean
    assert closes(margin) == []
    margin.reconcile()
    assert (margin.position.units, margin.agrees) == (0, True)


def test_dust_needs_no_stop(spot: Account) -> None:
    bare(spot, units=Decimal("0.0005"))
    assert spot.reconcile().incidents == ()
    assert spot.broker.protected == []


def test_a_bracket_on_the_venues_grid_covers_what_is_held(spot: Account) -> None:
    spot.enter(units=Decimal("4000.00005"))
    (bracket,) = spot.venue.state.resting
    spot.venue.state.resting[0] = bracket.model_copy(update={"units": Decimal(4000)})
    spot.clock.sleep(30)
    assert spot.reconcile().incidents == ()
    assert spot.broker.protected == []


def test_an_exit_that_the_venue_cannot_hold_is_watched(margin: Account) -> None:
    assert watched(margin).watched
    assert margin.broker.protected == []
    assert margin.reconcile().settled == ()
    assert exits(margin) == []


@pytest.mark.parametrize(("prices", "code"), [(STOPPED, "stop_reached"), (AT_TARGET, "target_reached")])
def test_a_watched_exit_closes_what_is_ours_when_its_price_is_reached(
    margin: Account, prices: tuple[Decimal, Decimal], code: str
) -> None:
    watched(margin)
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now())
    margin.reconcile()
    margin.venue.prices["EURUSD"] = prices
    (order,) = exits(margin)
    assert (order.leg, order.state, order.units) == (Leg.WATCHED, S.FILLED, 4000)
    assert margin.ledger.decision(order.decision_id).reason_code == code
    assert (margin.position.units, margin.venue.units("EURUSD"), exits(margin)) == (0, 500, [])


def test_a_watched_short_leaves_at_the_ask(margin: Account) -> None:
    watched(margin, side=Side.SELL, stop_loss=Decimal("1.2300"), take_profit=None)
    margin.venue.prices["EURUSD"] = (Decimal("1.2299"), Decimal("1.2300"))
    (order,) = exits(margin)
    assert (order.side, order.state) == (Side.BUY, S.FILLED)


def test_a_watched_exit_cancels_its_sibling_first(spot: Account) -> None:
    entry = bare(spot)
    spot.broker.protections = ["unsupported"]
    spot.reconcile()
    values = {"protects": entry.client_order_id, "target": Decimal("1.2318")}
    spot.venue.rest(instrument="BTCUSD", side=Side.SELL, kind=WorkingKind.TAKE_PROFIT, units=Decimal(4000), **values)
    spot.venue.prices["BTCUSD"] = STOPPED
    (order,) = exits(spot)
    assert (order.state, order.cancel_first, spot.resting) == (S.FILLED, ("r2",), [])


def test_watching_sends_nothing_into_a_closed_market_or_for_what_is_gone(margin: Account) -> None:
    watched(margin)
    margin.venue.prices["EURUSD"] = STOPPED
    margin.venue.closed = True
    assert exits(margin) == []
    margin.venue.closed = False
    margin.venue.trade("EURUSD", Side.SELL, "4000", at=margin.clock.now())
    assert exits(margin) == []


def test_a_price_that_cannot_be_read_is_not_a_price(margin: Account) -> None:
    watched(margin)
    margin.broker.broken = {"quote"}
    with pytest.raises(VenueReadError):
        exits(margin)


def test_two_watchers_make_one_close(margin: Account) -> None:
    """The second reads its price, and the first closes, before the second plans: both have the same id."""
    watched(margin)
    margin.venue.prices["EURUSD"] = STOPPED
    busy = []

    def overtake(name: str) -> None:
        if name == "position" and not busy:
            busy.append(name)
            assert len(exits(margin)) == 1

    margin.broker.on_read = overtake
    exits(margin)
    assert len(closes(margin)) == 1
    assert (margin.position.units, margin.venue.units("EURUSD")) == (0, 0)


def test_a_watched_close_that_was_killed_is_carried_on(margin: Account) -> None:
    watched(margin)
    margin.venue.prices["EURUSD"] = STOPPED

    def die(place: str) -> None:
        raise KeyboardInterrupt

    margin.broker._on_wire = die
    with pytest.raises(KeyboardInterrupt):
        exits(margin)
    margin.broker._on_wire = lambda place: None
    margin.clock.advance(timedelta(minutes=2))
    assert [order.state for order in exits(margin)] == [S.CANCELLED]
    (order,) = exits(margin)
    assert (order.state, len(closes(margin)), margin.position.units) == (S.FILLED, 2, 0)


def test_other_accounts_are_not_watched(margin: Account, ledger: Ledger) -> None:
    watched(margin)
    bare_decision(ledger)
    margin.venue.prices["EURUSD"] = STOPPED
    margin.broker.account = "another"
    assert exits(margin) == []


def test_protection_of_a_trade_that_is_gone_closes_nothing_of_anybody(margin: Account) -> None:
    margin.enter()
    margin.venue.cancel(margin.resting)
    margin.clock.advance(timedelta(minutes=1))
    margin.broker.protections = ["no_such_trade"]
    done = margin.reconcile()
    assert [each.kind for each in done.open] == [DifferenceKind.UNPROTECTED]
    assert [each.type for each in done.incidents if each.order_id is not None] == ["UnprotectedPosition"]
    assert margin.venue.units("EURUSD") == 4000
