"""Faults of the venue's own state: what the account looks like during and after them."""

from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import parse_time
from simulator.book import Conditions

ORDER, BUY = "oanda.orders.create", "coinbase.orders.create"


def set_faults(lab: Any, *faults: dict[str, Any]) -> None:
    lab.control("faults", faults=list(faults))


def cancel_reason(reply: Any) -> Any:
    return reply.json()["orderCancelTransaction"]["reason"]


def test_a_revoked_key_is_refused_in_the_venues_own_words_until_the_fault_ends(lab: Any) -> None:
    set_faults(lab, {"kind": "revoke_key", "route": "*"})
    oanda = lab.oanda("GET", "summary")
    assert (oanda.status_code, list(oanda.json())) == (401, ["errorMessage"])
    coinbase = lab.coinbase("GET", "accounts")
    assert (coinbase.status_code, coinbase.text) == (401, "Unauthorized\n")
    assert lab.coinbase("GET", "time").status_code == 200
    query = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "apikey": "AV"}
    assert "apikey" in lab.send("GET", "/alphavantage/query", {}, params=query).json()["Error Message"]
    assert lab.order(100).status_code == 401
    set_faults(lab)
    assert lab.trades() == []


def test_a_halt_of_an_instrument_holds_for_its_requests_only(lab: Any) -> None:
    set_faults(lab, {"kind": "halt", "instrument": "EURUSD", "route": ORDER, "skip": 1})
    assert "orderFillTransaction" in lab.order(100, instrument="GBP_USD").json()
    assert cancel_reason(lab.order(100)) == "MARKET_HALTED"
    assert "orderFillTransaction" in lab.order(200).json()
    assert lab.dump()["situation"]["now"]["halted"] == []


def test_a_halt_without_an_instrument_is_the_venues(lab: Any) -> None:
    set_faults(lab, {"kind": "halt", "route": BUY})
    assert lab.buy("one")["error_response"]["error"] == "PRODUCT_TRADING_HALTED"
    assert lab.buy("two")["success"] is True


def test_two_halts_of_one_request_both_hold(lab: Any) -> None:
    names = ("EURUSD", "GBPUSD")
    set_faults(lab, *({"kind": "halt", "instrument": name, "route": "oanda.pricing"} for name in names))
    prices = lab.oanda("GET", "pricing", params={"instruments": "EUR_USD,GBP_USD"}).json()["prices"]
    assert [price["tradeable"] for price in prices] == [False, False]


def test_a_thin_book_fills_in_part(lab: Any) -> None:
    set_faults(lab, {"kind": "thin_book", "instrument": "BTC-USD", "units": "0.004", "route": "coinbase.orders.get"})
    order = lab.bought("one")
    assert (order["status"], order["filled_size"]) == ("CANCELLED", "0.004")
    assert lab.bought("two")["filled_size"] == "0.01"


def test_an_order_is_taken_and_cancelled_with_the_reason_of_the_fault(lab: Any) -> None:
    set_faults(lab, {"kind": "order_cancelled", "reason": "FIFO_VIOLATION"})
    assert cancel_reason(lab.order(100)) == "FIFO_VIOLATION"
    assert "orderFillTransaction" in lab.order(100).json()
    lab.control("switches", oanda_cancel_reason="ACCOUNT_LOCKED")
    assert cancel_reason(lab.order(100)) == "ACCOUNT_LOCKED"


def test_a_thin_book_comes_on_top_of_the_depths_that_are_set(lab: Any) -> None:
    lab.control("switches", depth={"ETHUSD": "5", "BTCUSD": "4"})
    with lab.book.under(Conditions(depth={"BTCUSD": "1"})):
        assert lab.book.switches.depth == {"ETHUSD": "5", "BTCUSD": "1"}
    assert lab.book.switches.depth == {"ETHUSD": "5", "BTCUSD": "4"}


def test_an_accepted_order_fails_later_and_gives_its_hold_back(lab: Any) -> None:
    before = lab.wallets()
    set_faults(lab, {"kind": "async_reject", "reason": "REJECT_REASON_RISK"})
    created = lab.buy("one")
    assert created["success"] is True
    order = lab.read(created["success_response"]["order_id"])
    assert (order["status"], order["reject_reason"], order["filled_size"]) == ("FAILED", "REJECT_REASON_RISK", "0")
    assert lab.wallets() == before
    assert lab.buy("one")["success_response"]["order_id"] == order["order_id"]
    assert lab.bought("two")["status"] == "FILLED"


def test_an_order_that_was_filled_at_once_cannot_be_rejected_any_more(lab: Any) -> None:
    lab.control("switches", coinbase_fill_after_polls=0)
    set_faults(lab, {"kind": "async_reject"})
    assert lab.bought("one")["status"] == "FILLED"


def test_what_was_never_accepted_is_not_rejected_later(lab: Any) -> None:
    set_faults(lab, {"kind": "async_reject"}, {"kind": "html", "route": BUY})
    assert lab.coinbase("POST", "orders", json={}).text.startswith("<html>")
    set_faults(lab, {"kind": "async_reject"})
    assert lab.buy("one", order_configuration={"market_market_ioc": {"base_size": "900"}})["success"] is False


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_price_jumps_at_the_request_and_stays(lab: Any, when: str) -> None:
    set_faults(lab, {"kind": "price_jump", "instrument": "EURUSD", "percent": "-10", "route": ORDER, "when": when})
    fill = lab.order(100).json()["orderFillTransaction"]
    assert Decimal(fill["price"]) == Decimal("0.99009" if when == "before" else "1.10010")
    lab.advance(5)
    lab.restart()
    price = lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"}).json()["prices"][0]
    assert Decimal(price["asks"][0]["price"]) == Decimal("0.99009")
    assert Decimal(price["bids"][0]["price"]) == Decimal("0.99")


def test_a_stop_is_met_by_a_jump(lab: Any) -> None:
    lab.order(100, stopLossOnFill={"price": "1.05000"})
    lab.advance(1)
    set_faults(lab, {"kind": "price_jump", "instrument": "EURUSD", "percent": "-10", "route": "oanda.pricing"})
    lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"})
    assert len(lab.trades()) == 1
    lab.advance(2)
    assert lab.trades() == []


@pytest.mark.parametrize(("offset", "status"), [(30, 200), (-3, 200), (-30, 401), (180, 401), (-180, 401)])
def test_a_clock_that_is_off_refuses_tokens_it_finds_expired_or_early(lab: Any, offset: int, status: int) -> None:
    set_faults(lab, {"kind": "clock_offset", "seconds": offset})
    assert lab.coinbase("GET", "accounts").status_code == status
    assert lab.oanda("GET", "summary").status_code == 200


def test_the_time_of_the_venue_shows_its_offset(lab: Any) -> None:
    set_faults(lab, {"kind": "clock_offset", "seconds": 90})
    told, now = lab.coinbase("GET", "time").json(), lab.clock.now().timestamp()
    assert parse_time(told["iso"]).timestamp() == now + 90
    assert (told["epochSeconds"], told["epochMillis"]) == (str(int(now + 90)), str(int((now + 90) * 1000)))


def test_an_offset_leaves_unreadable_tokens_and_other_venues_to_their_own_checks(lab: Any) -> None:
    set_faults(lab, {"kind": "clock_offset", "seconds": 500, "route": "*"})
    reply = lab.send("GET", "/coinbase/api/v3/brokerage/accounts", {"Authorization": "Bearer nonsense"})
    assert (reply.status_code, reply.text) == (401, "Unauthorized\n")
    assert lab.oanda("GET", "summary").status_code == 200


def test_a_request_without_a_token_has_no_lifetime(lab: Any) -> None:
    set_faults(lab, {"kind": "clock_offset", "seconds": 500})
    assert lab.send("GET", "/coinbase/api/v3/brokerage/market/products", {}).status_code == 200


def test_the_report_is_plain_json(lab: Any) -> None:
    fault = {"kind": "price_jump", "instrument": "EURUSD", "percent": "-10", "route": ORDER}
    shown = lab.control("faults", faults=[fault], seed=1)
    assert shown == {"seed": 1, "faults": [{**fault, "seen": 0, "fired": 0, "left": 1}]}
