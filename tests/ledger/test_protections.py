"""An entry's protection: what the venue filled of it, which orders hold it, and who watches."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, AT, BAR, dump, fill, filled, intent, venue_order

from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe
from ffe.orders.models import Fill, Leg, Order, OrderState, Side, client_order_id
from ffe.venues.models import VenueOrder

LATER = AT + timedelta(minutes=7)


def stop(state: OrderState, *fills: Fill, **changes: Any) -> VenueOrder:
    """A stop as the venue tells of it: under an id that nobody here gave it."""
    values = {"client_order_id": "venue-made", "venue_order_id": "sl1", "reason": None} | changes
    return VenueOrder(state=state, fills=fills, **values)


def adopt(ledger: Ledger, entry: Order, report: VenueOrder) -> Order:
    return ledger.adopt_protection(entry.id, report, Side.SELL, LATER)


def test_a_filled_stop_becomes_an_order_of_its_entrys_decision(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    adopted = adopt(ledger, entry, stop(OrderState.FILLED, fill(2, price="1.2240")))
    assert adopted.client_order_id == client_order_id(ACCOUNT, "EURUSD", Timeframe.M5, BAR, Leg.PROTECTION)
    assert (adopted.leg, adopted.side, adopted.state) == (Leg.PROTECTION, Side.SELL, OrderState.FILLED)
    assert (adopted.decision_id, adopted.checkpoint) == (entry.decision_id, entry.checkpoint)
    assert (adopted.units, adopted.filled_units, adopted.average_price) == (4000, 4000, Decimal("1.2240"))
    assert (adopted.venue_order_id, adopted.submitted_at) == ("sl1", None)
    first, last = ledger.order_events(adopted.id)
    assert (first.from_state, first.to_state, first.reason) == (
        None,
        OrderState.ACCEPTED,
        "placed by the venue with its entry",
    )
    assert last.to_state is OrderState.FILLED
    position = ledger.position("oanda", ACCOUNT, "EURUSD")
    assert (position.units, position.realised) == (0, Decimal("-12.8000"))


def test_adopting_again_changes_nothing(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    report = stop(OrderState.FILLED, fill(2, price="1.2240"))
    adopted = adopt(ledger, entry, report)
    before = dump(ledger)
    assert adopt(ledger, entry, report) == adopted
    assert adopt(ledger, entry, stop(OrderState.FILLED, venue_order_id="other")) == adopted
    assert dump(ledger) == before


def test_fills_of_two_venue_orders_go_to_one_order(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    part = adopt(ledger, entry, stop(OrderState.PARTIAL, fill(2, "1000", "1.2240")))
    assert (part.state, part.filled_units) == (OrderState.PARTIAL, 1000)
    rest = adopt(ledger, entry, stop(OrderState.PARTIAL, fill(3, "3000", "1.2318"), venue_order_id="tp1"))
    assert (rest.id, rest.state, rest.filled_units) == (part.id, OrderState.FILLED, 4000)
    assert rest.venue_order_id == "tp1"


def test_a_part_filled_stop_ends_when_an_exit_closes_the_rest(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    part = adopt(ledger, entry, stop(OrderState.PARTIAL, fill(2, "1000", "1.2240")))
    leaving, _ = ledger.plan(intent(leg=Leg.EXIT, side=Side.SELL, units=Decimal(3000)), LATER)
    ledger.reserve(leaving.id, "USD", Decimal(0), Decimal(0), LATER)
    ledger.claim(leaving.id, LATER, "1")
    ledger.book(leaving.id, venue_order(leaving, OrderState.FILLED, fill(3, "3000", "1.2260")), LATER)
    ended = ledger.order(part.id)
    assert (ended.state, ended.reason, ended.filled_units) == (OrderState.CANCELLED, "position_closed", 1000)
    assert ledger.open_orders() == []


def test_a_stop_that_takes_the_last_units_is_filled_whatever_the_venue_calls_it(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    leaving, _ = ledger.plan(intent(leg=Leg.EXIT, side=Side.SELL, units=Decimal(3000)), LATER)
    ledger.reserve(leaving.id, "USD", Decimal(0), Decimal(0), LATER)
    ledger.claim(leaving.id, LATER, "1")
    ledger.book(leaving.id, venue_order(leaving, OrderState.FILLED, fill(3, "3000", "1.2260")), LATER)
    adopted = adopt(ledger, entry, stop(OrderState.CANCELLED, fill(2, "1000", "1.2240")))
    assert adopted.state is OrderState.FILLED


def test_nothing_filled_or_the_entrys_own_side_is_not_adopted(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    with pytest.raises(LedgerError, match=f"protection sl1 of order {entry.id} has no fill to adopt"):
        adopt(ledger, entry, stop(OrderState.ACCEPTED))
    with pytest.raises(LedgerError, match="a BUY does not protect it"):
        ledger.adopt_protection(entry.id, stop(OrderState.FILLED, fill(2)), Side.BUY, LATER)
    assert ledger.orders() == [entry]


def test_a_stop_never_turns_what_is_ours_around(ledger: Ledger) -> None:
    entry, _ = ledger.plan(intent(decision_id=filled(ledger, fill(), instrument="GBPUSD").decision_id), AT)
    adopted = adopt(ledger, entry, stop(OrderState.PARTIAL, fill(2, "10")))
    held = ledger.position("oanda", ACCOUNT, "EURUSD")
    assert (adopted.state, held.units, held.external) == (OrderState.FILLED, 0, -10)


def test_protection_that_stopped_working_is_counted(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    placed = ledger.set_protection(entry.id, ["21", "22"], LATER, "placed")
    assert (placed.protection_ids, placed.dead_protection) == (("21", "22"), 0)
    before = dump(ledger)
    ledger.set_protection(entry.id, ["22", "21"], LATER + timedelta(minutes=1), "seen")
    assert dump(ledger) == before
    gone = ledger.set_protection(entry.id, [], LATER, "cancelled at the venue")
    again = ledger.set_protection(entry.id, ["23"], LATER, "placed again")
    assert (gone.protection_ids, gone.dead_protection) == ((), 2)
    assert (again.protection_ids, again.dead_protection, again.updated_at) == (("23",), 2, LATER)
    events = ledger.order_events(entry.id)
    assert [event.reason for event in events][-3:] == ["placed", "cancelled at the venue", "placed again"]
    assert events[-1].detail == {"protection_ids": ["23"], "before": []}


def test_a_report_with_other_protection_counts_what_it_replaced(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    for ids in (("21",), ("21", "22"), ("23",)):
        booked = ledger.book(entry.id, venue_order(entry, OrderState.FILLED, protection_ids=ids), LATER)
    assert (booked.protection_ids, booked.dead_protection) == (("23",), 2)


def test_an_exit_is_marked_as_watched_once(ledger: Ledger) -> None:
    entry = filled(ledger, fill())
    assert entry.watched is False
    watched = ledger.watch(entry.id, LATER, "nothing can rest at the venue")
    assert watched.watched is True
    assert ledger.watch(entry.id, LATER + timedelta(minutes=1), "again") == watched
    assert ledger.order_events(entry.id)[-1].detail == {"watched": True}


def test_a_trailing_distance_is_kept_with_the_order(ledger: Ledger) -> None:
    entry = filled(ledger, fill(), trailing_distance=Decimal("0.00250"))
    assert entry.trailing_distance == Decimal("0.00250")


def test_the_open_entry_is_the_newest_with_fills_while_units_are_held(ledger: Ledger) -> None:
    assert ledger.open_entry("oanda", ACCOUNT, "EURUSD") is None
    entry = filled(ledger, fill())
    ledger.plan(intent(bar_close=BAR + timedelta(minutes=5)), LATER)
    assert ledger.open_entry("oanda", ACCOUNT, "EURUSD") == entry
    assert ledger.open_entry("oanda", ACCOUNT, "GBPUSD") is None
    adopt(ledger, entry, stop(OrderState.FILLED, fill(2)))
    assert ledger.open_entry("oanda", ACCOUNT, "EURUSD") is None


def test_units_without_an_entry_have_none(ledger: Ledger) -> None:
    filled(ledger, fill(), leg=Leg.FLATTEN, side=Side.SELL)
    assert ledger.open_entry("oanda", ACCOUNT, "EURUSD") is None
