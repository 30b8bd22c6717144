"""What may go to the wire: claims against the kill switch and differences, closes against what is held."""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import ACCOUNT, AT, BAR, bare_decision, difference, fill, filled, intent, reserved, venue_order

from ffe.errors import HaltedError, IllegalTransitionError, NothingToCloseError
from ffe.ledger.ledger import Ledger
from ffe.market.models import INSTRUMENTS
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.switch import SwitchState

HERE = Path(__file__).parent
LATER = AT + timedelta(seconds=5)
SYMBOLS = sorted(INSTRUMENTS)[:8]


def worker(name: str, ledger: Ledger, orders: list[Order]) -> subprocess.Popen[str]:
    url = ledger.database.url.render_as_string(hide_password=False)
    command = [sys.executable, str(HERE / name), url, *(order.id for order in orders)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def close_of(ledger: Ledger, leg: Leg = Leg.EXIT, bar: int = 1, **changes: Any) -> Order:
    """A planned close of 0.2 units bought by an entry of the bar before."""
    values: dict[str, Any] = {"side": Side.SELL, "units": Decimal("0.2"), "reserve_amount": Decimal(0)}
    bar_close = BAR + timedelta(minutes=5 * bar)
    return ledger.plan(intent(leg=leg, bar_close=bar_close, **values | changes), AT)[0]


def hold(ledger: Ledger, units: str = "0.2", **changes: Any) -> Order:
    return filled(ledger, fill(units=units, price="7000"), units=Decimal(units), **changes)


def take(ledger: Ledger, order: Order) -> None:
    ledger.reserve(order.id, "USD", Decimal(0), Decimal(0), LATER)


def test_a_claim_keeps_the_checkpoint_and_the_moment(ledger: Ledger) -> None:
    order = reserved(ledger)
    claimed = ledger.claim(order.id, LATER, "6410")
    assert (claimed.state, claimed.checkpoint, claimed.submitted_at) == (OrderState.SUBMITTING, "6410", LATER)
    with pytest.raises(IllegalTransitionError):
        ledger.claim(order.id, LATER, "6411")
    assert ledger.order(order.id) == claimed


def test_a_halted_entry_stays_reserved_and_says_which_state(ledger: Ledger) -> None:
    order = reserved(ledger)
    ledger.set_switch(SwitchState.REDUCE_ONLY, "lost 5.1 %", "daily_loss", AT)
    with pytest.raises(HaltedError, match=r"at reduce-only \(lost 5.1 %\), which stops an entry") as caught:
        ledger.claim(order.id, LATER, "6410")
    assert caught.value.state == "reduce-only"
    assert ledger.order(order.id) == order


def test_a_protective_close_goes_through_a_halt_and_a_decided_one_does_not(ledger: Ledger) -> None:
    hold(ledger, "0.4")
    watched, decided = close_of(ledger, Leg.WATCHED), close_of(ledger, Leg.EXIT)
    take(ledger, watched)
    take(ledger, decided)
    ledger.set_switch(SwitchState.HALT, "stop", "person", AT)
    assert ledger.claim(watched.id, LATER, "1").state is OrderState.SUBMITTING
    with pytest.raises(HaltedError, match="which stops an exit"):
        ledger.claim(decided.id, LATER, "1")


@pytest.mark.parametrize("instrument", ["EURUSD", None])
def test_an_open_difference_stops_an_entry_until_it_is_accepted(ledger: Ledger, instrument: str | None) -> None:
    order = reserved(ledger)
    (found,) = ledger.observe("oanda", ACCOUNT, [difference(instrument=instrument)], AT)
    with pytest.raises(HaltedError, match="the venue holds 4000 EURUSD, the ledger 0") as caught:
        ledger.claim(order.id, LATER, "6410")
    assert caught.value.state == "difference"
    ledger.accept(found.id, LATER, "mine")
    assert ledger.claim(order.id, LATER, "6410").state is OrderState.SUBMITTING


def test_a_difference_never_keeps_anybody_from_leaving(ledger: Ledger) -> None:
    hold(ledger)
    order = close_of(ledger)
    take(ledger, order)
    ledger.observe("oanda", ACCOUNT, [difference(kind=DifferenceKind.UNPROTECTED)], AT)
    assert ledger.claim(order.id, LATER, "1").state is OrderState.SUBMITTING


def test_nothing_held_is_nothing_to_close(ledger: Ledger) -> None:
    bare_decision(ledger)
    order = close_of(ledger)
    with pytest.raises(NothingToCloseError, match="SELL closes nothing: the ledger holds 0 EURUSD"):
        take(ledger, order)
    assert ledger.order(order.id) == order


def test_a_close_to_the_wrong_side_is_refused(ledger: Ledger) -> None:
    hold(ledger)
    with pytest.raises(NothingToCloseError, match=r"BUY closes nothing: the ledger holds 0.2 EURUSD"):
        take(ledger, close_of(ledger, side=Side.BUY))


def test_a_short_is_closed_by_a_buy(ledger: Ledger) -> None:
    hold(ledger, side=Side.SELL)
    order = close_of(ledger, side=Side.BUY)
    take(ledger, order)
    assert ledger.order(order.id).state is OrderState.RESERVED


def test_units_on_their_way_out_are_not_closed_again(ledger: Ledger) -> None:
    hold(ledger)
    first, second = close_of(ledger, Leg.EXIT, units=Decimal("0.15")), close_of(ledger, Leg.WATCHED)
    take(ledger, first)
    with pytest.raises(NothingToCloseError, match=r"0.2 EURUSD to close, 0.05 held \(0.2 less 0.15 on their way out\)"):
        take(ledger, second)
    rest = close_of(ledger, Leg.REPAIR, units=Decimal("0.05"))
    take(ledger, rest)
    assert ledger.order(rest.id).state is OrderState.RESERVED


def test_a_part_filled_close_leaves_only_its_rest_on_the_way(ledger: Ledger) -> None:
    hold(ledger)
    first = close_of(ledger)
    take(ledger, first)
    ledger.claim(first.id, LATER, "1")
    ledger.book(first.id, venue_order(first, OrderState.PARTIAL, fill(2, "0.15", "7100")), LATER)
    with pytest.raises(NothingToCloseError, match=r"0.0[0]? held \(0.05 less 0.05 on their way out\)"):
        take(ledger, close_of(ledger, Leg.WATCHED, units=Decimal("0.05")))
    ledger.book(first.id, venue_order(first, OrderState.CANCELLED), LATER)
    again = close_of(ledger, Leg.REPAIR, units=Decimal("0.05"))
    take(ledger, again)
    assert ledger.order(again.id).state is OrderState.RESERVED


def test_a_booked_close_leaves_nothing_to_close(ledger: Ledger) -> None:
    hold(ledger)
    first, second = close_of(ledger), close_of(ledger, Leg.WATCHED)
    take(ledger, first)
    ledger.claim(first.id, LATER, "1")
    ledger.book(first.id, venue_order(first, OrderState.FILLED, fill(2, "0.2", "7100")), LATER)
    with pytest.raises(NothingToCloseError, match="the ledger holds 0"):
        take(ledger, second)


def test_the_rest_of_a_part_filled_stop_may_be_closed(ledger: Ledger) -> None:
    """It rests at the venue and is cancelled first: nobody here sent it."""
    entry = hold(ledger)
    stop = venue_order(entry, OrderState.PARTIAL, fill(2, "0.15", "6900"), venue_order_id="stop")
    ledger.adopt_protection(entry.id, stop, Side.SELL, LATER)
    order = close_of(ledger, units=Decimal("0.05"))
    take(ledger, order)
    assert ledger.order(order.id).state is OrderState.RESERVED


def test_flattening_closes_also_what_is_not_ours(ledger: Ledger) -> None:
    bare_decision(ledger)
    order = close_of(ledger, Leg.FLATTEN, units=Decimal(7))
    take(ledger, order)
    assert ledger.order(order.id).state is OrderState.RESERVED


def test_two_processes_close_one_position_once(ledger: Ledger) -> None:
    for number, symbol in enumerate(SYMBOLS):
        filled(ledger, fill(number, "0.2", "7000"), instrument=symbol, units=Decimal("0.2"))
    halves = [[close_of(ledger, leg, instrument=symbol) for symbol in SYMBOLS] for leg in (Leg.EXIT, Leg.WATCHED)]
    workers = [worker("closing_worker.py", ledger, half) for half in halves]
    closed = [int(process.communicate(timeout=120)[0]) for process in workers]
    assert [process.returncode for process in workers] == [0, 0]
    assert sum(closed) == len(SYMBOLS), closed
    assert all(position.units in {Decimal(0), Decimal("0.2")} for position in ledger.positions())


def test_no_claim_of_another_process_passes_a_switch_that_was_set(ledger: Ledger) -> None:
    orders = [reserved(ledger, bar_close=BAR - timedelta(minutes=5 * number)) for number in range(24)]
    process = worker("claiming_worker.py", ledger, orders)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    ledger.set_switch(SwitchState.HALT, "stop", "person", AT)
    passed = sum(order.state is OrderState.SUBMITTING for order in ledger.open_orders())
    said = ["claimed", *process.communicate("go on\n", timeout=120)[0].split()]
    assert said == ["claimed"] * passed + ["halted"] * (len(orders) - passed)
    assert 1 <= passed <= len(orders) - 5
