"""What OANDA's candles become, and what is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import FixedClock, rfc3339
from ffe.errors import (
    AuthenticationError,
    PermanentSourceError,
    PermissionDeniedError,
    TransientSourceError,
    VenueReadError,
)
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.models import QUOTED_BAR_SCHEMA
from ffe.sources.oanda import OandaSource

EUR = parse_instrument("EURUSD")
START = datetime(2024, 1, 3, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)


def candle(step: int, *, complete: bool = True) -> dict[str, Any]:
    sides = {
        side: {"o": "1.10", "h": "1.30", "l": "1.00", "c": close}
        for side, close in (("mid", "1.20"), ("bid", "1.19"), ("ask", "1.21"))
    }
    time = (START + step * STEP).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    return {"time": time, "volume": 7 + step, "complete": complete, **sides}


def source(client: Any, now: datetime = START + 100 * STEP) -> OandaSource:
    return OandaSource(client, FixedClock(now))


def answer(*candles: dict[str, Any]) -> Any:
    return lambda call: {"instrument": "EUR_USD", "granularity": "M5", "candles": list(candles)}


def test_candles_become_mid_bars_with_both_closes_and_ticks_as_volume(scripted: Any) -> None:
    table = source(scripted(answer(candle(0), candle(1)))).fetch(EUR, Timeframe.M5, START, START + 2 * STEP)
    assert table.schema == QUOTED_BAR_SCHEMA
    assert table.to_pylist()[1] == {
        "time": START + STEP,
        "open": Decimal("1.10"),
        "high": Decimal("1.30"),
        "low": Decimal("1.00"),
        "close": Decimal("1.20"),
        "volume": Decimal(8),
        "bid_close": Decimal("1.19"),
        "ask_close": Decimal("1.21"),
    }


def test_only_complete_candles_are_kept(scripted: Any) -> None:
    table = source(scripted(answer(candle(0), candle(1, complete=False)))).fetch(
        EUR, Timeframe.M5, START, START + 2 * STEP
    )
    assert table.num_rows == 1


def test_bars_outside_the_asked_range_are_left_out(scripted: Any) -> None:
    client = scripted(answer(candle(-1), candle(0), candle(1), candle(2)))
    table = source(client).fetch(EUR, Timeframe.M5, START, START + 2 * STEP)
    assert table.column("time").to_pylist() == [START, START + STEP]


def test_a_request_never_joins_from_to_and_count(scripted: Any) -> None:
    client = scripted(answer(candle(0)))
    source(client).fetch(EUR, Timeframe.M5, START, START + 10 * STEP)
    assert client.calls == [
        {
            "granularity": "M5",
            "price": "MBA",
            "from": rfc3339(START),
            "count": "11",
            "dailyAlignment": "0",
            "alignmentTimezone": "UTC",
        }
    ]


def test_a_long_range_is_read_in_pages_of_at_most_5000(scripted: Any) -> None:
    def pages(call: dict[str, Any]) -> Any:
        first = (datetime.fromisoformat(call["from"]) - START) // STEP
        return {"candles": [candle(step) for step in range(first, min(first + int(call["count"]), 7000))]}

    client = scripted(pages)
    table = source(client, START + 7000 * STEP).fetch(EUR, Timeframe.M5, START, START + 7000 * STEP)
    assert [int(call["count"]) for call in client.calls] == [5000, 2001]
    assert table.num_rows == 7000
    assert table.column("time")[-1].as_py() == START + 6999 * STEP


def test_a_range_that_lies_ahead_asks_nothing(scripted: Any) -> None:
    client = scripted(answer())
    table = source(client, START - STEP).fetch(EUR, Timeframe.M5, START, START + STEP)
    assert (table.num_rows, table.schema, client.calls) == (0, QUOTED_BAR_SCHEMA, [])


def test_duplicates_and_disorder_reach_the_suite(scripted: Any) -> None:
    client = scripted(answer(candle(1), candle(0), candle(0)))
    table = source(client).fetch(EUR, Timeframe.M5, START, START + 4 * STEP)
    assert table.column("time").to_pylist() == [START + STEP, START, START]


def test_a_page_that_goes_backwards_ends_the_fetch(scripted: Any) -> None:
    client = scripted(answer(candle(-3), candle(-2)))
    with pytest.raises(PermanentSourceError, match="ends before that"):
        source(client).fetch(EUR, Timeframe.M5, START, START + STEP)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mid": {"o": "NaN", "h": "1", "l": "1", "c": "1"}}, r"'mid.o' is 'NaN'.*not finite"),
        ({"mid": {"o": "1", "h": "Infinity", "l": "1", "c": "1"}}, r"'mid.h' is 'Infinity'"),
        ({"mid": {"o": "1", "h": "1", "l": "abc", "c": "1"}}, r"'mid.l' is 'abc'"),
        ({"mid": {"o": "1", "h": "1", "l": "1", "c": 1.5}}, r"'mid.c' is 1.5.*float"),
        ({"mid": {"o": "1", "h": "1", "l": "1"}}, r"without field 'mid.c'"),
        ({"mid": "1.1"}, r"without field 'mid.o'"),
        ({"bid": {"c": None}}, r"'bid.c' is None"),
        ({"time": "yesterday"}, r"'time' is 'yesterday'"),
        ({"time": "2024-01-03T12:00:00"}, r"no UTC offset"),
        ({"time": 1704283200}, r"'time' is 1704283200"),
        ({"volume": "1e99"}, r"'volume' is '1e99'"),
        ({"mid": {"o": "1.0000000000000000001", "h": "1", "l": "1", "c": "1"}}, r"open does not fit"),
    ],
)
def test_a_value_that_is_no_exact_number_ends_the_fetch_by_name(
    scripted: Any, change: dict[str, Any], named: str
) -> None:
    client = scripted(answer(candle(0) | change))
    with pytest.raises(PermanentSourceError, match=named):
        source(client).fetch(EUR, Timeframe.M5, START, START + STEP)


@pytest.mark.parametrize("reply", [{}, {"candles": None}, {"candles": "none"}, {"candles": ["text"]}])
def test_a_reply_of_another_shape_is_permanent(scripted: Any, reply: Any) -> None:
    with pytest.raises(PermanentSourceError, match=r"candles|complete"):
        source(scripted(lambda call: reply)).fetch(EUR, Timeframe.M5, START, START + STEP)


def test_a_candle_without_its_complete_flag_is_not_taken_for_complete(scripted: Any) -> None:
    unknown = {key: value for key, value in candle(0).items() if key != "complete"}
    with pytest.raises(PermanentSourceError, match="without field 'complete'"):
        source(scripted(answer(unknown))).fetch(EUR, Timeframe.M5, START, START + STEP)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (VenueReadError("503"), TransientSourceError),
        (VenueReadError("404", transient=False), PermanentSourceError),
        (AuthenticationError("401"), PermanentSourceError),
        (PermissionDeniedError("403"), PermanentSourceError),
    ],
)
def test_a_venue_error_becomes_a_source_error_with_its_cause(scripted: Any, error: Exception, kind: type) -> None:
    with pytest.raises(kind, match=r"oanda 5m bars of EURUSD: \d+") as caught:
        source(scripted(lambda call: error)).fetch(EUR, Timeframe.M5, START, START + STEP)
    assert caught.value.__cause__ is error
