"""Names of instruments and timeframes as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import UnknownNameError
from ffe.market.models import INSTRUMENTS, AssetClass, Timeframe, parse_instrument, parse_timeframe
from ffe.market.quality import Finding, QualityReport, Severity


@pytest.mark.parametrize("text", ["BTCUSD", "BTC-USD", "BTC/USD", "btc_usd", "  btcusd "])
def test_every_spelling_of_a_pair_is_the_same_instrument(text: str) -> None:
    assert parse_instrument(text).symbol == "BTCUSD"


def test_each_venue_gets_its_own_spelling() -> None:
    bitcoin, euro = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
    assert (bitcoin.venue, bitcoin.venue_symbol, bitcoin.asset_class) == ("coinbase", "BTC-USD", AssetClass.CRYPTO)
    assert (euro.venue, euro.venue_symbol, euro.asset_class) == ("oanda", "EUR_USD", AssetClass.FOREX)
    assert parse_instrument("ETHUSDC").venue_symbol == "ETH-USDC"


@pytest.mark.parametrize("text", ["", "  ", "BTC-PERP", "BTC-USD-PERP", "USDEUR", "NOTHING"])
def test_what_no_venue_trades_is_refused_with_the_nearest_names(text: str) -> None:
    with pytest.raises(UnknownNameError, match="nearest known") as caught:
        parse_instrument(text)
    assert set(caught.value.nearest) <= set(INSTRUMENTS)


def test_a_timeframe_is_found_by_its_name_only() -> None:
    assert parse_timeframe(" 5M ") is Timeframe.M5
    with pytest.raises(UnknownNameError, match="unknown timeframe '7m'"):
        parse_timeframe("7m")


@given(
    moment=st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    timeframe=st.sampled_from(list(Timeframe)),
)
def test_a_bar_holds_every_moment_that_it_is_the_floor_of(moment: datetime, timeframe: Timeframe) -> None:
    opens = timeframe.floor(moment)
    assert opens <= moment < opens + timeframe.duration
    assert int(opens.timestamp()) % timeframe.seconds == 0
    assert timeframe.duration == timedelta(seconds=timeframe.seconds)


def test_a_report_passes_unless_a_finding_is_critical() -> None:
    found = [Finding(check=severity.value, severity=severity, message="seen") for severity in Severity]
    report = QualityReport(
        id="1",
        batch_id="2",
        suite="bars-5m-v1",
        checks=3,
        findings=tuple(found),
        checked_at=datetime(2024, 1, 1, tzinfo=UTC),
        duration_ms=1.0,
    )
    assert not report.passed
    assert [finding.check for finding in report.critical] == ["critical"]
    assert [finding.check for finding in report.warnings] == ["warning"]
    assert report.model_copy(update={"findings": tuple(found[1:])}).passed
