"""Failures are kept with their evidence, and a storm of one failure is one row."""

from datetime import timedelta
from typing import Any

from builders import AT

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
