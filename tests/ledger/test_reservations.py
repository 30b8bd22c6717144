"""Money set aside is never set aside twice, whatever the number of threads, processes or crashes."""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from builders import ACCOUNT, AT, BAR, bare_decision, fill, intent, planned, submitted, venue_order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.errors import IllegalTransitionError, InsufficientAvailableError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Order, OrderState

SHARED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORKER = Path(__file__).parent / "reserving_worker.py"
LATER = AT + timedelta(seconds=5)


def plan_another(ledger: Ledger, number: int, account: str = ACCOUNT) -> Order:
    return ledger.plan(intent(account=account, bar_close=BAR - timedelta(minutes=5 * number)), AT)[0]


def test_of_three_intents_on_what_is_left_of_84_54_one_is_approved(ledger: Ledger) -> None:
    """DEV-68: $84.54 balance, $67.63 reserved, $16.91 left; the order path turns the error into a denial."""
    bare_decision(ledger)
    orders = [plan_another(ledger, number) for number in range(4)]
    ledger.reserve(orders[0].id, "USD", Decimal("67.63"), Decimal("84.54"), AT)
    ledger.reserve(orders[1].id, "USD", Decimal("16.91"), Decimal("84.54"), AT)
    for order in orders[2:]:
        with pytest.raises(InsufficientAvailableError, match=r"16.91 USD needed, 0.00 USD free"):
            ledger.reserve(order.id, "USD", Decimal("16.91"), Decimal("84.54"), AT)
    assert ledger.reserved("oanda", ACCOUNT, "USD") == Decimal("84.54")
    assert [ledger.order(order.id).state for order in orders] == ["RESERVED", "RESERVED", "PLANNED", "PLANNED"]


def test_reserving_twice_holds_once(ledger: Ledger) -> None:
    order = planned(ledger)
    ledger.reserve(order.id, "USD", Decimal(60), Decimal(100), AT)
    ledger.reserve(order.id, "USD", Decimal(60), Decimal(100), AT)
    assert ledger.reserved("oanda", ACCOUNT, "USD") == Decimal(60)
    assert [kept.order_id for kept in ledger.open_reservations()] == [order.id]


def test_an_order_beyond_reserved_cannot_reserve(ledger: Ledger) -> None:
    order = submitted(ledger)
    with pytest.raises(IllegalTransitionError):
        ledger.reserve(order.id, "USD", Decimal(1), Decimal(100), AT)


def test_a_close_needs_nothing_and_always_fits(ledger: Ledger) -> None:
    order = planned(ledger)
    ledger.reserve(order.id, "USD", Decimal(0), Decimal(-5), AT)
    assert ledger.order(order.id).state is OrderState.RESERVED


@pytest.mark.parametrize("ending", [OrderState.REJECTED, OrderState.CANCELLED, OrderState.DENIED])
def test_every_end_gives_the_money_back(ledger: Ledger, ending: OrderState) -> None:
    order = submitted(ledger)
    assert ledger.reserved("oanda", ACCOUNT, "USD") == order.reserve_amount
    ledger.transition(order.id, ending, LATER)
    assert ledger.reserved("oanda", ACCOUNT, "USD") == 0


def test_money_spent_after_the_balance_was_read_is_not_spent_again(ledger: Ledger) -> None:
    order = submitted(ledger, reserve_amount=Decimal(80))
    ledger.book(order.id, venue_order(order, OrderState.FILLED, fill()), LATER)
    second = plan_another(ledger, 1)
    with pytest.raises(InsufficientAvailableError):
        ledger.reserve(second.id, "USD", Decimal(80), Decimal(100), LATER, available_at=AT)
    ledger.reserve(second.id, "USD", Decimal(80), Decimal(100), LATER, available_at=LATER + timedelta(seconds=1))
    assert ledger.reserved("oanda", ACCOUNT, "USD") == Decimal(80)


@SHARED
@given(
    available=st.decimals(min_value=0, max_value=100, places=8),
    amounts=st.lists(st.decimals(min_value="0.00000001", max_value=60, places=18), min_size=1, max_size=6),
)
def test_reservations_never_exceed_what_is_available(
    ledger: Ledger, available: Decimal, amounts: list[Decimal]
) -> None:
    account = uuid4().hex
    bare_decision(ledger)
    taken = Decimal(0)
    for number, amount in enumerate(amounts):
        order = plan_another(ledger, number, account)
        try:
            ledger.reserve(order.id, "USD", amount, available, AT)
            taken += amount
        except InsufficientAvailableError:
            assert taken + amount > available
    assert ledger.reserved("oanda", account, "USD") == taken <= available


def test_four_processes_with_a_hundred_intents_never_overcommit_one_balance(ledger: Ledger) -> None:
    bare_decision(ledger)
    orders = [plan_another(ledger, number) for number in range(100)]
    url = ledger.database.url.render_as_string(hide_password=False)
    shares = [[order.id for order in orders[start::4]] for start in range(4)]
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), url, *share], stdout=subprocess.PIPE, text=True)
        for share in shares
    ]
    approved = sum(int(worker.communicate(timeout=120)[0]) for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert approved == 33, "33 of 3.00 fit into 100.00"
    assert ledger.reserved("oanda", ACCOUNT, "USD") == Decimal(99)
