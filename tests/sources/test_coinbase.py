"""What Coinbase's candles become, and what is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.errors import PermanentSourceError, TransientSourceError, VenueReadError
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.coinbase import CoinbaseSource
from ffe.sources.models import BAR_SCHEMA

BTC = parse_instrument("BTCUSD")
START = datetime(2024, 1, 6, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)


def candle(step: int) -> dict[str, Any]:
    opens = str(int((START + step * STEP).timestamp()))
    return {"start": opens, "low": "1.0", "high": "3.5", "open": "1.5", "close": "2.5", "volume": "0.12345678"}


def feed(call: dict[str, Any]) -> dict[str, Any]:
    """Newest first, and the bucket at `end` itself included, as the public documentation leaves open."""
    first, last = ((datetime.fromtimestamp(int(call[key]), UTC) - START) / STEP for key in ("start", "end"))
    return {"candles": [candle(step) for step in range(int(last), int(first) - 1, -1)]}


def source(client: Any, now: datetime = START + 10_000 * STEP) -> CoinbaseSource:
    return CoinbaseSource(client, FixedClock(now))


def test_newest_first_buckets_become_bars_oldest_first(scripted: Any) -> None:
    table = source(scripted(feed)).fetch(BTC, Timeframe.M5, START, START + 3 * STEP)
    assert table.schema == BAR_SCHEMA
    assert table.column("time").to_pylist() == [START, START + STEP, START + 2 * STEP]
    assert table.to_pylist()[0] | {"time": None} == {
        "time": None,
        "open": Decimal("1.5"),
        "high": Decimal("3.5"),
        "low": Decimal("1.0"),
        "close": Decimal("2.5"),
        "volume": Decimal("0.12345678"),
    }


def test_a_feed_that_is_oldest_first_already_is_left_so(scripted: Any) -> None:
    client = scripted(lambda call: {"candles": [candle(0), candle(1)]})
    table = source(client).fetch(BTC, Timeframe.M5, START, START + 2 * STEP)
    assert table.column("time").to_pylist() == [START, START + STEP]


def test_the_bucket_that_is_still_forming_is_dropped(scripted: Any) -> None:
    now = START + 3 * STEP - timedelta(seconds=1)
    assert source(scripted(feed), now).fetch(BTC, Timeframe.M5, START, now).num_rows == 2
    assert source(scripted(feed), START + 3 * STEP).fetch(BTC, Timeframe.M5, START, START + 3 * STEP).num_rows == 3


def test_a_call_asks_for_at_most_300_buckets_in_unix_seconds(scripted: Any) -> None:
    client = scripted(feed)
    table = source(client).fetch(BTC, Timeframe.M5, START, START + 650 * STEP)
    spans = [(int(call["end"]) - int(call["start"])) // 300 + 1 for call in client.calls]
    assert spans == [300, 300, 50]
    assert table.num_rows == 650
    assert client.calls[0] | {"end": ""} == {
        "product_id": "BTC-USD",
        "start": str(int(START.timestamp())),
        "end": "",
        "granularity": "FIVE_MINUTE",
    }


def test_a_range_that_begins_inside_a_bucket_starts_with_the_next_one(scripted: Any) -> None:
    client = scripted(feed)
    table = source(client).fetch(BTC, Timeframe.M5, START + timedelta(seconds=20), START + 310 * STEP)
    assert table.column("time")[0].as_py() == START + STEP
    assert table.num_rows == 309


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_every_timeframe_has_its_own_granularity(scripted: Any, timeframe: Timeframe) -> None:
    client = scripted(lambda call: {"candles": []})
    assert source(client).fetch(BTC, timeframe, START, START + timeframe.duration).num_rows == 0
    words = {"1m": "ONE_MINUTE", "15m": "FIFTEEN_MINUTE", "30m": "THIRTY_MINUTE", "1h": "ONE_HOUR", "4h": "FOUR_HOUR"}
    assert client.calls[0]["granularity"] == (words | {"5m": "FIVE_MINUTE", "1d": "ONE_DAY"})[timeframe.value]


def test_a_range_that_lies_ahead_asks_nothing(scripted: Any) -> None:
    client = scripted(feed)
    assert source(client, START - STEP).fetch(BTC, Timeframe.M5, START, START + STEP).num_rows == 0
    assert client.calls == []


def test_duplicates_and_disorder_reach_the_suite(scripted: Any) -> None:
    client = scripted(lambda call: {"candles": [candle(3), candle(1), candle(2), candle(2), candle(0)]})
    table = source(client).fetch(BTC, Timeframe.M5, START, START + 4 * STEP)
    assert [(at - START) // STEP for at in table.column("time").to_pylist()] == [0, 2, 2, 1, 3]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"open": "NaN"}, "'open' is 'NaN'"),
        ({"close": "inf"}, "'close' is 'inf'"),
        ({"volume": None}, "'volume' is None"),
        ({"high": 3.5}, "'high' is 3.5"),
        ({"start": "noon"}, "'start' is 'noon'"),
        ({"start": "1e30"}, "'start' is '1e30'"),
    ],
)
def test_a_value_that_is_no_exact_number_ends_the_fetch_by_name(
    scripted: Any, change: dict[str, Any], named: str
) -> None:
    client = scripted(lambda call: {"candles": [candle(0) | change]})
    with pytest.raises(PermanentSourceError, match=named):
        source(client).fetch(BTC, Timeframe.M5, START, START + STEP)


@pytest.mark.parametrize("reply", [{}, {"candles": None}, {"candles": {"0": 1}}])
def test_a_reply_of_another_shape_is_permanent(scripted: Any, reply: Any) -> None:
    with pytest.raises(PermanentSourceError, match="candles"):
        source(scripted(lambda call: reply)).fetch(BTC, Timeframe.M5, START, START + STEP)


def test_a_venue_that_cannot_be_read_is_transient(scripted: Any) -> None:
    error = VenueReadError("502 after 4 tries")
    with pytest.raises(TransientSourceError, match="coinbase 5m bars of BTCUSD: 502 after 4 tries") as caught:
        source(scripted(lambda call: error)).fetch(BTC, Timeframe.M5, START, START + STEP)
    assert caught.value.__cause__ is error
