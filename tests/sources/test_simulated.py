"""The real SDKs against the simulator's own candles, through the store and the suite."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from expectations.validate import validate_bars
from ffe.clock import FixedClock, parse_time
from ffe.errors import PermanentSourceError, TransientSourceError
from ffe.market.calendar import calendar_for, lookback_start
from ffe.market.freshness import check_freshness
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.settings import FreshnessSettings
from ffe.sources.coinbase import CoinbaseSource
from ffe.sources.models import to_frame
from ffe.sources.oanda import OandaSource
from ffe.sources.protocol import BarSource
from ffe.sources.store import BarStore
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.wire import Limits

pytestmark = pytest.mark.slow
QUICK = Limits(attempts=2, backoff=0.01, backoff_cap=0.02)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a running simulator prints about itself, its clock halted."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--seed", "7", "--exit-with-stdin"]
    folder = ["--data-dir", str(tmp_path_factory.mktemp("venue")), "--start", "2024-03-20T14:30:20Z"]
    process = subprocess.Popen([*command, *folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        about = json.loads(process.stdout.readline())
        control(about, "clock", {"rate": 0})
        yield about
        process.stdin.close()
        assert process.wait(20) == 0


def control(about: dict[str, Any], name: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {about['control']['token']}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        client.post(f"{about['control']['base_url']}/{name}", json=body).raise_for_status()


@pytest.fixture
def now(venue: dict[str, Any]) -> datetime:
    return parse_time("2024-03-20T14:30:20Z")


@pytest.fixture
def source(venue: dict[str, Any], now: datetime) -> Callable[..., BarSource]:
    def opened(instrument: Instrument, token: str | None = None) -> BarSource:
        about = venue[instrument.venue]
        if instrument.venue == "oanda":
            oanda = OandaClient(about["base_url"], token or about["token"], about["account_id"], QUICK)
            return OandaSource(oanda, FixedClock(now))
        coinbase = CoinbaseClient(about["base_url"], about["api_key"], about["api_secret"], QUICK)
        return CoinbaseSource(coinbase, FixedClock(now))

    return opened


@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.H4])
@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
def test_fetched_bars_are_fresh_pass_the_suite_and_survive_the_store(
    symbol: str, timeframe: Timeframe, source: Callable[..., BarSource], now: datetime, tmp_path: Path
) -> None:
    instrument, store = parse_instrument(symbol), BarStore(tmp_path / "bars")
    calendar = calendar_for(instrument)
    bars = source(instrument).fetch(instrument, timeframe, lookback_start(calendar, timeframe, 200, now), now)
    batch = store.write_batch(instrument, timeframe, instrument.venue, bars, now)
    loaded: pa.Table = store.load(batch)
    report = validate_bars(loaded, batch, now)
    assert loaded.equals(bars)
    assert 190 <= batch.rows <= 200
    assert check_freshness(batch.bar_close, timeframe, now, calendar, FreshnessSettings()).fresh
    assert report.critical == []


def test_a_range_over_several_pages_has_no_seam(source: Callable[..., BarSource], now: datetime) -> None:
    instrument = parse_instrument("BTCUSD")
    start = now - timedelta(minutes=700)
    bars = source(instrument).fetch(instrument, Timeframe.M1, start, now)
    opens = to_frame(bars)["time"]
    assert opens.is_unique
    assert opens.is_monotonic_increasing
    assert bars.num_rows > 690


def test_forex_bars_come_over_the_weekend_without_bars_inside_it(source: Callable[..., BarSource]) -> None:
    instrument = parse_instrument("EURUSD")
    start, end = parse_time("2024-03-15T18:00:00Z"), parse_time("2024-03-18T00:00:00Z")
    bars = source(instrument).fetch(instrument, Timeframe.H1, start, end)
    hours = [f"{at:%a %H}" for at in bars.column("time").to_pylist()]
    assert hours == ["Fri 18", "Fri 19", "Fri 20", "Sun 21", "Sun 22", "Sun 23"]


@pytest.mark.parametrize("symbol", ["AUDUSD", "DOGEUSD"])
def test_an_unknown_product_is_permanent(symbol: str, source: Callable[..., BarSource], now: datetime) -> None:
    instrument = parse_instrument(symbol)
    with pytest.raises(PermanentSourceError, match=symbol):
        source(instrument).fetch(instrument, Timeframe.M5, now - timedelta(hours=1), now)


def test_a_refused_token_is_permanent(source: Callable[..., BarSource], now: datetime) -> None:
    instrument = parse_instrument("EURUSD")
    with pytest.raises(PermanentSourceError, match="401"):
        source(instrument, "revoked").fetch(instrument, Timeframe.M5, now - timedelta(hours=1), now)


@pytest.mark.parametrize("symbol", ["EURUSD", "BTCUSD"])
def test_a_venue_that_is_down_is_transient(
    symbol: str, source: Callable[..., BarSource], venue: dict[str, Any], now: datetime
) -> None:
    instrument = parse_instrument(symbol)
    control(venue, "outage", {"venue": instrument.venue})
    try:
        with pytest.raises(TransientSourceError, match="503"):
            source(instrument).fetch(instrument, Timeframe.M5, now - timedelta(hours=1), now)
    finally:
        control(venue, "resume", {})
