"""Planning, moving and booking orders."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import ACCOUNT, AT, BAR, bare_decision, fill, intent, planned, submitted, venue_order

from ffe.errors import IllegalTransitionError, LedgerError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe
from ffe.orders.models import TRANSITIONS, Leg, Order, OrderState, Side

S = OrderState
LATER = AT + timedelta(seconds=5)


def states(ledger: Ledger, order: Order) -> list[OrderState]:
    return [event.to_state for event in ledger.order_events(order.id)]


def test_one_intent_is_one_order_however_often_it_is_planned(ledger: Ledger) -> None:
    bare_decision(ledger)
    first, created = ledger.plan(intent(), AT)
    again, created_again = ledger.plan(intent(units=Decimal(9)), LATER)
    assert (created, created_again) == (True, False)
    assert again == first
    assert first.client_order_id == intent().client_order_id
    assert ledger.orders() == [first]
    assert states(ledger, first) == [S.PLANNED]


def test_an_order_is_found_by_the_key_of_its_decision(ledger: Ledger) -> None:
    order = planned(ledger)
    assert ledger.order_for(ACCOUNT, "EURUSD", Timeframe.M5, BAR, Leg.ENTRY) == order
    assert ledger.order_for(ACCOUNT, "EURUSD", Timeframe.M5, BAR, Leg.EXIT) is None


def test_everything_a_resend_needs_is_in_the_order(ledger: Ledger) -> None:
    order = planned(ledger, cancel_first=("11", "12"), price_bound=None)
    asked = intent(cancel_first=("11", "12"), price_bound=None)
    for field in ("side", "units", "price_bound", "stop_loss", "take_profit", "cancel_first", "reserve_amount"):
        assert getattr(order, field) == getattr(asked, field)


def test_an_order_nobody_planned_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no orders nobody"):
        ledger.order("nobody")


@pytest.mark.parametrize("old", list(S))
def test_only_the_table_moves_an_order(ledger: Ledger, old: OrderState) -> None:
    order = planned(ledger)
    with ledger.database.writing_connection() as connection:
        connection.exec_driver_sql(f"UPDATE orders SET state = '{old}'")
    for new in set(S) - TRANSITIONS[old] - ({old} if old.final else set()):
        with pytest.raises(IllegalTransitionError):
            ledger.transition(order.id, new, LATER)
    assert ledger.order(order.id).state is old
    assert len(ledger.order_events(order.id)) == 1


def test_a_final_state_reached_twice_is_written_once(ledger: Ledger) -> None:
    order = planned(ledger)
    denied = ledger.transition(order.id, S.DENIED, LATER, reason="no_balance")
    assert ledger.transition(order.id, S.DENIED, LATER, reason="other") == denied
    assert states(ledger, order) == [S.PLANNED, S.DENIED]


def test_submitting_keeps_the_checkpoint_and_the_moment(ledger: Ledger) -> None:
    order = submitted(ledger)
    assert (order.checkpoint, order.submitted_at, order.state) == ("6410", AT, S.SUBMITTING)
    known = ledger.transition(order.id, S.ACCEPTED, LATER, venue_order_id="v9", detail={"polls": 1})
    assert (known.venue_order_id, known.checkpoint) == ("v9", "6410")
    assert ledger.order_events(order.id)[-1].detail == {"polls": 1}


def test_a_resend_is_announced_and_restarts_the_quiet_period(ledger: Ledger) -> None:
    order = submitted(ledger)
    again = ledger.resending(order.id, LATER, "sending again")
    assert again.submitted_at == LATER
    assert states(ledger, order)[-2:] == [S.SUBMITTING, S.SUBMITTING]


def test_a_note_is_written_only_when_it_is_news(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.transition(order.id, S.UNRESOLVED, AT, reason="late")
    ledger.note(order.id, LATER, "still unknown")
    ledger.note(order.id, LATER + timedelta(seconds=9), "still unknown")
    assert [event.reason for event in ledger.order_events(order.id)][-2:] == ["late", "still unknown"]


def test_open_orders_are_those_not_ended(ledger: Ledger) -> None:
    order = planned(ledger)
    other, _ = ledger.plan(intent(instrument="GBPUSD"), AT)
    ledger.transition(other.id, S.DENIED, AT)
    assert ledger.open_orders() == [order]
    assert ledger.open_orders("oanda", ACCOUNT) == [order]
    assert ledger.open_orders("coinbase") == []
    assert ledger.open_orders("oanda", "another") == []


def test_a_fill_is_booked_once_into_order_position_and_reservation(ledger: Ledger) -> None:
    order = submitted(ledger)
    report = venue_order(order, S.FILLED, fill(fee="0.5"), protection_ids=("21", "22"))
    booked = ledger.book(order.id, report, LATER)
    assert ledger.book(order.id, report, LATER + timedelta(minutes=1)) == booked
    assert (booked.state, booked.filled_units, booked.average_price) == (S.FILLED, Decimal(4000), Decimal("1.2272"))
    assert (booked.fees, booked.venue_order_id, booked.protection_ids) == (Decimal("0.5"), "v1", ("21", "22"))
    assert ledger.fills(order.id) == [fill(fee="0.5")]
    (position,) = ledger.positions()
    assert (position.units, position.average_price) == (Decimal(4000), Decimal("1.2272"))
    assert ledger.open_reservations() == []
    assert states(ledger, order) == [S.PLANNED, S.RESERVED, S.SUBMITTING, S.FILLED]


def test_partial_fills_add_up_and_a_late_list_loses_none(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.ACCEPTED), LATER)
    part = ledger.book(order.id, venue_order(order, S.ACCEPTED, fill(1, "1000", "1.2270")), LATER)
    assert part.state is S.PARTIAL
    assert ledger.reserved("oanda", ACCOUNT, "USD") == order.reserve_amount
    back = ledger.book(order.id, venue_order(order, S.ACCEPTED), LATER)
    assert back.state is S.PARTIAL
    more = ledger.book(
        order.id, venue_order(order, S.PARTIAL, fill(1, "1000", "1.2270"), fill(2, "500", "1.2273")), LATER
    )
    assert (more.state, more.filled_units) == (S.PARTIAL, Decimal(1500))
    assert more.average_price == Decimal("1.2271")
    ended = ledger.book(order.id, venue_order(order, S.CANCELLED, reason="EXPIRED"), LATER)
    assert (ended.state, ended.filled_units, ended.reason) == (S.CANCELLED, Decimal(1500), "EXPIRED")
    late = ledger.book(order.id, venue_order(order, S.FILLED, fill(3, "2500", "1.2274")), LATER)
    assert (late.state, late.filled_units) == (S.CANCELLED, Decimal(4000))
    assert ledger.positions()[0].units == Decimal(4000)


def test_filled_without_a_fill_is_not_believed_yet(ledger: Ledger) -> None:
    order = submitted(ledger)
    assert ledger.book(order.id, venue_order(order, S.FILLED), LATER).state is S.ACCEPTED
    assert ledger.book(order.id, venue_order(order, S.FILLED, fill()), LATER).state is S.FILLED


def test_a_report_without_an_id_keeps_the_one_that_is_known(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.ACCEPTED), LATER)
    assert ledger.book(order.id, venue_order(order, S.ACCEPTED, venue_order_id=None), LATER).venue_order_id == "v1"


def test_rejected_with_fills_is_a_cancel_that_keeps_them(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.PARTIAL, fill(1, "10")), LATER)
    ended = ledger.book(order.id, venue_order(order, S.REJECTED, reason="HOLD_FAILURE"), LATER)
    assert (ended.state, ended.filled_units) == (S.CANCELLED, Decimal(10))


def test_a_report_of_another_order_is_refused(ledger: Ledger) -> None:
    order = submitted(ledger)
    other, _ = ledger.plan(intent(instrument="GBPUSD"), AT)
    with pytest.raises(LedgerError, match="the venue reported"):
        ledger.book(order.id, venue_order(other, S.FILLED, fill()), LATER)
    assert ledger.positions() == []


def test_a_fill_cannot_belong_to_two_orders(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.FILLED, fill()), LATER)
    other, _ = ledger.plan(intent(instrument="GBPUSD"), AT)
    ledger.reserve(other.id, "USD", Decimal(0), Decimal(0), AT)
    ledger.transition(other.id, S.SUBMITTING, AT, checkpoint="1")
    with pytest.raises(LedgerError, match=f"belongs to order {order.id}"):
        ledger.book(other.id, venue_order(other, S.FILLED, fill()), LATER)


def test_an_order_never_sent_cannot_be_filled(ledger: Ledger) -> None:
    order = planned(ledger)
    with pytest.raises(IllegalTransitionError):
        ledger.book(order.id, venue_order(order, S.FILLED, fill()), LATER)
    assert ledger.fills(order.id) == []
    assert ledger.positions() == []


def test_a_close_realises_and_leaves_the_position_flat(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.book(order.id, venue_order(order, S.FILLED, fill()), LATER)
    leaving, _ = ledger.plan(intent(leg=Leg.EXIT, side=Side.SELL, reserve_amount=Decimal(0)), AT)
    ledger.reserve(leaving.id, "USD", Decimal(0), Decimal(-5), AT)
    ledger.transition(leaving.id, S.SUBMITTING, AT, checkpoint="1")
    ledger.book(leaving.id, venue_order(leaving, S.FILLED, fill(2, price="1.2282")), LATER)
    (position,) = ledger.positions()
    assert (position.units, position.average_price, position.realised) == (0, None, Decimal("4.0000"))
