"""Reconciliation beside the divergences themselves: failing queries, races, repeats, crashes and a person's word."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from account import Account
from builders import ACCOUNT, AT, dump
from scripted import CrashError, Venue

from ffe.errors import LedgerError, VenueReadError
from ffe.orders.differences import Difference, DifferenceKind
from ffe.orders.models import OrderState, Side
from ffe.orders.reconcile import RECONCILE_STEPS, acknowledge
from ffe.orders.units import accept_units
from ffe.venues.models import Activity, WorkingKind

K, S = DifferenceKind, OrderState


def accept(account: Account, found: Difference, note: str = "seen") -> Difference:
    return acknowledge(account.ledger, account.broker, account.clock, found.id[:8], note)


def only(account: Account) -> Difference:
    (found,) = account.reconcile().open
    return found


@pytest.mark.parametrize("query", ["activity", "positions", "working_orders"])
def test_a_failed_query_is_never_flat_and_changes_nothing(margin: Account, query: str) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.trade("USDJPY", Side.BUY, "300", at=margin.clock.now(), told=False)
    before = dump(margin.ledger)
    margin.broker.broken = {query}
    with pytest.raises(VenueReadError):
        margin.reconcile()
    assert dump(margin.ledger) == before


def test_a_fill_that_cannot_be_looked_up_ends_the_run(margin: Account) -> None:
    order = margin.enter("accept")
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "5", at=margin.clock.now(), client_order_id=order.client_order_id)
    margin.broker.unreadable = 9
    with pytest.raises(VenueReadError):
        margin.reconcile()


def test_a_fill_between_two_readings_is_no_difference(margin: Account) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()

    def fill_now(name: str) -> None:
        if name == "positions" and margin.resting:
            margin.venue.hit(margin.resting[0], at=margin.clock.now())

    margin.broker.on_read = fill_now
    found = margin.reconcile()
    assert (found.clean, margin.position.units) == (True, 0)


def test_units_that_change_between_two_looks_are_not_believed_yet(margin: Account) -> None:
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now(), told=False)

    def more(seconds: float) -> None:
        margin.venue.trade("EURUSD", Side.BUY, "100", at=margin.clock.now(), told=False)

    assert margin.reconcile(sleep=more).clean
    assert only(margin).venue_says == "600"


def test_money_that_moves_between_two_readings_is_not_missing(margin: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    margin.reconcile()
    stale = margin.broker.activity("6410")

    def half(since: str) -> Activity:
        monkeypatch.undo()
        return stale.model_copy(update={"totals": {"USD": Decimal(99_990)}})

    monkeypatch.setattr(margin.broker, "activity", half)
    assert margin.reconcile().clean


def test_two_reconciliations_at_once_agree(margin: Account) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.pay("-7", "FEE", at=margin.clock.now())
    margin.venue.trade("EURUSD", Side.SELL, "1000", at=margin.clock.now())
    inner = []

    def overtake(step: str) -> None:
        if step == "booked" and not inner:
            inner.append(margin.reconcile())

    outer = margin.reconcile(on_step=overtake)
    assert inner[0].open == outer.open
    assert ([each.kind for each in outer.open], margin.position.units) == ([K.EXTERNAL_TRADE], 3000)
    assert margin.agrees


@pytest.mark.parametrize("step", RECONCILE_STEPS)
def test_a_reconciliation_killed_at_any_step_is_repeated_to_the_same_end(margin: Account, step: str) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.hit(margin.resting[0], at=margin.clock.now(), units="1000")
    margin.venue.trade("EURUSD", Side.SELL, "500", at=margin.clock.now())
    margin.venue.pay("-7", "FEE", at=margin.clock.now())

    def die(here: str) -> None:
        if here == step:
            raise CrashError(here)

    with pytest.raises(CrashError):
        margin.reconcile(on_step=die)
    assert [found.kind for found in margin.reconcile().open] == [K.EXTERNAL_TRADE]
    assert (margin.position.units, margin.agrees, len(margin.ledger.cash_events("oanda", ACCOUNT))) == (2500, True, 1)


def test_what_the_venue_tells_twice_is_booked_once(spot: Account) -> None:
    spot.venue.overlap = 99
    spot.enter()
    spot.clock.sleep(30)
    spot.reconcile()
    spot.venue.hit(spot.resting[0], at=spot.clock.now(), units="1000")
    spot.venue.trade("BTCUSD", Side.BUY, "10", at=spot.clock.now())
    spot.venue.pay("5", "TRANSFER", at=spot.clock.now())
    spot.reconcile()
    before = dump(spot.ledger)
    assert spot.reconcile().settled == ()
    assert dump(spot.ledger) == before


def test_a_credit_that_is_seen_twice_is_recorded_once(margin: Account) -> None:
    margin.reconcile()
    margin.venue.pay("3", "?", at=margin.clock.now(), told=False)

    def die(here: str) -> None:
        if here == "observed":
            raise CrashError(here)

    with pytest.raises(CrashError):
        margin.reconcile(on_step=die)
    assert margin.reconcile().settled == ()
    assert [event.amount for event in margin.ledger.cash_events("oanda", ACCOUNT)] == [3]


def test_a_rounding_of_the_venue_is_no_difference(margin: Account) -> None:
    margin.reconcile()
    margin.venue.pay("-0.01", "?", at=margin.clock.now(), told=False)
    assert margin.reconcile().settled == ()


def test_the_wallets_of_coins_are_compared_in_units_not_as_money(spot: Account) -> None:
    spot.reconcile()
    spot.venue.pay("-3", "?", at=spot.clock.now(), told=False, currency="BTC")
    assert spot.reconcile().clean


def test_the_stop_of_an_entry_that_is_still_on_its_way_is_left_alone(margin: Account) -> None:
    order = margin.enter("accept")
    assert order.state is S.FILLED
    waiting, _ = margin.ledger.plan(margin.wanted(bar_close=margin.clock.now()), margin.clock.now())
    number = margin.venue.rest(instrument="EURUSD", side=Side.SELL, protects=waiting.client_order_id)
    own = margin.venue.rest(instrument="EURUSD", side=Side.BUY, client_order_id=waiting.client_order_id)
    assert margin.reconcile().clean
    assert {number, own} <= set(margin.resting)


def test_an_orphan_that_cannot_be_cancelled_is_an_incident_until_it_is(margin: Account) -> None:
    order = margin.enter()
    margin.leave()
    values = {"protects": order.client_order_id, "stop": Decimal("1.22")}
    margin.venue.rest(instrument="EURUSD", side=Side.SELL, kind=WorkingKind.STOP_LOSS, **values)
    margin.broker.cancels = ["not_sent"]
    assert [trouble.type for trouble in margin.reconcile().incidents] == ["OrphanProtection"]
    assert len(margin.reconcile().settled) == 1
    assert margin.resting == []


def test_a_protection_of_somebody_elses_entry_is_foreign(margin: Account) -> None:
    margin.venue.rest(instrument="EURUSD", side=Side.SELL, protects="another-engines")
    assert only(margin).kind is K.FOREIGN_ORDER


def test_a_fill_on_the_entrys_own_side_is_not_its_protection(margin: Account) -> None:
    entry = margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    number = margin.venue.rest(instrument="EURUSD", side=Side.BUY, units=Decimal(10), protects=entry.client_order_id)
    margin.venue.hit(number, at=margin.clock.now())
    assert only(margin).kind is K.EXTERNAL_TRADE
    assert (margin.position.units, margin.position.external) == (4000, 10)


def test_the_second_unresolved_run_is_no_new_incident(margin: Account) -> None:
    margin.enter("lost_before")
    assert [trouble.type for trouble in margin.reconcile().incidents] == ["UnresolvedOrderDifference"]
    assert margin.reconcile().incidents == ()


def test_accepting_a_trade_by_hand_opens_the_instrument_again(margin: Account) -> None:
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now())
    found = only(margin)
    assert accept(margin, found, "that was me").settled_how == "accepted: that was me"
    assert margin.reconcile().clean
    assert margin.enter(bars=2).state is S.FILLED


def test_accepting_units_that_are_gone_closes_ours_at_the_price_of_now(margin: Account) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.SELL, "1000", at=margin.clock.now(), told=False)
    accept(margin, only(margin))
    assert (margin.position.units, margin.position.external, margin.agrees) == (3000, 0, True)
    (trade,) = margin.ledger.closed_trades("oanda", ACCOUNT)
    assert (trade.units, trade.exit_price) == (1000, Decimal("1.2271"))
    assert margin.reconcile().clean


def test_accepting_units_that_came_from_nowhere_makes_them_external(margin: Account) -> None:
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now(), told=False)
    accept(margin, only(margin))
    assert (margin.position.external, margin.reconcile().clean) == (500, True)


def test_the_same_numbers_after_an_acceptance_are_a_new_difference(margin: Account) -> None:
    margin.enter()
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.SELL, "4000", at=margin.clock.now(), told=False)
    first = only(margin)
    accept(margin, first)
    margin.enter(bars=2)
    margin.clock.sleep(30)
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.SELL, "4000", at=margin.clock.now(), told=False)
    second = only(margin)
    assert (second.venue_says, second.ledger_says) == (first.venue_says, first.ledger_says)
    assert second.id != first.id


def test_units_that_came_back_need_no_booking(margin: Account) -> None:
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now(), told=False)
    found = only(margin)
    margin.venue.trade("EURUSD", Side.SELL, "500", at=margin.clock.now(), told=False)
    accept_units(margin.desk, found)
    assert margin.ledger.adjustments("oanda", ACCOUNT) == []


def test_nothing_is_accepted_while_the_venue_cannot_be_read(margin: Account) -> None:
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "500", at=margin.clock.now(), told=False)
    found = only(margin)
    margin.broker.broken = {"quote"}
    with pytest.raises(VenueReadError):
        accept(margin, found)
    assert [each.id for each in margin.ledger.differences()] == [found.id]


def test_accepting_an_unresolved_order_ends_it(margin: Account) -> None:
    order = margin.enter("lost_before")
    accept(margin, only(margin))
    ended = margin.ledger.order(order.id)
    assert (ended.state, ended.reason) == (S.CANCELLED, "acknowledged_by_person")
    assert margin.ledger.open_reservations() == []
    assert margin.reconcile().clean


def test_an_unresolved_order_that_settled_itself_stays_as_it_is(margin: Account) -> None:
    order = margin.enter("lost_before")
    found = only(margin)
    margin.clock.advance(timedelta(minutes=2))
    margin.reconcile()
    assert margin.ledger.order(order.id).reason == "never_reached_venue"
    with_prefix = acknowledge(margin.ledger, margin.broker, margin.clock, found.id, "late")
    assert with_prefix.settled_how == "gone"


def test_an_order_settled_between_the_look_and_the_acceptance_stays_as_it_is(margin: Account) -> None:
    order = margin.enter("lost_before")
    found = only(margin)
    margin.ledger.transition(order.id, S.REJECTED, margin.clock.now(), reason="INSUFFICIENT_MARGIN")
    accept(margin, found)
    assert margin.ledger.order(order.id).reason == "INSUFFICIENT_MARGIN"


def test_accepting_a_foreign_order_lets_it_rest(margin: Account) -> None:
    margin.venue.rest(instrument="EURUSD", side=Side.BUY)
    accept(margin, only(margin))
    assert (margin.reconcile().clean, len(margin.resting)) == (True, 1)


def test_a_foreign_order_that_is_gone_needs_nobody(margin: Account) -> None:
    number = margin.venue.rest(instrument="EURUSD", side=Side.BUY)
    assert only(margin).open
    margin.venue.end([number], "CANCELLED")
    assert margin.reconcile().clean


def test_missing_money_is_accepted_once(margin: Account) -> None:
    margin.reconcile()
    margin.venue.pay("-3", "?", at=margin.clock.now(), told=False)
    accept(margin, only(margin))
    assert margin.reconcile().clean


def test_an_unknown_difference_cannot_be_accepted(margin: Account) -> None:
    with pytest.raises(LedgerError):
        acknowledge(margin.ledger, margin.broker, margin.clock, "0" * 8, "?")


def test_the_scripted_venue_is_the_same_in_two_processes(tmp_path: Path) -> None:
    one, two = (Venue.load(tmp_path / "venue.json", dedupes=True) for _ in range(2))
    one.trade("BTCUSD", Side.BUY, "1", at=AT)
    with two.opened():
        assert two.units("BTCUSD") == 1
