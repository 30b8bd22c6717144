"""The quality history: every report with the batch it judged, newest first."""

from datetime import timedelta

import pytest
from builders import AT, batch, report

from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, Freshness, QualityPoint, Severity

OTHER = "e" * 64
STALE = Freshness(bar_close=AT, age_seconds=3120.0, limit_seconds=900.0, fresh=False, message="52 min old")


@pytest.fixture
def history(ledger: Ledger) -> Ledger:
    """A warning at AT, the same bars stale an hour later, and another instrument's clean batch in between."""
    ledger.record_batch(batch())
    ledger.record_batch(
        batch(id=OTHER, instrument=parse_instrument("BTCUSD"), timeframe=Timeframe.H1, source="coinbase")
    )
    ledger.record_quality(report())
    ledger.record_quality(
        report(id="2" * 32, batch_id=OTHER, findings=(), checked_at=AT + timedelta(minutes=30), duration_ms=7.5)
    )
    finding = Finding(check="freshness", severity=Severity.CRITICAL, message="52 min old")
    ledger.record_quality(
        report(
            id="3" * 32,
            suite="freshness",
            findings=(finding, Finding(check="note", severity=Severity.INFO, message="for the log")),
            checked_at=AT + timedelta(hours=1),
            freshness=STALE,
        )
    )
    return ledger


def test_the_newest_report_comes_first_with_the_batch_it_judged(history: Ledger) -> None:
    stale, clean, warned = history.quality_history()
    assert stale == QualityPoint(
        report_id="3" * 32,
        batch_id="b" * 64,
        instrument="EURUSD",
        timeframe=Timeframe.M5,
        source="oanda",
        passed=False,
        critical=("freshness",),
        warnings=(),
        age_seconds=3120.0,
        checked_at=AT + timedelta(hours=1),
        duration_ms=stale.duration_ms,
    )
    assert (clean.instrument, clean.timeframe, clean.source, clean.duration_ms) == ("BTCUSD", "1h", "coinbase", 7.5)
    assert (clean.passed, clean.critical, clean.warnings, clean.age_seconds) == (True, (), (), None)
    assert (warned.passed, warned.warnings, warned.checked_at) == (True, ("gaps",), AT)


def test_one_instrument_a_limit_and_an_earliest_time_narrow_it(history: Ledger) -> None:
    assert [point.report_id[0] for point in history.quality_history("EURUSD")] == ["3", report().id[0]]
    assert [point.report_id[0] for point in history.quality_history(limit=2)] == ["3", "2"]
    since = AT + timedelta(minutes=30)
    assert [point.report_id[0] for point in history.quality_history(since=since)] == ["3", "2"]
    assert history.quality_history("GBPUSD") == []


def test_reports_of_one_moment_keep_their_order(ledger: Ledger) -> None:
    ledger.record_batch(batch())
    for name in "cab":
        ledger.record_quality(report(id=name * 32))
    assert [point.report_id[0] for point in ledger.quality_history()] == ["a", "b", "c"]


def test_the_report_by_which_bars_passed_for_a_decision_is_found_again(history: Ledger) -> None:
    fresh = Freshness(bar_close=AT, age_seconds=20.0, limit_seconds=900.0, fresh=True, message="20 s old")
    passed = report(id="4" * 32, findings=(), freshness=fresh, checked_at=AT + timedelta(minutes=5))
    history.record_quality(passed)
    assert history.passed_report("b" * 64) == passed
    newer = report(id="5" * 32, findings=(), freshness=fresh, checked_at=AT + timedelta(minutes=10))
    history.record_quality(newer)
    assert history.passed_report("b" * 64) == newer


def test_a_report_on_history_or_a_failed_one_is_none_by_which_bars_passed(history: Ledger) -> None:
    assert history.passed_report("b" * 64) is None
    assert history.passed_report(OTHER) is None


def test_old_bars_of_a_backfill_and_later_checks_are_left_out_when_asked(history: Ledger) -> None:
    assert [point.report_id for point in history.quality_history(backfills=False)] == ["3" * 32]
    until = AT + timedelta(minutes=30)
    assert [point.report_id[0] for point in history.quality_history(until=until)] == [
        "2",
        history.quality_history()[2].report_id[0],
    ]


def test_what_a_check_said_against_the_newest_judged_bars_stands_until_they_are_judged_again(history: Ledger) -> None:
    fresh = Freshness(bar_close=AT, age_seconds=20.0, limit_seconds=900.0, fresh=True, message="20 s old")
    against = Finding(check="cross-check", severity=Severity.CRITICAL, message="3 % apart")
    assert history.disputed("EURUSD", Timeframe.M5, "cross-check") is None
    first = AT + timedelta(minutes=5)
    history.record_quality(report(id="6" * 32, findings=(against,), freshness=fresh, checked_at=first))
    assert history.disputed("EURUSD", Timeframe.M5, "cross-check") == "3 % apart"
    assert history.disputed("EURUSD", Timeframe.M5, "gaps") is None
    assert history.disputed("BTCUSD", Timeframe.M5, "cross-check") is None
    assert history.passed_report("b" * 64) is None
    history.record_quality(report(id="7" * 32, findings=(), freshness=fresh, checked_at=first + timedelta(minutes=5)))
    assert history.disputed("EURUSD", Timeframe.M5, "cross-check") is None
