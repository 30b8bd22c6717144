"""Equity marks and their epochs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from builders import ACCOUNT, AT, dump

from ffe.ledger.ledger import Ledger
from ffe.orders.switch import SwitchState

EVER = datetime.min.replace(tzinfo=UTC)


def mark(ledger: Ledger, equity: int, minute: int = 0, currency: str = "USD") -> None:
    ledger.mark_equity("oanda", ACCOUNT, currency, Decimal(equity), AT + timedelta(minutes=minute))


def seen(ledger: Ledger) -> list[int]:
    return [int(found.equity) for found in ledger.equity_marks("oanda", ACCOUNT, EVER)]


def test_a_mark_is_kept_when_the_equity_changed(ledger: Ledger) -> None:
    mark(ledger, 100)
    before = dump(ledger)
    mark(ledger, 100, 5)
    assert dump(ledger) == before
    mark(ledger, 90, 10)
    mark(ledger, 100, 15)
    mark(ledger, 100, 20, "EUR")
    assert seen(ledger) == [100, 90, 100, 100]
    first = ledger.equity_marks("oanda", ACCOUNT, EVER)[0]
    assert (first.venue, first.account, first.currency, first.at) == ("oanda", ACCOUNT, "USD", AT)


def test_marks_begin_where_it_is_asked_for_and_are_of_one_account(ledger: Ledger) -> None:
    mark(ledger, 90, 10)
    mark(ledger, 100, 5)
    ledger.mark_equity("coinbase", "c", "USD", Decimal(7), AT)
    assert seen(ledger) == [100, 90]
    late = ledger.equity_marks("oanda", ACCOUNT, AT + timedelta(minutes=10))
    assert [found.equity for found in late] == [Decimal(90)]


def test_a_person_who_resumes_begins_a_new_count(ledger: Ledger) -> None:
    mark(ledger, 100)
    ledger.set_switch(SwitchState.REDUCE_ONLY, "drawdown", "drawdown", AT)
    mark(ledger, 80, 5)
    assert seen(ledger) == [100, 80]
    ledger.set_switch(SwitchState.NORMAL, "looked at it", "person", AT)
    assert seen(ledger) == []
    mark(ledger, 80, 10)
    assert seen(ledger) == [80]


def test_normal_said_again_or_a_tighter_switch_begins_nothing(ledger: Ledger) -> None:
    ledger.set_switch(SwitchState.NORMAL, "first", "person", AT)
    mark(ledger, 100)
    for state in (SwitchState.NORMAL, SwitchState.HALT, SwitchState.REDUCE_ONLY, SwitchState.FLATTEN):
        ledger.set_switch(state, "moved", "person", AT)
        assert seen(ledger) == [100]
