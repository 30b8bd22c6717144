"""Cycles, bars, quality, model calls and decisions come back as the records that went in."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import AT, BAR, batch, call, decision, linked_decision, record_chain, report, sizing

from ffe.decision.models import Action, Author
from ffe.errors import LedgerError
from ffe.ledger.evidence import batch_of
from ffe.ledger.ledger import Ledger
from ffe.ledger.tables import BarBatchRow
from ffe.market.models import parse_instrument
from ffe.risk.models import Denial


def test_a_cycle_is_opened_once_and_closed_with_its_summary(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    ledger.start_cycle("c" * 32, "live", "1m", AT)
    ledger.start_cycle("e" * 32, "sim", "5m", AT + timedelta(minutes=5))
    ledger.finish_cycle("c" * 32, AT + timedelta(seconds=9), {"orders": 2})
    newest, oldest = ledger.cycles()
    assert newest.finished_at is None
    assert (oldest.mode, oldest.summary, oldest.finished_at) == ("sim", {"orders": 2}, AT + timedelta(seconds=9))


def test_a_cycle_and_a_decision_are_found_by_id(ledger: Ledger) -> None:
    made = record_chain(ledger)
    assert ledger.decision(made.id) == made
    assert ledger.cycle(made.cycle_id).id == made.cycle_id
    with pytest.raises(LedgerError, match="no cycle nowhere"):
        ledger.cycle("nowhere")
    with pytest.raises(LedgerError, match="no decision nowhere"):
        ledger.decision("nowhere")


def test_the_arithmetic_of_a_sizing_comes_back_exactly_and_a_denial_has_none(ledger: Ledger) -> None:
    made = record_chain(ledger)
    assert ledger.sizing(made.id) == sizing()
    denied = decision(id="e" * 32, instrument="GBPUSD")
    ledger.record_decision(denied)
    ledger.record_sizing(denied.id, None, Denial(code="no_balance", reason="0 USD"))
    assert ledger.sizing(denied.id) is None
    assert ledger.sizing("nowhere") is None


def test_the_entry_of_a_reversal_adds_its_arithmetic_to_what_its_close_left_empty(ledger: Ledger) -> None:
    record_chain(ledger)
    reversing = decision(id="f" * 32, instrument="GBPUSD")
    ledger.record_decision(reversing)
    ledger.record_sizing(reversing.id, None)
    assert ledger.sizing(reversing.id) is None
    ledger.record_sizing(reversing.id, sizing())
    assert ledger.sizing(reversing.id) == sizing()
    ledger.record_sizing(reversing.id, sizing().model_copy(update={"units": Decimal(1)}))
    assert ledger.sizing(reversing.id) == sizing()


def test_closing_a_cycle_that_was_never_opened_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no cycle nowhere"):
        ledger.finish_cycle("nowhere", AT, {})


def test_the_same_bytes_are_one_batch(ledger: Ledger) -> None:
    ledger.record_batch(batch())
    ledger.record_batch(batch(fetched_at=AT + timedelta(minutes=1)))
    with ledger.database.read() as session:
        row = session.get(BarBatchRow, "b" * 64)
        assert row is not None
        assert batch_of(row) == batch()


def test_the_same_bytes_under_another_name_are_refused(ledger: Ledger) -> None:
    ledger.record_batch(batch())
    with pytest.raises(LedgerError, match="EURUSD 5m, not GBPUSD 5m"):
        ledger.record_batch(batch(instrument=parse_instrument("GBPUSD")))


def test_model_calls_come_back_to_the_byte_and_in_order(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    first = call(id="1" * 32, raw_text="not json", error="not JSON")
    second = call(started_at=AT + timedelta(seconds=3))
    ledger.record_model_calls("c" * 32, "EURUSD", BAR, [first, second])
    ledger.record_model_calls("c" * 32, "EURUSD", BAR, [first, second])
    assert ledger.model_calls("c" * 32, "EURUSD") == [first, second]
    assert list(ledger.model_calls("c" * 32, "EURUSD")[0].answer_schema["properties"]) == [
        "reasoning",
        "action",
        "confidence",
    ]
    assert ledger.model_calls("c" * 32, "GBPUSD") == []


def test_a_decision_is_recorded_once_and_comes_back_whole(ledger: Ledger) -> None:
    made = record_chain(ledger)
    ledger.record_decision(made)
    ledger.record_quality(report())
    assert ledger.decisions() == [linked_decision()]


def test_a_cycle_decides_once_on_an_instrument(ledger: Ledger) -> None:
    record_chain(ledger)
    with pytest.raises(LedgerError, match="already has a decision on EURUSD"):
        ledger.record_decision(decision(id="e" * 32))


def test_a_hold_without_bars_is_recorded_too(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    closed = decision(bar_close=None, action=Action.HOLD, confidence=100, decided_by=Author.MARKET_HOURS)
    ledger.record_decision(closed)
    assert ledger.decisions(limit=1) == [closed]
