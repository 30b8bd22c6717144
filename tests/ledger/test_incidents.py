"""Failures are kept with their evidence, and a storm of one failure is one row."""

from datetime import timedelta
from typing import Any

import pytest
from builders import AT, planned, reserved

from ffe.errors import LedgerError
from ffe.ledger.incidents import MOST_RUNS, artifact_key, fingerprint
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Incident

DETAILS = {"cycle_id": "c1", "order_id": "o1", "request": "GET /v3", "response": "502 \0", "attempts": [{"after": 0.5}]}


def fail(ledger: Ledger, minutes: int = 0, **changes: Any) -> Incident:
    values = {
        "type": "VenueReadError",
        "message": "try 1 took 3012 ms",
        "traceback": "Traceback",
        "instrument": "EURUSD",
    }
    return ledger.record_incident(at=AT + timedelta(minutes=minutes), **values | changes)


def test_an_incident_keeps_its_evidence(ledger: Ledger) -> None:
    made = fail(ledger, **DETAILS)
    assert ledger.incidents() == [made]
    assert (made.count, made.attempts, made.response) == (1, [{"after": 0.5}], "502 \ufffd")


def test_the_same_failure_within_an_hour_is_counted(ledger: Ledger) -> None:
    fail(ledger)
    again = fail(ledger, minutes=59, message="try 2 took 2999 ms")
    assert (again.count, again.created_at, again.last_at) == (2, AT, AT + timedelta(minutes=59))
    assert len(ledger.incidents()) == 1


def test_after_an_hour_or_elsewhere_it_is_another_incident(ledger: Ledger) -> None:
    first = fail(ledger)
    others = [fail(ledger, minutes=60), fail(ledger, instrument="GBPUSD"), fail(ledger, type="OutcomeUnknownError")]
    assert {made.count for made in (first, *others)} == {1}
    assert len(ledger.incidents()) == 4
    assert len(ledger.incidents(limit=2)) == 2


def test_ids_numbers_and_addresses_do_not_make_two_failures_of_one() -> None:
    said = (
        "decide run 0aa11f5c-9d35-4c1b-8a4e-6f0f4c2b7e11 at 0x7f3a: order 4f5e6d7c8b9a after 12 s",
        "decide run 1bb11f5c-9d35-4c1b-8a4e-6f0f4c2b7e12 at 0x7f9c: order 00aa6d7c8b9a after 9 s",
    )
    assert len({fingerprint("E", None, each) for each in said}) == 1
    assert fingerprint("E", None, "decade facade") != fingerprint("E", None, "decade")


def test_every_run_that_met_the_failure_is_named_as_far_as_there_is_room(ledger: Ledger) -> None:
    for number in range(MOST_RUNS + 2):
        made = fail(ledger, attempts=[{"run": f"run-{number}"}])
    assert made.count == MOST_RUNS + 2
    assert [each["run"] for each in made.attempts] == [f"run-{number}" for number in range(MOST_RUNS)]


def test_what_waited_elsewhere_keeps_its_id_and_its_count(ledger: Ledger) -> None:
    assert fail(ledger, id="f" * 32, count=4).count == 4
    assert fail(ledger, minutes=-5, count=3).count == 7
    (row,) = ledger.incidents()
    assert (row.id, row.created_at, row.last_at) == ("f" * 32, AT, AT)


def test_an_incident_says_where_it_was_and_how_to_repeat_it(ledger: Ledger) -> None:
    where = {"name": "fetch-bars", "run_id": "t1", "flow_run_id": "f1", "batch_id": "b1", "reproduce": "ffe run"}
    documents = {"parameters": {"z": 1, "a": [2]}, "holds": {"orders": []}}
    made = fail(ledger, **where, **documents)
    (kept,) = ledger.incidents()
    assert kept == made
    assert kept.model_dump(include={*where, *documents}) == where | documents


def test_an_incident_is_found_by_id_by_its_run_and_by_its_artifact(ledger: Ledger) -> None:
    first = fail(ledger, id="abcdef" + "0" * 26, run_id="task-run-1", flow_run_id="flow-run-1")
    other = fail(ledger, id="abcdef" + "1" * 26, type="OutcomeUnknownError")
    key = artifact_key(first.type, first.instrument, first.message)
    for text in (first.id, first.id[:7], "task-run-1", "flow-run-1", key):
        assert ledger.incident(text) == first
    assert ledger.incident(other.id[:8]) == other
    for text in ("abc", "zzzzzz", "incident-", "incident-abc"):
        assert ledger.incident(text) is None
    with pytest.raises(LedgerError, match="fits several incidents"):
        ledger.incident("abcdef")


def test_runs_with_incidents_are_named_for_as_long_as_was_asked(ledger: Ledger) -> None:
    fail(ledger, run_id="t1", flow_run_id="f1", attempts=[{"run": "t1"}, "of an older version"])
    fail(ledger, minutes=1, attempts=[{"run": "t2"}])
    assert ledger.runs_with_incidents(AT) == {"t1", "f1", "t2"}
    assert ledger.runs_with_incidents(AT + timedelta(minutes=2)) == set()


def test_the_orders_that_a_failure_may_have_touched_come_with_history_and_reservation(ledger: Ledger) -> None:
    order = reserved(ledger)
    found = ledger.touched(order_id=order.client_order_id)
    (row,) = found["orders"]
    assert (row["id"], row["reservation"]["order_id"]) == (order.id, order.id)
    assert [event["to_state"] for event in row["events"]] == ["PLANNED", "RESERVED"]
    assert ledger.touched(order_id=order.id) == found
    cycle_id = ledger.decision(order.decision_id).cycle_id
    assert ledger.touched(cycle_id=cycle_id) == found
    assert ledger.touched(cycle_id=cycle_id, instrument=order.instrument) == found
    assert ledger.touched(cycle_id=cycle_id, instrument="ETHUSD") == {}
    assert ledger.touched(cycle_id="another", instrument=order.instrument) == found
    assert ledger.touched() == ledger.touched(cycle_id="another") == {}


def test_an_order_without_a_reservation_shows_none(ledger: Ledger) -> None:
    order = planned(ledger)
    (row,) = ledger.touched(order_id=order.id)["orders"]
    assert row["reservation"] is None
