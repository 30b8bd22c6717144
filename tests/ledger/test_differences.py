"""Differences between venue and ledger: found, settled, accepted."""

from datetime import timedelta

import pytest
from builders import ACCOUNT, AT, difference, dump

from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.orders.differences import Difference, DifferenceKind

LATER = AT + timedelta(minutes=5)
EVENT = difference("t1", kind=DifferenceKind.EXTERNAL_TRADE)
HELD = difference()


def observe(ledger: Ledger, *found: Difference, at_minute: int = 5) -> list[Difference]:
    return ledger.observe("oanda", ACCOUNT, found, AT + timedelta(minutes=at_minute))


def test_what_is_found_is_open_oldest_first(ledger: Ledger) -> None:
    older = difference("GBPUSD", instrument="GBPUSD", found_at=AT - timedelta(minutes=1))
    assert observe(ledger, HELD, older) == [older, HELD]
    assert ledger.differences() == [older, HELD]
    assert all(found.open for found in ledger.differences())


def test_seeing_the_same_again_writes_nothing(ledger: Ledger) -> None:
    observe(ledger, HELD, EVENT)
    before = dump(ledger)
    again = HELD.model_copy(update={"found_at": LATER})
    assert observe(ledger, again, EVENT, at_minute=10) == ledger.differences()
    assert dump(ledger) == before


def test_what_is_gone_is_settled_and_what_comes_back_is_open_again(ledger: Ledger) -> None:
    observe(ledger, HELD)
    assert observe(ledger) == []
    (settled,) = ledger.differences(open_only=False)
    assert (settled.settled_at, settled.settled_how, settled.open) == (LATER, "gone", False)
    back = HELD.model_copy(update={"found_at": LATER})
    assert observe(ledger, back, at_minute=10) == [back]


def test_an_event_stays_open_until_a_person_accepts_it(ledger: Ledger) -> None:
    observe(ledger, EVENT)
    assert observe(ledger) == [EVENT]
    accepted = ledger.accept(EVENT.id[:6], LATER, "sold by hand")
    assert (accepted.settled_at, accepted.settled_how) == (LATER, "accepted: sold by hand")
    assert observe(ledger, EVENT, at_minute=10) == []


def test_what_was_accepted_does_not_come_back(ledger: Ledger) -> None:
    observe(ledger, HELD)
    accepted = ledger.accept(HELD.id, LATER, "mine")
    assert observe(ledger, HELD) == observe(ledger) == observe(ledger, HELD) == []
    assert ledger.differences(open_only=False) == [accepted]


def test_accepting_twice_keeps_the_first_note(ledger: Ledger) -> None:
    observe(ledger, HELD)
    first = ledger.accept(HELD.id, LATER, "mine")
    assert ledger.accept(HELD.id, LATER + timedelta(minutes=1), "other") == first


def test_an_account_is_looked_at_alone(ledger: Ledger) -> None:
    other = difference(account="another")
    ledger.observe("oanda", "another", [other], AT)
    assert observe(ledger) == []
    assert ledger.differences() == [other]


def test_an_instrument_is_blocked_by_its_own_and_by_the_accounts_differences(ledger: Ledger) -> None:
    whole = difference("USD", instrument=None, kind=DifferenceKind.BALANCE)
    observe(ledger, HELD, whole)
    assert {found.id for found in ledger.blocking("oanda", ACCOUNT, "EURUSD")} == {HELD.id, whole.id}
    assert ledger.blocking("oanda", ACCOUNT, "GBPUSD") == [whole]
    assert ledger.blocking("oanda", "another", "EURUSD") == []
    ledger.accept(whole.id, LATER, "transfer")
    assert ledger.blocking("oanda", ACCOUNT, "GBPUSD") == []


def test_a_limit_keeps_the_newest(ledger: Ledger) -> None:
    found = [difference(str(n), found_at=AT + timedelta(minutes=n)) for n in range(3)]
    observe(ledger, *found)
    assert ledger.differences(limit=2) == found[1:]


def test_an_id_that_is_unknown_short_or_ambiguous_is_refused(ledger: Ledger) -> None:
    twins = [HELD.model_copy(update={"id": f"abcdef{end}"}) for end in "12"]
    observe(ledger, *twins)
    with pytest.raises(LedgerError, match="no difference nothing"):
        ledger.accept("nothing", AT, "x")
    with pytest.raises(LedgerError, match="too short for a difference: 6"):
        ledger.accept("abcde", AT, "x")
    with pytest.raises(LedgerError, match="fits several differences: abcdef1, abcdef2"):
        ledger.accept("abcdef", AT, "x")
    assert ledger.accept("abcdef1", AT, "x").id == "abcdef1"
