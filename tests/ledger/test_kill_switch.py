"""The kill switch: who may move it, what it stops, and that nothing slips past it."""

from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest
from builders import AT, dump, reserved
from sqlalchemy import text

from ffe.errors import HaltedError, LedgerError
from ffe.ledger import claims, kill_switch
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Leg, OrderState
from ffe.orders.switch import NEVER_SET, KillSwitch, SwitchState

LATER = AT + timedelta(seconds=5)
# Long enough that a thread which is free to run would have ended.
A_WHILE = 0.3


def in_thread(call: Callable[[], object]) -> tuple[Thread, list[object]]:
    """The started thread, and where its answer or error will be."""
    answers: list[object] = []

    def run() -> None:
        try:
            answers.append(call())
        except LedgerError as error:
            answers.append(error)

    thread = Thread(target=run)
    thread.start()
    return thread, answers


def test_a_switch_that_was_never_set_is_normal(ledger: Ledger) -> None:
    assert ledger.switch() == NEVER_SET
    assert ledger.switch_history() == []


def test_a_person_moves_it_anywhere_and_every_move_is_kept(ledger: Ledger) -> None:
    moves = [SwitchState.HALT, SwitchState.FLATTEN, SwitchState.REDUCE_ONLY, SwitchState.NORMAL, SwitchState.NORMAL]
    lines = [ledger.set_switch(state, f"move {n}", "person", AT) for n, state in enumerate(moves)]
    assert lines[0] == KillSwitch(state=SwitchState.HALT, reason="move 0", by="person", at=AT)
    assert ledger.switch() == lines[-1]
    assert ledger.switch_history() == lines[::-1]
    assert ledger.switch_history(limit=2) == [lines[4], lines[3]]


def test_a_rule_trips_a_normal_switch_and_never_loosens_one(ledger: Ledger) -> None:
    tripped = ledger.set_switch(SwitchState.REDUCE_ONLY, "lost 5.1 % today, limit 5 %", "daily_loss", AT)
    assert (tripped.state, tripped.by) == (SwitchState.REDUCE_ONLY, "daily_loss")
    before = dump(ledger)
    for state in SwitchState:
        assert ledger.set_switch(state, "again", "drawdown", LATER) == tripped
    assert dump(ledger) == before


def test_a_rule_that_asks_for_normal_writes_nothing(ledger: Ledger) -> None:
    assert ledger.set_switch(SwitchState.NORMAL, "fine", "drawdown", AT) == NEVER_SET
    assert ledger.switch_history() == []


def test_its_history_can_be_neither_changed_nor_deleted(ledger: Ledger) -> None:
    ledger.set_switch(SwitchState.HALT, "stop", "person", AT)
    for statement in ("UPDATE kill_switch SET reason = 'x'", "DELETE FROM kill_switch"):
        with pytest.raises(LedgerError, match="append-only"), ledger.database.writing_connection() as connection:
            connection.execute(text(statement))
    assert ledger.switch().reason == "stop"


def test_a_switch_about_to_be_set_makes_a_claim_wait_and_stops_it(ledger: Ledger) -> None:
    order = reserved(ledger)
    with ledger.database.write() as session:
        kill_switch.set_switch(session, SwitchState.HALT, "stop", "person", AT)
        thread, answers = in_thread(lambda: ledger.claim(order.id, LATER, "6410"))
        thread.join(A_WHILE)
        assert thread.is_alive(), "the claim went past a switch that was being set"
    thread.join(30)
    (answer,) = answers
    assert isinstance(answer, HaltedError)
    assert ledger.order(order.id).state is OrderState.RESERVED


def test_a_claim_that_came_first_stands_and_the_switch_waits_for_it(ledger: Ledger) -> None:
    order = reserved(ledger)
    with ledger.database.write() as session:
        claims.claim(session, order.id, AT, "6410")
        thread, answers = in_thread(lambda: ledger.set_switch(SwitchState.HALT, "stop", "person", LATER))
        thread.join(A_WHILE)
        assert thread.is_alive(), "the switch was set while a claim was going through"
    thread.join(30)
    assert answers == [ledger.switch()]
    assert ledger.order(order.id).state is OrderState.SUBMITTING


@pytest.mark.parametrize("state", list(SwitchState))
@pytest.mark.parametrize("leg", list(Leg))
def test_reduce_only_stops_entries_and_a_halt_exits_too(state: SwitchState, leg: Leg) -> None:
    switch = KillSwitch(state=state, reason="r", by="person", at=AT)
    stopped = {
        SwitchState.NORMAL: set(),
        SwitchState.REDUCE_ONLY: {Leg.ENTRY},
        SwitchState.HALT: {Leg.ENTRY, Leg.EXIT},
        SwitchState.FLATTEN: {Leg.ENTRY, Leg.EXIT},
    }
    assert switch.allows(leg) is (leg not in stopped[state])
