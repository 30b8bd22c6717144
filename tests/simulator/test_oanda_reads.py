"""OANDA's reads: authentication, candles, prices, conversions, the transaction log and what changed since."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ffe.clock import parse_time


def test_a_bad_token_is_401_with_the_venues_body(lab: Any) -> None:
    for header in ("Bearer wrong", "Basic token", ""):
        reply = lab.oanda("GET", "summary", headers={"Authorization": header})
        assert reply.status_code == 401
        assert reply.json() == {"errorMessage": "Insufficient authorization to perform request."}
        assert reply.headers["RequestID"].isdigit()


def test_another_account_is_forbidden(lab: Any) -> None:
    reply = lab.oanda("GET", "/v3/accounts/101-001-9999999-001/summary")
    assert (reply.status_code, reply.json()["errorMessage"]) == (403, "The provided request was forbidden.")


def test_times_are_rfc3339_or_unix_as_asked_and_nothing_else(lab: Any) -> None:
    assert re.fullmatch(r"2026-03-04T14:30:20\.0{9}Z", lab.summary()["createdTime"])
    unix = lab.oanda("GET", "transactions/1", headers={"Accept-Datetime-Format": "UNIX"}).json()
    assert unix["transaction"]["time"] == "1772634620.000000000"
    assert lab.oanda("GET", "openTrades", headers={"Accept-Datetime-Format": "UNIX"}).json()["trades"] == []
    assert lab.oanda("GET", "summary", headers={"Accept-Datetime-Format": "ISO"}).status_code == 400


def test_a_body_that_is_no_json_object_is_400(lab: Any) -> None:
    for content in (b"{", b"[1]"):
        assert lab.oanda("POST", "orders", content=content).status_code == 400
    assert lab.oanda("POST", "orders", json={}).status_code == 400
    limit = {"type": "LIMIT", "instrument": "EUR_USD", "units": "1", "price": "1.0"}
    assert lab.oanda("POST", "orders", json={"order": limit}).status_code == 400
    assert lab.oanda("GET", "summary").json()["lastTransactionID"] == "2"


def test_the_account_and_its_instruments(lab: Any) -> None:
    assert len(lab.oanda("GET", "/v3/accounts").json()["accounts"]) == 1
    every = lab.oanda("GET", "instruments").json()["instruments"]
    assert [row["name"] for row in every] == ["EUR_USD", "GBP_USD", "USD_JPY", "EUR_GBP"]
    yen = lab.oanda("GET", "instruments", params={"instruments": "USD_JPY"}).json()["instruments"][0]
    assert (yen["pipLocation"], yen["displayPrecision"], yen["tradeUnitsPrecision"]) == (-2, 3, 0)
    bad = lab.oanda("GET", "instruments", params={"instruments": "EUR_USD,BTC_USD"})
    assert (bad.status_code, bad.json()["errorMessage"]) == (400, "Invalid value specified for 'instruments'")


def test_prices_carry_home_conversions_when_asked(lab: Any) -> None:
    query = {"instruments": "EUR_GBP,USD_JPY", "includeHomeConversions": "True"}
    body = lab.oanda("GET", "pricing", params=query).json()
    factors = {row["currency"]: row for row in body["homeConversions"]}
    assert sorted(factors) == ["EUR", "GBP", "JPY", "USD"]
    assert (factors["GBP"]["accountGain"], factors["GBP"]["accountLoss"]) == ("1.25000", "1.25020")
    assert factors["JPY"]["accountGain"] == "0.0066662223"
    assert "homeConversions" not in lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"}).json()
    assert lab.oanda("GET", "pricing").status_code == 400


def candles(lab: Any, **query: Any) -> Any:
    return lab.oanda("GET", "/v3/instruments/EUR_USD/candles", params=query)


def test_candles_come_oldest_first_and_only_the_last_is_forming(lab: Any) -> None:
    body = candles(lab, granularity="M5", count=3, price="MBA").json()
    rows = body["candles"]
    assert (body["instrument"], body["granularity"]) == ("EUR_USD", "M5")
    assert [row["time"][11:16] for row in rows] == ["14:20", "14:25", "14:30"]
    assert [row["complete"] for row in rows] == [True, True, False]
    assert rows[0]["mid"] == {"o": "1.10005", "h": "1.10005", "l": "1.10005", "c": "1.10005"}
    assert (rows[0]["bid"]["c"], rows[0]["ask"]["c"], rows[0]["volume"]) == ("1.10000", "1.10010", 12)


def test_candles_of_a_range_and_of_a_count_from_a_time(lab: Any) -> None:
    start, end = "2026-03-04T10:00:00Z", "2026-03-04T10:20:00.000000000Z"
    whole = candles(lab, granularity="M5", **{"from": start, "to": end}).json()["candles"]
    assert [row["time"][11:16] for row in whole] == ["10:00", "10:05", "10:10", "10:15"]
    first = candles(lab, granularity="M5", count=2, **{"from": "1772618400"}).json()["candles"]
    assert [row["time"][11:16] for row in first] == ["10:00", "10:05"]
    before = candles(lab, granularity="M5", count=2, to=end).json()["candles"]
    assert [row["time"][11:16] for row in before] == ["10:10", "10:15"]
    assert all(row["complete"] for row in before)


@pytest.mark.parametrize(
    ("query", "opens"),
    [
        ({}, ["2026-03-02T22:00Z", "2026-03-03T22:00Z"]),
        ({"dailyAlignment": 0, "alignmentTimezone": "UTC"}, ["2026-03-03T00:00Z", "2026-03-04T00:00Z"]),
    ],
)
def test_daily_candles_open_at_the_alignment_hour(lab: Any, query: Any, opens: list[str]) -> None:
    rows = candles(lab, granularity="D", count=2, **query).json()["candles"]
    assert [parse_time(row["time"]) for row in rows] == [parse_time(text.replace("Z", ":00Z")) for text in opens]
    assert [row["complete"] for row in rows] == [True, False]


def test_four_hour_candles_follow_new_york(lab: Any) -> None:
    rows = candles(lab, granularity="H4", count=2).json()["candles"]
    assert [row["time"][11:16] for row in rows] == ["10:00", "14:00"]


def test_a_count_reaches_back_over_a_closure(lab: Any) -> None:
    opened = lab.minute(-9 * 1440)
    rows = candles(lab, granularity="M5", count=5000).json()["candles"]
    assert parse_time(rows[0]["time"]) >= opened
    assert 2500 < len(rows) < 5000


def test_a_count_from_a_moment_gives_the_first_ones_however_many_follow(lab: Any) -> None:
    rows = candles(lab, granularity="M1", count=5000, **{"from": "2026-02-24T00:00:00Z"}).json()["candles"]
    assert len(rows) == 5000
    assert rows[0]["time"].startswith("2026-02-24T00:00:00")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"granularity": "M5", "count": 5001}, "Maximum value for 'count' exceeded"),
        ({"granularity": "M5", "count": 0}, "Invalid value specified for 'count'"),
        ({"granularity": "M5", "count": "many"}, "Invalid value specified for 'count'"),
        ({"granularity": "M7"}, "Invalid value specified for 'granularity'"),
        ({}, "Invalid value specified for 'granularity'"),
        ({"granularity": "M5", "price": "X"}, "Invalid value specified for 'price'"),
        (
            {"granularity": "M5", "to": "2026-03-05T00:00:00Z"},
            "Invalid value specified for 'to'. Time is in the future",
        ),
        ({"granularity": "M5", "from": "yesterday"}, "Invalid value specified for 'from'"),
        ({"granularity": "D", "alignmentTimezone": "Mars/Base"}, "Invalid value specified for 'alignmentTimezone'"),
        (
            {"granularity": "M1", "from": "2026-02-24T00:00:00Z", "to": "2026-03-04T00:00:00Z"},
            "Maximum value for 'count' exceeded",
        ),
        (
            {"granularity": "M5", "count": 2, "from": "2026-03-04T10:00:00Z", "to": "2026-03-04T11:00:00Z"},
            "'count' cannot be specified when 'from' and 'to' are both specified",
        ),
    ],
)
def test_bad_candle_queries_are_refused_in_the_venues_words(lab: Any, query: Any, message: str) -> None:
    reply = candles(lab, **query)
    assert (reply.status_code, reply.json()["errorMessage"]) == (400, message)


def test_candles_of_an_unknown_instrument_are_refused(lab: Any) -> None:
    assert lab.oanda("GET", "/v3/instruments/XAU_USD/candles", params={"granularity": "M5"}).status_code == 400


def test_the_transaction_log_is_read_from_any_id(lab: Any) -> None:
    lab.order(1000, stopLossOnFill={"price": "1.09"})
    rows = lab.oanda("GET", "transactions/sinceid", params={"id": 0}).json()["transactions"]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {row["batchID"] for row in rows[2:]} == {"3"}
    assert lab.oanda("GET", "transactions/sinceid", params={"id": 5}).json()["transactions"] == []
    assert lab.oanda("GET", "transactions/sinceid", params={"id": 6}).status_code == 416
    assert lab.oanda("GET", "transactions/sinceid", params={"id": "x"}).status_code == 400
    assert lab.oanda("GET", "transactions/99").status_code == 404


def test_changes_since_an_id(lab: Any) -> None:
    first = lab.order(1000, stopLossOnFill={"price": "1.09"}).json()["orderFillTransaction"]["id"]
    lab.order(-400)
    changes = lab.oanda("GET", "changes", params={"sinceTransactionID": 5}).json()
    assert [row["id"] for row in changes["changes"]["tradesReduced"]] == [first]
    assert changes["changes"]["tradesReduced"][0]["stopLossOrderID"] == "5"
    lab.order(-600)
    body = lab.oanda("GET", "changes", params={"sinceTransactionID": 7}).json()["changes"]
    assert [row["id"] for row in body["tradesClosed"]] == [first]
    assert [row["type"] for row in body["ordersCancelled"]] == ["STOP_LOSS"]
    assert (body["tradesOpened"], body["tradesReduced"], len(body["transactions"])) == ([], [], 3)
    assert lab.oanda("GET", "changes", params={"sinceTransactionID": 99}).status_code == 416


def test_orders_trades_and_positions_are_found_or_404(lab: Any) -> None:
    trade = lab.order(1000, clientExtensions={"id": "o"}, tradeClientExtensions={"id": "t"}).json()
    trade_id = trade["orderFillTransaction"]["id"]
    assert lab.oanda("GET", "orders/@o").json()["order"]["tradeOpenedID"] == trade_id
    assert lab.oanda("GET", "trades/@t").json()["trade"]["id"] == trade_id
    assert lab.oanda("GET", "positions/EUR_USD").json()["position"]["long"]["units"] == "1000"
    assert lab.oanda("GET", "positions").json()["positions"][0]["instrument"] == "EUR_USD"
    for missing in ("orders/99", "trades/99", "orders/@none"):
        assert lab.oanda("GET", missing).status_code == 404
    assert lab.oanda("GET", "orders", params={"state": "FILLED"}).json()["orders"][0]["id"] == "3"
    assert lab.oanda("GET", "pendingOrders").json()["orders"] == []
    account = lab.oanda("GET", "/v3/accounts/101-001-1234567-001").json()["account"]
    assert [row["id"] for row in account["trades"]] == [trade_id]


def test_pending_orders_are_all_listed_and_orders_only_as_many_as_asked_for(lab: Any) -> None:
    for _ in range(26):
        lab.order(1, stopLossOnFill={"price": "1.09000"}, takeProfitOnFill={"price": "1.11000"})
    assert len(lab.oanda("GET", "pendingOrders").json()["orders"]) == 52
    assert len(lab.oanda("GET", "orders").json()["orders"]) == 50
    assert len(lab.oanda("GET", "orders", params={"count": "3"}).json()["orders"]) == 3


def test_a_trade_that_cannot_be_valued_is_an_error_and_never_worth_nothing(lab: Any) -> None:
    lab.order(1000, instrument="EUR_GBP")
    lab.control("clock", set="2026-01-01T00:00:00Z")
    for path in ("summary", "openTrades"):
        reply = lab.oanda("GET", path)
        assert (reply.status_code, "price" in reply.json()["errorMessage"]) == (503, True)


def test_a_count_that_is_no_number_is_refused(lab: Any) -> None:
    assert lab.oanda("GET", "orders", params={"count": "all"}).status_code == 400


def test_before_the_first_quote_there_is_no_price_and_no_order(lab: Any) -> None:
    lab.control("clock", set="2026-01-01T00:00:00Z")
    assert lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"}).json()["prices"] == []
    assert lab.order(1000).json()["errorCode"] == "INSTRUMENT_PRICE_UNKNOWN"
    assert lab.clock.now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_closed_account_is_not_listed_and_is_forbidden(lab: Any) -> None:
    lab.control("switches", oanda_account_listed=False)
    assert lab.oanda("GET", "/v3/accounts").json() == {"accounts": []}
    reply = lab.oanda("GET", "summary")
    assert (reply.status_code, reply.json()) == (403, {"errorMessage": "The provided request was forbidden."})
