"""One intent through the order path: every answer of a venue, and none."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import ACCOUNT, AT, BAR, bare_decision, difference, intent
from scripted import ScriptedBroker, SleepingClock, Venue

from ffe.errors import OutcomeUnknownError, VenueReadError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.request import request_for
from ffe.orders.resolve import recover
from ffe.orders.service import STEPS, OrderService
from ffe.orders.switch import SwitchState

S = OrderState
PLENTY = Decimal(10_000)


@pytest.fixture
def venue() -> Venue:
    return Venue(dedupes=False)


def run(
    ledger: Ledger, clock: SleepingClock, venue: Venue, *outcomes: str, available: Decimal = PLENTY, **changes: object
) -> tuple[Order, ScriptedBroker]:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock, outcomes=outcomes)
    service = OrderService(ledger, broker, clock, sleep=clock.sleep)
    return service.execute(intent(**changes), available), broker


def states(ledger: Ledger, order: Order) -> list[OrderState]:
    return [event.to_state for event in ledger.order_events(order.id)]


def test_a_filled_order_passes_every_state_and_is_booked(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, broker = run(ledger, clock, venue)
    assert states(ledger, order) == [S.PLANNED, S.RESERVED, S.SUBMITTING, S.FILLED]
    assert (order.filled_units, order.average_price, order.fees) == (Decimal(4000), Decimal("1.2272"), Decimal("0.25"))
    assert ledger.positions()[0].units == Decimal(4000)
    assert ledger.open_reservations() == []
    assert broker.seen == [request_for(intent())]


def test_each_write_precedes_the_step_that_it_announces(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    bare_decision(ledger)
    seen = []

    def note(step: str) -> None:
        seen.append((step, ledger.orders()[0].state))

    broker = ScriptedBroker(venue, clock, on_wire=lambda place: note(f"wire {place}"))
    OrderService(ledger, broker, clock, sleep=clock.sleep, on_step=note).execute(intent(), PLENTY)
    assert seen == [
        ("planned", S.PLANNED),
        ("reserved", S.RESERVED),
        ("checkpointed", S.RESERVED),
        ("submitting", S.SUBMITTING),
        ("wire before", S.SUBMITTING),
        ("wire after", S.SUBMITTING),
        ("answered", S.SUBMITTING),
        ("booked", S.FILLED),
    ]
    assert [step for step, _ in seen if step in STEPS] == list(STEPS)


def test_the_same_intent_again_is_never_sent_again(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    first, _ = run(ledger, clock, venue)
    again, broker = run(ledger, clock, venue, units=Decimal(9))
    assert again == first
    assert broker.sent == 0
    assert len(venue.placed) == 1


def test_a_rejection_keeps_the_venues_reason_and_gives_the_money_back(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    order, _ = run(ledger, clock, venue, "reject")
    assert (order.state, order.reason) == (S.REJECTED, "INSUFFICIENT_MARGIN")
    assert ledger.open_reservations() == []


def test_an_order_that_never_left_is_denied(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, broker = run(ledger, clock, venue, "not_sent")
    assert (order.state, order.reason, broker.sent) == (S.DENIED, "not_sent", 1)
    assert ledger.order_events(order.id)[-1].detail == {"message": "connection refused"}


def test_a_venue_that_is_down_before_sending_denies(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock)
    broker.checkpoint_error = VenueReadError("502")
    order = OrderService(ledger, broker, clock, sleep=clock.sleep).execute(intent(), PLENTY)
    assert (order.state, order.reason, broker.sent) == (S.DENIED, "venue_unreachable_before_sending", 0)
    assert ledger.open_reservations() == []


def test_accepted_then_cancelled_is_not_a_fill(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, _ = run(ledger, clock, venue, "kill_rest")
    assert (order.state, order.reason, order.filled_units) == (S.CANCELLED, "MARKET_HALTED", 0)
    assert ledger.positions() == []


def test_an_accepted_order_is_read_back_until_it_is_final(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, broker = run(ledger, clock, venue, "accept")
    assert (order.state, broker.sent) == (S.FILLED, 1)
    assert clock.now() == AT + timedelta(seconds=0.7)


def test_a_part_filled_order_is_booked_for_what_it_filled(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, _ = run(ledger, clock, venue, "partial")
    assert (order.state, order.filled_units) == (S.CANCELLED, Decimal(2000))
    assert S.PARTIAL in states(ledger, order)
    assert ledger.positions()[0].units == Decimal(2000)


def test_reading_back_is_bounded_and_an_open_order_stays_open(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock, outcomes=["accept"], unreadable=9)
    service = OrderService(ledger, broker, clock, sleep=clock.sleep)
    order = service.execute(intent(), PLENTY)
    assert (order.state, broker.unreadable) == (S.ACCEPTED, 5)
    broker.unreadable = 0
    assert service.execute(intent(), PLENTY).state is S.FILLED
    assert broker.sent == 1


def test_a_venue_that_forgets_an_accepted_order_leaves_it_open(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock, outcomes=["accept"], on_wire=lambda place: None)
    service = OrderService(ledger, broker, clock, sleep=lambda seconds: venue.placed.clear())
    assert service.execute(intent(), PLENTY).state is S.ACCEPTED


@pytest.mark.parametrize("outcome", ["lost_after", "bug", "late"])
def test_an_unknown_outcome_is_looked_up_and_found(ledger: Ledger, clock: SleepingClock, outcome: str) -> None:
    venue = Venue(dedupes=True)
    order, _ = run(ledger, clock, venue, outcome)
    assert states(ledger, order)[3] is S.UNRESOLVED
    assert order.state is S.FILLED
    assert len(venue.placed) == 1


def test_what_the_venue_never_heard_of_stays_unresolved_and_is_not_sent_again(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    order, broker = run(ledger, clock, venue, "lost_before")
    assert (order.state, broker.sent) == (S.UNRESOLVED, 1)
    assert clock.now() == AT + timedelta(seconds=15.5)
    assert ledger.reserved("oanda", ACCOUNT, "USD") == order.reserve_amount


def test_an_unresolved_order_blocks_new_exposure_but_not_a_close(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    run(ledger, clock, venue, bar_close=BAR - timedelta(minutes=5))
    lost, _ = run(ledger, clock, venue, "lost_before")
    later = BAR + timedelta(minutes=5)
    order, broker = run(ledger, clock, venue, bar_close=later)
    assert (order.state, broker.sent) == (S.DENIED, 0)
    assert order.reason == f"blocked_by_unresolved_order {lost.client_order_id}"
    leaving, broker = run(ledger, clock, venue, bar_close=later, leg=Leg.EXIT, side=Side.SELL, cancel_first=("r1",))
    assert leaving.state is S.FILLED
    assert (broker.seen[0].reduce_only, broker.seen[0].cancel_first) == (True, ("r1",))
    other, _ = run(ledger, clock, venue, bar_close=later, instrument="GBPUSD")
    assert other.state is S.FILLED


def test_an_unknown_close_blocks_the_next_close(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    run(ledger, clock, venue, bar_close=BAR - timedelta(minutes=5))
    closing: dict[str, object] = {"leg": Leg.EXIT, "side": Side.SELL}
    lost, _ = run(ledger, clock, venue, "lost_before", **closing, units=Decimal(1000))
    assert lost.state is S.UNRESOLVED
    for leg in (Leg.WATCHED, Leg.FLATTEN):
        order, broker = run(ledger, clock, venue, leg=leg, side=Side.SELL, units=Decimal(1000))
        assert (order.state, broker.sent) == (S.DENIED, 0)
        assert order.reason == f"blocked_by_unresolved_order {lost.client_order_id}"
    clock.advance(timedelta(minutes=2))
    recover(ledger, ScriptedBroker(venue, clock), clock, clock.sleep)
    settled, _ = run(ledger, clock, venue, leg=Leg.FLATTEN, side=Side.SELL, bar_close=clock.now())
    assert settled.state is S.FILLED


def test_a_close_reserves_no_money(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    run(ledger, clock, venue, bar_close=BAR - timedelta(minutes=5))
    order, _ = run(ledger, clock, venue, leg=Leg.EXIT, side=Side.SELL, available=Decimal(0))
    assert (order.state, ledger.positions()[0].units) == (S.FILLED, 0)


def test_what_is_not_held_cannot_be_closed(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    order, broker = run(ledger, clock, venue, leg=Leg.EXIT, side=Side.SELL)
    assert (order.state, order.reason, broker.sent) == (S.DENIED, "nothing_to_close", 0)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SwitchState.REDUCE_ONLY, "kill_switch_reduce_only"),
        (SwitchState.HALT, "kill_switch_halt"),
        (SwitchState.FLATTEN, "kill_switch_flatten"),
    ],
)
def test_the_kill_switch_denies_an_entry_at_the_last_moment(
    ledger: Ledger, clock: SleepingClock, venue: Venue, state: SwitchState, reason: str
) -> None:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock)

    def trip(step: str) -> None:
        if step == "checkpointed":
            ledger.set_switch(state, "drill", "person", AT)

    order = OrderService(ledger, broker, clock, sleep=clock.sleep, on_step=trip).execute(intent(), PLENTY)
    assert (order.state, order.reason, broker.sent) == (S.DENIED, reason, 0)
    assert ledger.open_reservations() == []


@pytest.mark.parametrize(
    ("state", "leg", "passes"),
    [
        (SwitchState.REDUCE_ONLY, Leg.EXIT, True),
        (SwitchState.HALT, Leg.EXIT, False),
        (SwitchState.HALT, Leg.WATCHED, True),
        (SwitchState.HALT, Leg.REPAIR, True),
        (SwitchState.FLATTEN, Leg.FLATTEN, True),
    ],
)
def test_the_kill_switch_stops_decisions_and_never_a_way_out(
    ledger: Ledger, clock: SleepingClock, venue: Venue, state: SwitchState, leg: Leg, passes: bool
) -> None:
    run(ledger, clock, venue, bar_close=BAR - timedelta(minutes=5))
    ledger.set_switch(state, "drill", "person", AT)
    order, _ = run(ledger, clock, venue, leg=leg, side=Side.SELL)
    assert order.state is (S.FILLED if passes else S.DENIED)


def test_a_worker_that_fails_does_not_deny_what_another_has_claimed(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    bare_decision(ledger)
    failing, other = ScriptedBroker(venue, clock), ScriptedBroker(venue, clock, outcomes=["lost_before"])
    failing.checkpoint_error = VenueReadError("502")

    def overtake(step: str) -> None:
        if step == "reserved":
            OrderService(ledger, other, clock, sleep=clock.sleep).execute(intent(), PLENTY)
            ledger.set_switch(SwitchState.HALT, "drill", "person", AT)

    order = OrderService(ledger, failing, clock, sleep=clock.sleep, on_step=overtake).execute(intent(), PLENTY)
    assert (order.state, other.sent, failing.sent) == (S.UNRESOLVED, 1, 0)


def test_an_open_difference_denies_an_entry_and_no_close(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    run(ledger, clock, venue, bar_close=BAR - timedelta(minutes=5))
    ledger.observe("oanda", ACCOUNT, [difference()], AT)
    order, broker = run(ledger, clock, venue)
    assert (order.state, order.reason, broker.sent) == (S.DENIED, "blocked_by_difference", 0)
    leaving, _ = run(ledger, clock, venue, leg=Leg.EXIT, side=Side.SELL)
    assert leaving.state is S.FILLED


@pytest.mark.parametrize("outcome", ["not_sent", "reject", "lost_after"])
def test_what_another_process_settled_while_we_were_sending_stands(
    ledger: Ledger, clock: SleepingClock, venue: Venue, outcome: str
) -> None:
    bare_decision(ledger)

    def settled_elsewhere(place: str) -> None:
        if place == "before":
            (order,) = ledger.orders()
            ledger.transition(order.id, S.CANCELLED, AT, reason="acknowledged_by_person")

    broker = ScriptedBroker(venue, clock, outcomes=[outcome], on_wire=settled_elsewhere)
    order = OrderService(ledger, broker, clock, sleep=clock.sleep).execute(intent(), PLENTY)
    assert (order.state, order.reason) == (S.CANCELLED, "acknowledged_by_person")


def test_three_intents_on_16_91_make_one_order(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    """DEV-68: $84.54 balance, $67.63 reserved, $16.91 left: 1 approved, 2 rejected."""
    bare_decision(ledger)
    holder, _ = ledger.plan(intent(instrument="AUDUSD"), AT)
    ledger.reserve(holder.id, "USD", Decimal("67.63"), Decimal("84.54"), AT)
    broker = ScriptedBroker(venue, clock, outcomes=["accept"], unreadable=4)
    service = OrderService(ledger, broker, clock, sleep=clock.sleep)
    asked = [intent(instrument=name, reserve_amount=Decimal("16.91")) for name in ("EURUSD", "GBPUSD", "NZDUSD")]
    orders = [service.execute(one, Decimal("84.54")) for one in asked]
    assert [(order.state, order.reason) for order in orders] == [
        (S.ACCEPTED, None),
        (S.DENIED, "insufficient_available_balance"),
        (S.DENIED, "insufficient_available_balance"),
    ]
    assert len(venue.placed) == 1


def test_of_two_workers_on_one_intent_only_one_sends(ledger: Ledger, clock: SleepingClock, venue: Venue) -> None:
    bare_decision(ledger)
    slow = ScriptedBroker(venue, clock)
    fast = ScriptedBroker(venue, clock)

    def overtake(step: str) -> None:
        if step == "checkpointed":
            OrderService(ledger, fast, clock, sleep=clock.sleep).execute(intent(), PLENTY)

    order = OrderService(ledger, slow, clock, sleep=clock.sleep, on_step=overtake).execute(intent(), PLENTY)
    assert (order.state, slow.sent, fast.sent, len(venue.placed)) == (S.FILLED, 0, 1, 1)


def test_an_interrupt_while_sending_leaves_the_order_for_the_resolver(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    bare_decision(ledger)

    def interrupt(place: str) -> None:
        if place == "after":
            raise KeyboardInterrupt

    broker = ScriptedBroker(venue, clock, on_wire=interrupt)
    with pytest.raises(KeyboardInterrupt):
        OrderService(ledger, broker, clock, sleep=clock.sleep).execute(intent(), PLENTY)
    assert ledger.orders()[0].state is S.SUBMITTING
    order, again = run(ledger, clock, venue)
    assert (order.state, again.sent, len(venue.placed)) == (S.FILLED, 0, 1)


def test_an_answer_that_cannot_be_written_down_is_found_again(
    ledger: Ledger, clock: SleepingClock, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_decision(ledger)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "book", lambda *given: (_ for _ in ()).throw(OutcomeUnknownError("disk full")))
        with pytest.raises(OutcomeUnknownError):
            OrderService(ledger, ScriptedBroker(venue, clock), clock, sleep=clock.sleep).execute(intent(), PLENTY)
    order, broker = run(ledger, clock, venue)
    assert (order.state, broker.sent, len(venue.placed)) == (S.FILLED, 0, 1)


def test_a_worker_that_stalled_after_its_claim_sends_nothing_any_more(
    ledger: Ledger, clock: SleepingClock, venue: Venue
) -> None:
    bare_decision(ledger)
    broker = ScriptedBroker(venue, clock)

    def stall(step: str) -> None:
        if step == "submitting":
            clock.advance(timedelta(seconds=31))

    order = OrderService(ledger, broker, clock, sleep=clock.sleep, on_step=stall).execute(intent(), PLENTY)
    assert (order.state, order.reason, broker.sent) == (S.DENIED, "stalled_before_sending", 0)
    assert ledger.open_reservations() == []
