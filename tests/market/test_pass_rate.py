"""The share of reports that passed, by instrument and day."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ffe.market.models import Timeframe
from ffe.market.pass_rate import pass_rates
from ffe.market.quality import QualityPoint

NOON = datetime(2018, 4, 4, 12, tzinfo=UTC)


def passing(at: datetime = NOON, instrument: str = "BTCUSD") -> QualityPoint:
    return QualityPoint(
        report_id="r",
        batch_id="b",
        instrument=instrument,
        timeframe=Timeframe.M5,
        source="coinbase",
        passed=True,
        critical=(),
        warnings=(),
        age_seconds=1.0,
        checked_at=at,
        duration_ms=1.0,
    )


def failing() -> QualityPoint:
    return passing().model_copy(update={"passed": False})


def test_each_instrument_has_its_share_and_its_days() -> None:
    history = [
        passing(NOON + timedelta(days=2)),
        failing(),
        passing(instrument="EURUSD"),
        passing(),
        passing(),
        passing(),
    ]
    bitcoin, euro = pass_rates(history)
    assert (bitcoin.instrument, bitcoin.passed, bitcoin.reports, bitcoin.share) == ("BTCUSD", 4, 5, 0.8)
    assert bitcoin.days == ((date(2018, 4, 4), 3, 4), (date(2018, 4, 5), 0, 0), (date(2018, 4, 6), 1, 1))
    assert (euro.instrument, euro.share) == ("EURUSD", 1.0)


def test_a_day_without_a_report_is_a_dot_and_not_a_failure() -> None:
    history = [failing(), passing(NOON + timedelta(days=2))]
    assert pass_rates(history)[0].sparkline == "▁·█"


def test_the_day_is_the_utc_day() -> None:
    history = [passing(datetime(2018, 4, 4, 23, 59, 59, tzinfo=UTC)), passing(datetime(2018, 4, 5, tzinfo=UTC))]
    assert [day for day, _, _ in pass_rates(history)[0].days] == [date(2018, 4, 4), date(2018, 4, 5)]


@pytest.mark.parametrize(("failed", "block"), [(0, "█"), (1, "▇"), (50, "▄"), (99, "▁"), (100, "▁")])
def test_only_a_day_without_any_failure_is_a_full_block(failed: int, block: str) -> None:
    assert pass_rates([(failing() if number < failed else passing()) for number in range(100)])[0].sparkline == block


def test_no_history_has_no_rates() -> None:
    assert pass_rates([]) == ()
