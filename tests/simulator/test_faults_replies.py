"""Replies that are late, wrong, changed or not there, before and after the venue did its work."""

import time
from typing import Any

import pytest

ORDER = "oanda.orders.create"
PRODUCT = "coinbase.products.get"


def set_faults(lab: Any, *faults: dict[str, Any]) -> None:
    lab.control("faults", faults=list(faults))


def times(lab: Any) -> dict[str, str]:
    found: dict[str, str] = lab.coinbase("GET", "time").json()
    return found


ENDINGS = [
    ({"kind": "rate_limit"}, 429),
    ({"kind": "server_error", "status": 500}, 500),
    ({"kind": "server_error", "status": 502, "body": "html"}, 502),
    ({"kind": "server_error", "status": 503, "body": "json"}, 503),
    ({"kind": "server_error", "status": 504}, 504),
    ({"kind": "html"}, 200),
    ({"kind": "empty"}, 201),
    ({"kind": "empty", "status": 200}, 200),
]


@pytest.mark.parametrize(("fault", "status"), ENDINGS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_replaced_reply_hides_whether_the_order_was_taken(
    lab: Any, fault: dict[str, Any], status: int, when: str
) -> None:
    set_faults(lab, {**fault, "route": ORDER, "when": when})
    assert lab.order(100).status_code == status
    assert len(lab.trades()) == (1 if when == "after" else 0)
    assert lab.order(200).status_code == 201


@pytest.mark.parametrize(("fault", "status"), ENDINGS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_is_the_same_at_coinbase(lab: Any, fault: dict[str, Any], status: int, when: str) -> None:
    set_faults(lab, {**fault, "route": "coinbase.orders.create", "when": when})
    body = {
        "client_order_id": "one",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"base_size": "0.01"}},
    }
    assert lab.coinbase("POST", "orders", json=body).status_code == status
    assert len(lab.coinbase("GET", "orders/historical/batch").json()["orders"]) == (1 if when == "after" else 0)


def test_what_is_forbidden_is_answered_in_the_venues_own_words_and_not_done(lab: Any) -> None:
    set_faults(lab, *({"kind": "forbidden", "venue": venue} for venue in ("oanda", "coinbase", "alpha_vantage")))
    assert lab.order(100).status_code == 403
    assert lab.trades() == []
    denied = lab.coinbase("GET", "accounts")
    assert (denied.status_code, denied.json()["error_details"]) == (403, "Missing required scopes")
    assert lab.send("GET", "/alphavantage/query", {}).status_code == 403


def test_a_rate_limit_says_when_to_come_back(lab: Any) -> None:
    route = {"route": "coinbase.time"}
    set_faults(
        lab, {"kind": "rate_limit", "retry_after": 7} | route, {"kind": "rate_limit", "retry_after": None} | route
    )
    replies = [lab.coinbase("GET", "time") for _ in range(2)]
    assert [reply.headers.get("retry-after") for reply in replies] == ["7", None]
    assert replies[0].json() == {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}


def test_alpha_vantage_says_too_many_requests_with_200(lab: Any) -> None:
    set_faults(lab, {"kind": "rate_limit", "route": "alpha_vantage.candles"})
    reply = lab.send("GET", "/alphavantage/query", {})
    assert (reply.status_code, list(reply.json())) == (200, ["Information"])
    assert "1 request per second" in reply.json()["Information"]


def test_an_error_speaks_the_venues_language_or_html(lab: Any) -> None:
    set_faults(lab, {"kind": "server_error", "route": "*", "count": 2})
    assert lab.oanda("GET", "summary").json() == {"errorMessage": "Simulated failure 503"}
    assert lab.coinbase("GET", "time").json() == {"message": "Simulated failure 503"}
    set_faults(lab, {"kind": "server_error", "body": "html", "route": "*"})
    reply = lab.oanda("GET", "summary")
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.text.startswith("<html>")


def test_html_with_200_and_an_empty_reply_are_what_they_say(lab: Any) -> None:
    set_faults(lab, {"kind": "html", "route": "coinbase.time"})
    assert lab.coinbase("GET", "time").text.startswith("<html>")
    set_faults(lab, {"kind": "empty", "route": ORDER})
    reply = lab.order(100)
    assert (reply.content, reply.headers["content-length"]) == (b"", "0")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_holds_the_reply_back(lab: Any, when: str) -> None:
    set_faults(lab, {"kind": "delay", "seconds": 0.15, "route": ORDER, "when": when})
    started = time.monotonic()
    assert lab.order(100).status_code == 201
    assert 0.15 <= time.monotonic() - started < 2
    assert len(lab.trades()) == 1


def test_created_becomes_ok_and_nothing_else_changes(lab: Any) -> None:
    set_faults(lab, {"kind": "ok_for_created", "route": "oanda.*", "count": 2})
    reply = lab.order(100)
    assert reply.status_code == 200
    assert "orderFillTransaction" in reply.json()
    assert lab.oanda("GET", "instruments", params={"instruments": "none"}).status_code == 400


def test_an_extra_field_is_in_every_object(lab: Any) -> None:
    set_faults(lab, {"kind": "extra_field", "route": "oanda.orders.create", "name": "surprise", "value": {"deep": 1}})
    body = lab.order(100).json()
    assert body["surprise"] == body["orderFillTransaction"]["surprise"] == {"deep": 1}
    assert body["orderFillTransaction"]["tradeOpened"]["surprise"] == {"deep": 1}


def alpha_vantage(lab: Any) -> Any:
    query = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "apikey": "AV"}
    return lab.send("GET", "/alphavantage/query", {}, params=query).json()


def test_an_extra_field_is_not_a_time_of_alpha_vantages_series(lab: Any) -> None:
    set_faults(lab, {"kind": "extra_field", "route": "alpha_vantage.candles"})
    body = alpha_vantage(lab)
    assert body["newField"] == body["Meta Data"]["newField"] == "new"
    series = body["Time Series FX (Daily)"]
    assert "newField" not in series
    assert all(row["newField"] == "new" for row in series.values())


def test_alpha_vantage_may_name_a_time_zone_that_nobody_knows(lab: Any) -> None:
    set_faults(lab, {"kind": "unknown_enum", "route": "alpha_vantage.candles"})
    meta = alpha_vantage(lab)["Meta Data"]
    assert meta["6. Time Zone"] == "SOMETHING_NEW"
    assert meta["2. From Symbol"] == "EUR"


def test_an_unknown_enum_value_is_in_the_venues_usual_field_or_a_named_one(lab: Any) -> None:
    set_faults(lab, {"kind": "unknown_enum", "route": ORDER})
    body = lab.order(100).json()
    assert body["orderFillTransaction"]["type"] == body["orderCreateTransaction"]["type"] == "SOMETHING_NEW"
    set_faults(lab, {"kind": "unknown_enum", "route": "coinbase.*", "count": 2})
    assert lab.coinbase("GET", "products/BTC-USD").json()["status"] == "SOMETHING_NEW"
    set_faults(lab, {"kind": "unknown_enum", "route": "*", "field": "currency", "value": "XXX"})
    assert lab.summary()["currency"] == "XXX"


def test_errors_are_not_rewritten(lab: Any) -> None:
    set_faults(lab, {"kind": "extra_field", "route": "coinbase.products.get", "count": None})
    assert "newField" not in lab.coinbase("GET", "products/NO-SUCH").json()
    assert lab.coinbase("GET", "products/BTC-USD").json()["newField"] == "new"


def test_a_maintenance_window_follows_the_venues_clock(lab: Any) -> None:
    window = {"kind": "maintenance", "from": "2026-03-04T14:35:00Z", "until": "2026-03-04T14:45:00Z"}
    set_faults(lab, {**window, "venue": "oanda"})
    seen = []
    for _ in range(4):
        seen.append((lab.oanda("GET", "summary").status_code, lab.coinbase("GET", "time").status_code))
        lab.advance(5)
    assert seen == [(200, 200), (503, 200), (503, 200), (200, 200)]
