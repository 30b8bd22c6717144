"""Each flaw in the bars of each feed, seen by a client that reads the raw reply."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import parse_time
from simulator.faults_bars import FEEDS, flawed, unordered
from simulator.faults_exchange import Request

Read = Callable[[Any], list[tuple[float, dict[str, Any]]]]


def oanda(lab: Any) -> list[tuple[float, dict[str, Any]]]:
    query = {"granularity": "M5", "count": 20, "price": "MBA"}
    rows = lab.oanda("GET", "/v3/instruments/EUR_USD/candles", params=query).json()["candles"]
    return [(parse_time(row["time"]).timestamp(), row) for row in rows]


def coinbase(lab: Any) -> list[tuple[float, dict[str, Any]]]:
    now = int(lab.clock.now().timestamp())
    query = {"start": str(now - 6000), "end": str(now), "granularity": "FIVE_MINUTE"}
    rows = lab.coinbase("GET", "products/BTC-USD/candles", params=query).json()["candles"]
    return [(float(row["start"]), row) for row in reversed(rows)]


def alpha_vantage(lab: Any) -> list[tuple[float, dict[str, Any]]]:
    lab.advance(1)  # the free plan takes one request a second
    query = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "apikey": "AV"}
    rows = lab.send("GET", "/alphavantage/query", {}, params=query).json()["Time Series FX (Daily)"]
    return [(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp(), row) for day, row in reversed(rows.items())]


READS: dict[str, Read] = {"oanda": oanda, "coinbase": coinbase, "alpha_vantage": alpha_vantage}


@pytest.fixture(params=READS)
def feed(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def flaw(lab: Any, feed: str, kind: str, **more: Any) -> tuple[list[float], list[float], list[dict[str, Any]]]:
    """Times without and with the flaw, and the flawed rows."""
    right = READS[feed](lab)
    lab.control("faults", faults=[{"kind": kind, **more}])
    wrong = READS[feed](lab)
    assert READS[feed](lab) == right
    return [at for at, _ in right], [at for at, _ in wrong], [row for _, row in wrong]


def test_stale_bars_lack_the_newest(lab: Any, feed: str) -> None:
    minutes = 1440 if feed == "alpha_vantage" else 30
    right, wrong, _ = flaw(lab, feed, "stale_bars", minutes=minutes)
    assert wrong == [at for at in right if at <= right[-1] - minutes * 60]
    assert 0 < len(wrong) < len(right)


def test_missing_bars_leave_a_hole(lab: Any, feed: str) -> None:
    right, wrong, _ = flaw(lab, feed, "missing_bars", bars=2)
    assert len(wrong) == len(right) - 2
    assert wrong[0] == right[0]
    assert wrong[-1] == right[-1]


def test_a_duplicate_stands_twice(lab: Any, feed: str) -> None:
    right, wrong, _ = flaw(lab, feed, "duplicate_bars")
    assert sorted(set(wrong)) == right
    assert len(wrong) - len(right) == (0 if feed == "alpha_vantage" else 1)


def test_unordered_bars_are_all_there(lab: Any, feed: str) -> None:
    right, wrong, _ = flaw(lab, feed, "unordered_bars")
    assert wrong != right
    assert sorted(wrong) == right


def test_a_future_bar_opens_after_the_newest(lab: Any, feed: str) -> None:
    right, wrong, _ = flaw(lab, feed, "future_bars", minutes=2880)
    assert wrong == [*right, right[-1] + 2880 * 60]


def test_a_bar_without_a_number_is_nan(lab: Any, feed: str) -> None:
    right, wrong, rows = flaw(lab, feed, "nan_bars")
    assert wrong == right
    closes = [closing(feed, row) for row in rows]
    assert [index for index, close in enumerate(closes) if close == "NaN"] == [len(rows) // 2]


def closing(feed: str, row: dict[str, Any]) -> Any:
    return row["mid"]["c"] if feed == "oanda" else row["close" if feed == "coinbase" else "4. close"]


def test_crossed_bars_have_a_low_above_their_high_or_a_bid_above_their_ask(lab: Any, feed: str) -> None:
    midnight = lab.clock.now().replace(hour=0, minute=0, second=0)
    days = [midnight - timedelta(days=ago) for ago in range(9)]
    for minute in (*days, *(lab.minute(-ago) for ago in range(30, 70))):
        lab.market.spike("BTCUSD", minute, "49000", "51000")
        lab.market.spike("EURUSD", minute, "1.05", "1.15")
    right, wrong, rows = flaw(lab, feed, "crossed_bars")
    assert wrong == right
    row = rows[len(rows) // 2]
    if feed == "oanda":
        assert Decimal(row["bid"]["c"]) > Decimal(row["ask"]["c"])
    else:
        high, low = ("high", "low") if feed == "coinbase" else ("2. high", "3. low")
        assert Decimal(row[high]) < Decimal(row[low])


def test_mid_bars_alone_are_crossed_in_their_range() -> None:
    row = {"time": "2026-03-04T14:00:00Z", "mid": {"o": "2", "h": "3", "l": "1", "c": "2"}}
    assert FEEDS["oanda"].crossed(row)["mid"] == {"o": "2", "h": "1", "l": "3", "c": "2"}


def test_unix_times_stay_unix_times(lab: Any) -> None:
    lab.control("faults", faults=[{"kind": "future_bars", "minutes": 60}])
    query, headers = {"granularity": "M5", "count": 5}, {"Accept-Datetime-Format": "UNIX"}
    rows = lab.oanda("GET", "/v3/instruments/EUR_USD/candles", params=query, headers=headers).json()["candles"]
    assert float(rows[-1]["time"]) - float(rows[-2]["time"]) == 3600
    assert all(row["time"].endswith(".000000000") for row in rows)


def test_intraday_times_keep_their_hours() -> None:
    feed = FEEDS["alpha_vantage"]
    body = {"Meta Data": {}, "Time Series FX (5min)": {"2026-03-04 14:05:00": {}, "2026-03-04 14:00:00": {}}}
    assert feed.write(body, feed.read(body)) == body


@pytest.mark.parametrize(
    ("venue", "body"), [("oanda", {"candles": []}), ("alpha_vantage", {"Information": "slower"}), ("coinbase", {})]
)
def test_a_reply_without_bars_passes(venue: str, body: dict[str, Any]) -> None:
    assert flawed(unordered)(body, Request(venue, "", "GET", "/", {}, b""), {}) == body


def test_a_single_bar_has_no_order() -> None:
    body = {"candles": [{"time": "2026-03-04T14:00:00.000000000Z"}]}
    assert flawed(unordered)(body, Request("oanda", "", "GET", "/", {}, b""), {}) == body
