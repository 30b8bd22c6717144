"""Orders of unknown outcome end in a state or block their instrument, and say so."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import ACCOUNT, AT, BAR, bare_decision, difference, fill, filled, intent, planned, submitted, venue_order
from scripted import ScriptedBroker, SleepingClock, Venue

from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.request import request_for
from ffe.orders.resolve import QUIET, RESEND_WITHIN, blocked, recover, resolve
from ffe.orders.switch import SwitchState

S = OrderState


def settle(order: Order, ledger: Ledger, broker: ScriptedBroker, clock: SleepingClock) -> Order:
    return resolve(order, ledger, broker, clock, clock.sleep)


def test_an_order_the_venue_has_is_booked(ledger: Ledger, clock: SleepingClock) -> None:
    order, venue = submitted(ledger), Venue(dedupes=False)
    venue.place(request_for(order), "fill", AT)
    assert settle(order, ledger, ScriptedBroker(venue, clock), clock).state is S.FILLED
    assert clock.now() == AT


@pytest.mark.parametrize("state", [S.PLANNED, S.DENIED])
def test_what_was_never_sent_or_has_ended_is_left_alone(
    ledger: Ledger, clock: SleepingClock, state: OrderState
) -> None:
    order = planned(ledger)
    if state is S.DENIED:
        order = ledger.transition(order.id, S.DENIED, AT)
    assert settle(order, ledger, ScriptedBroker(Venue(dedupes=True), clock), clock) == order


def test_silence_after_the_quiet_period_means_it_never_arrived(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=False), clock)
    waiting = settle(order, ledger, broker, clock)
    assert (waiting.state, waiting.reason) == (S.UNRESOLVED, "sent; the venue has not heard of it")
    clock.advance(QUIET)
    ended = settle(order, ledger, broker, clock)
    assert (ended.state, ended.reason) == (S.CANCELLED, "never_reached_venue")
    assert (broker.sent, ledger.open_reservations()) == (0, [])


def test_a_failed_query_is_never_not_found(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=False), clock, unreadable=100)
    clock.advance(QUIET * 2)
    for _ in range(2):
        found = settle(order, ledger, broker, clock)
        assert (found.state, found.reason) == (S.UNRESOLVED, "lookup failed: 502")
    assert len(ledger.order_events(order.id)) == 4, "the second time is no news"


def test_a_deduping_venue_gets_the_identical_request_once_more(ledger: Ledger, clock: SleepingClock) -> None:
    order, venue = submitted(ledger), Venue(dedupes=True)
    broker = ScriptedBroker(venue, clock)
    assert settle(order, ledger, broker, clock).state is S.FILLED
    assert broker.seen == [request_for(intent())]
    reasons = [event.reason for event in ledger.order_events(order.id)]
    assert "sending the identical request again" in reasons
    assert len(venue.placed) == 1


@pytest.mark.parametrize("outcome", ["lost_after", "bug", "late"])
def test_a_resend_whose_answer_is_lost_is_found(ledger: Ledger, clock: SleepingClock, outcome: str) -> None:
    order, venue = submitted(ledger), Venue(dedupes=True)
    broker = ScriptedBroker(venue, clock, outcomes=[outcome])
    first = settle(order, ledger, broker, clock)
    clock.advance(timedelta(seconds=5))
    assert settle(first, ledger, broker, clock).state is S.FILLED
    assert len(venue.placed) == 1


def test_a_resend_that_is_rejected_rejects_the_order(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock, outcomes=["reject"])
    ended = settle(order, ledger, broker, clock)
    assert (ended.state, ended.reason) == (S.REJECTED, "INSUFFICIENT_MARGIN")


def test_a_rejected_resend_is_not_believed_while_the_venue_cannot_be_read(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock, outcomes=["reject"])
    broker._on_wire = lambda place: setattr(broker, "unreadable", 100)
    assert settle(order, ledger, broker, clock).state is S.UNRESOLVED


@pytest.mark.parametrize("outcome", ["not_sent", "lost_before"])
def test_a_resend_that_fails_leaves_the_order_blocking(ledger: Ledger, clock: SleepingClock, outcome: str) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock, outcomes=[outcome])
    kept = settle(order, ledger, broker, clock)
    assert (kept.state, kept.reason) == (S.UNRESOLVED, "sent twice; the venue has not heard of it")
    assert blocked(ledger, "oanda", ACCOUNT, "EURUSD") == kept
    assert blocked(ledger, "oanda", ACCOUNT, "EURUSD", but=kept.id) is None
    assert blocked(ledger, "oanda", ACCOUNT, "GBPUSD") is None
    assert blocked(ledger, "coinbase", ACCOUNT, "EURUSD") is None


def test_an_old_decision_is_not_sent_again(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock)
    clock.advance(RESEND_WITHIN + timedelta(seconds=1))
    ended = settle(order, ledger, broker, clock)
    assert (ended.state, ended.reason, broker.sent) == (S.CANCELLED, "never_reached_venue", 0)


def test_an_acknowledged_order_that_cannot_be_found_is_never_given_up(ledger: Ledger, clock: SleepingClock) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.ACCEPTED), AT)
    clock.advance(QUIET * 100)
    broker = ScriptedBroker(Venue(dedupes=True), clock)
    kept = settle(order, ledger, broker, clock)
    assert (kept.state, kept.reason) == (S.UNRESOLVED, "the venue acknowledged v1 and does not find it now")
    assert broker.sent == 0


def test_another_worker_may_settle_it_in_between(ledger: Ledger, clock: SleepingClock) -> None:
    order = submitted(ledger)

    def settled_elsewhere(seconds: float) -> None:
        ledger.book(order.id, venue_order(order, S.FILLED, fill()), clock.now())

    broker = ScriptedBroker(Venue(dedupes=False), clock)
    assert resolve(order, ledger, broker, clock, settled_elsewhere).state is S.FILLED


@pytest.mark.parametrize("column", ["checkpoint", "submitted_at"])
def test_a_sent_order_without_its_evidence_is_an_error(ledger: Ledger, clock: SleepingClock, column: str) -> None:
    order = submitted(ledger)
    with ledger.database.writing_connection() as connection:
        connection.exec_driver_sql(f"UPDATE orders SET {column} = NULL")
    with pytest.raises(LedgerError, match=r"never submitted|without the venue's checkpoint"):
        settle(order, ledger, ScriptedBroker(Venue(dedupes=False), clock), clock)


def test_recovery_settles_what_a_crash_left_and_is_idempotent(ledger: Ledger, clock: SleepingClock) -> None:
    sent = submitted(ledger)
    old, _ = ledger.plan(intent(bar_close=BAR - timedelta(minutes=5)), AT)
    ledger.reserve(old.id, "USD", Decimal(5), Decimal(1000), AT)
    current, _ = ledger.plan(intent(instrument="GBPUSD"), AT)
    elsewhere, _ = ledger.plan(intent(account="other", bar_close=BAR - timedelta(minutes=5)), AT)
    venue = Venue(dedupes=False)
    venue.place(request_for(sent), "fill", AT)
    settled = recover(ledger, ScriptedBroker(venue, clock), clock, clock.sleep)
    assert {order.id: (order.state, order.reason) for order in settled} == {
        sent.id: (S.FILLED, None),
        old.id: (S.DENIED, "abandoned_before_sending"),
    }
    assert {order.id for order in ledger.open_orders()} == {current.id, elsewhere.id}
    assert ledger.open_reservations() == []
    assert recover(ledger, ScriptedBroker(venue, clock), clock, clock.sleep) == []


def test_recovery_reads_an_accepted_order_back(ledger: Ledger, clock: SleepingClock) -> None:
    order, venue = submitted(ledger), Venue(dedupes=False)
    venue.place(request_for(order), "fill", AT)
    ledger.book(order.id, venue_order(order, S.ACCEPTED), AT)
    (found,) = recover(ledger, ScriptedBroker(venue, clock), clock, clock.sleep)
    assert found.state is S.FILLED


def test_a_bare_decision_leaves_nothing_to_recover(ledger: Ledger, clock: SleepingClock) -> None:
    bare_decision(ledger)
    assert recover(ledger, ScriptedBroker(Venue(dedupes=False), clock), clock, clock.sleep) == []


def test_what_the_venue_placed_itself_is_not_looked_up(ledger: Ledger, clock: SleepingClock) -> None:
    entry = filled(ledger, fill())
    ledger.adopt_protection(entry.id, venue_order(entry, S.PARTIAL, fill(2, "1000")), Side.SELL, AT)
    assert [order.leg for order in ledger.open_orders()] == [Leg.PROTECTION]
    assert recover(ledger, ScriptedBroker(Venue(dedupes=False), clock), clock, clock.sleep) == []


def test_a_close_of_no_bar_is_left_to_its_own_process_while_it_is_young(ledger: Ledger, clock: SleepingClock) -> None:
    order = planned(ledger, leg=Leg.WATCHED, side=Side.SELL, bar_close=BAR - timedelta(hours=3))
    broker = ScriptedBroker(Venue(dedupes=False), clock)
    assert recover(ledger, broker, clock, clock.sleep) == []
    clock.advance(QUIET)
    (ended,) = recover(ledger, broker, clock, clock.sleep)
    assert (ended.id, ended.reason) == (order.id, "abandoned_before_sending")


def test_an_order_sent_while_it_was_about_to_be_abandoned_stays(
    ledger: Ledger, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = planned(ledger, bar_close=BAR - timedelta(minutes=5))
    ledger.reserve(stale.id, "USD", Decimal(5), Decimal(1000), AT)
    ledger.claim(stale.id, AT, "6410")
    monkeypatch.setattr(ledger, "open_orders", lambda venue, account: [stale])
    (order,) = recover(ledger, ScriptedBroker(Venue(dedupes=False), clock), clock, clock.sleep)
    assert order.state is S.SUBMITTING


@pytest.mark.parametrize("state", [SwitchState.HALT, SwitchState.REDUCE_ONLY, SwitchState.FLATTEN])
def test_an_entry_is_not_sent_again_while_the_kill_switch_stands_before_it(
    ledger: Ledger, clock: SleepingClock, state: SwitchState
) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock)
    ledger.set_switch(state, "stop", "person", clock.now())
    waiting = settle(order, ledger, broker, clock)
    assert waiting.state is S.UNRESOLVED
    assert f"the kill switch is at {state} (stop)" in str(waiting.reason)
    clock.advance(QUIET)
    ended = settle(order, ledger, broker, clock)
    assert (ended.state, ended.reason, broker.sent) == (S.CANCELLED, "never_reached_venue", 0)


def test_an_entry_is_not_sent_again_into_a_difference_but_its_own_is_none(ledger: Ledger, clock: SleepingClock) -> None:
    order, broker = submitted(ledger), ScriptedBroker(Venue(dedupes=True), clock)
    ledger.observe("oanda", ACCOUNT, [difference(order.client_order_id)], AT)
    settled = settle(order, ledger, broker, clock)
    assert (settled.state, broker.sent) == (S.FILLED, 1)
    other, broker = another(ledger), ScriptedBroker(Venue(dedupes=True), clock)
    ledger.observe("oanda", ACCOUNT, [difference("something else")], AT)
    assert settle(other, ledger, broker, clock).state is S.UNRESOLVED
    assert broker.sent == 0


def another(ledger: Ledger) -> Order:
    bare_decision(ledger)
    order, _ = ledger.plan(intent(bar_close=BAR + timedelta(minutes=5)), AT)
    ledger.reserve(order.id, "USD", Decimal(1), Decimal(1000), AT)
    return ledger.transition(order.id, S.SUBMITTING, AT, checkpoint="6410")
