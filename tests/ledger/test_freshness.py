"""The newest bars on record and the outcomes of their checks, as a monitor reads them."""

from datetime import datetime, timedelta
from typing import Any

from builders import AT, batch, report

from ffe.ledger.freshness import NewestBars, QualityCount, newest_bars, quality_counts
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, Severity

FIVE = timedelta(minutes=5)


def record(ledger: Ledger, number: int, last_open: datetime, **changed: Any) -> str:
    """Id of a batch with that newest bar, fetched when it closed."""
    made = batch(
        id=f"{number:064}", **{"last_open": last_open, "fetched_at": last_open + FIVE + timedelta(seconds=9)} | changed
    )
    ledger.record_batch(made)
    return made.id


def newest(ledger: Ledger) -> list[NewestBars]:
    with ledger.database.read() as session:
        return newest_bars(session)


def test_a_ledger_without_bars_knows_of_none(ledger: Ledger) -> None:
    assert newest(ledger) == []
    with ledger.database.read() as session:
        assert quality_counts(session, AT) == []


def test_each_instrument_and_timeframe_has_its_newest_bars(ledger: Ledger) -> None:
    record(ledger, 1, AT)
    record(ledger, 2, AT + FIVE)
    record(ledger, 3, AT - FIVE, fetched_at=AT + timedelta(hours=1))  # a backfill, later fetched and older
    record(ledger, 4, AT, timeframe=Timeframe.H1, fetched_at=AT + timedelta(hours=1))
    record(ledger, 5, AT, instrument=parse_instrument("BTCUSD"))
    found = [(bars.instrument, bars.timeframe, bars.bar_close) for bars in newest(ledger)]
    assert found == [
        ("BTCUSD", Timeframe.M5, AT + FIVE),
        ("EURUSD", Timeframe.H1, AT + timedelta(hours=1)),
        ("EURUSD", Timeframe.M5, AT + 2 * FIVE),
    ]


def test_after_a_failover_the_source_that_answered_last_is_named(ledger: Ledger) -> None:
    record(ledger, 1, AT, source="oanda")
    record(ledger, 2, AT + FIVE, source="alpha-vantage")
    assert [bars.source for bars in newest(ledger)] == ["alpha-vantage"]
    record(ledger, 3, AT + 2 * FIVE, source="oanda")
    assert [bars.source for bars in newest(ledger)] == ["oanda"]


def test_bars_from_the_future_do_not_hide_that_nothing_newer_arrives(ledger: Ledger) -> None:
    record(ledger, 1, AT)
    record(ledger, 2, AT + timedelta(days=365), fetched_at=AT + FIVE)
    assert [bars.bar_close for bars in newest(ledger)] == [AT + FIVE]


def test_a_series_that_has_only_bars_from_the_future_is_no_series(ledger: Ledger) -> None:
    record(ledger, 1, AT + timedelta(days=365), fetched_at=AT)
    record(ledger, 2, AT, instrument=parse_instrument("GBPUSD"))
    assert [bars.instrument for bars in newest(ledger)] == ["GBPUSD"]


def test_reports_are_counted_by_series_and_outcome(ledger: Ledger) -> None:
    first = record(ledger, 1, AT)
    other = record(ledger, 2, AT, instrument=parse_instrument("BTCUSD"))
    broken = Finding(check="positive-prices", severity=Severity.CRITICAL, message="close -1 at 15:30")
    for number, (about, findings) in enumerate([(first, ()), (first, ()), (first, (broken,)), (other, ())]):
        ledger.record_quality(report(id=f"{number:032}", batch_id=about, findings=findings))
    with ledger.database.read() as session:
        counts = quality_counts(session, AT)
        later = quality_counts(session, AT + timedelta(microseconds=1))
    assert later == []
    assert counts == [
        QualityCount(instrument="BTCUSD", timeframe=Timeframe.M5, passed=True, reports=1),
        QualityCount(instrument="EURUSD", timeframe=Timeframe.M5, passed=False, reports=1),
        QualityCount(instrument="EURUSD", timeframe=Timeframe.M5, passed=True, reports=2),
    ]
