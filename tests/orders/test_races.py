"""Two processes at one order, one step apart: what the drills found, each as a story of its own."""

import contextlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from account import Account
from builders import AT, BAR, fill, submitted, venue_order
from scripted import CrashError, ScriptedBroker, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import Order, OrderState, Side
from ffe.orders.resolve import QUIET, resolve
from ffe.orders.units import book_external


def overtake(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, order: Order) -> None:
    """The order's own process books its fill at the last moment before anybody else says what became of it."""
    transition = ledger.transition

    def racing(*args: Any, **kwargs: Any) -> Order:
        ledger.book(order.id, venue_order(order, OrderState.FILLED, fill()), AT)
        return transition(*args, **kwargs)

    monkeypatch.setattr(ledger, "transition", racing)


@pytest.mark.parametrize("unreadable", [0, 9])
@pytest.mark.parametrize("waited", [timedelta(0), QUIET * 2])
def test_a_resolver_that_is_overtaken_leaves_what_was_booked(
    ledger: Ledger, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch, waited: timedelta, unreadable: int
) -> None:
    order = submitted(ledger)
    clock.advance(waited)
    overtake(monkeypatch, ledger, order)
    broker = ScriptedBroker(Venue(dedupes=False), clock, unreadable=unreadable)
    after = resolve(order, ledger, broker, clock, clock.sleep)
    assert (after.state, after.filled_units) == (OrderState.FILLED, Decimal(4000))


def test_a_rejected_resend_that_is_overtaken_leaves_what_was_booked(
    ledger: Ledger, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = submitted(ledger)
    ledger.transition(order.id, OrderState.UNRESOLVED, AT)
    overtake(monkeypatch, ledger, order)
    broker = ScriptedBroker(Venue(dedupes=True), clock, outcomes=["reject"])
    after = resolve(order, ledger, broker, clock, clock.sleep)
    assert (after.state, after.filled_units) == (OrderState.FILLED, Decimal(4000))


def test_what_was_denied_in_the_meantime_is_not_sent_again(
    ledger: Ledger, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = submitted(ledger)
    resending = ledger.resending

    def racing(*args: Any) -> Order:
        monkeypatch.undo()
        ledger.transition(order.id, OrderState.CANCELLED, AT, reason="acknowledged_by_person")
        return resending(*args)

    monkeypatch.setattr(ledger, "resending", racing)
    broker = ScriptedBroker(Venue(dedupes=True), clock)
    after = resolve(order, ledger, broker, clock, clock.sleep)
    assert (after.state, broker.sent) == (OrderState.CANCELLED, 0)


def test_a_close_that_takes_units_of_somebody_else_does_not_turn_ours_around(margin: Account) -> None:
    """Our stop fills unseen, and our close then meets what somebody else holds in the same account."""
    margin.reconcile()
    margin.enter()
    margin.venue.trade("EURUSD", Side.BUY, "4000", at=margin.clock.now())
    margin.venue.hit(margin.resting[0], at=margin.clock.now(), units="4000")
    margin.leave()
    margin.reconcile()
    assert margin.position.units == margin.position.external == 0
    assert margin.agrees


def test_a_trade_by_hand_that_closed_ours_is_booked_whole_or_not_at_all(
    margin: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    margin.reconcile()
    margin.enter()
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.SELL, "4000", at=margin.clock.now())
    margin.venue.end(margin.resting, "CANCELLED")

    def killed(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched, contextlib.suppress(CrashError):
        patched.setattr(margin.ledger, "adopt_protection", killed)
        margin.reconcile()
    after = margin.reconcile()
    assert margin.agrees
    assert margin.position.units == 0
    assert [each.kind for each in after.open] == [DifferenceKind.EXTERNAL_TRADE]


def test_two_first_reconciliations_at_once_begin_at_the_same_place(margin: Account) -> None:
    """Whoever ends last must not move the account past what only the other one has seen."""
    margin.venue.trade("EURUSD", Side.BUY, "60", at=margin.clock.now())

    def other_process(query: str) -> None:
        if query == "checkpoint":
            margin.broker.on_read = lambda query: None
            margin.reconcile()
            margin.venue.trade("EURUSD", Side.SELL, "135", at=margin.clock.now())

    margin.broker.on_read = other_process
    margin.reconcile()
    after = margin.reconcile()
    assert margin.agrees
    assert [each.kind for each in after.open] == [DifferenceKind.EXTERNAL_TRADE]


def test_the_open_entry_is_one_of_the_side_that_is_held(margin: Account) -> None:
    """Two processes on two bars both saw nothing held: a sale of 4000 and a purchase of 1000 leave a short of the sale's."""
    sold = margin.enter(side=Side.SELL, stop_loss=Decimal("1.2301"), take_profit=Decimal("1.2200"))
    margin.clock.sleep(1)
    margin.enter(bars=1, units=Decimal(1000))
    entry = margin.ledger.open_entry(margin.broker.venue, margin.broker.account, "EURUSD")
    assert margin.position.units == -3000
    assert entry is not None
    assert entry.id == sold.id


def test_the_open_entry_is_the_one_that_was_sent_last_not_planned_last(margin: Account) -> None:
    """The first was planned, its process died, and another one carried it on after the second had come and gone."""
    planned, _ = margin.ledger.plan(margin.wanted(bar_close=BAR), margin.clock.now())
    margin.clock.sleep(1)
    margin.enter(bars=1)
    margin.leave(bars=2)
    margin.clock.sleep(1)
    margin.enter()
    entry = margin.ledger.open_entry(margin.broker.venue, margin.broker.account, "EURUSD")
    assert entry is not None
    assert entry.id == planned.id


def test_the_venues_word_on_whose_trade_was_closed_wins_over_any_guess(margin: Account) -> None:
    entry = margin.enter()
    margin.reconcile()
    margin.venue.trade("EURUSD", Side.BUY, "1000", at=margin.clock.now())
    margin.reconcile()
    theirs = fill(90, "600").model_copy(update={"venue_fill_id": "theirs"})
    ours = fill(91, "600").model_copy(update={"venue_fill_id": "ours"})
    assert book_external(margin.desk, "EURUSD", Side.SELL, theirs, "MARKET_ORDER", owner="")
    assert (margin.position.units, margin.position.external) == (4000, 400)
    for news in (True, False):
        owner = entry.client_order_id
        assert book_external(margin.desk, "EURUSD", Side.SELL, ours, "MARKET_ORDER", owner=owner) is news
        assert (margin.position.units, margin.position.external) == (3400, 400)
