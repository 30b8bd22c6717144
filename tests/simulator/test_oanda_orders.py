"""OANDA's orders: what fills, what is cancelled after a 201, what is rejected, and what protection does."""

from decimal import Decimal
from typing import Any

import pytest


def reason(reply: Any) -> str:
    assert reply.status_code == 201
    assert "orderFillTransaction" not in reply.json()
    return str(reply.json()["orderCancelTransaction"]["reason"])


def test_a_buy_fills_at_the_ask_and_a_sell_at_the_bid(lab: Any) -> None:
    bought = lab.order(1000).json()["orderFillTransaction"]
    assert bought["tradeOpened"]["price"] == "1.10010"
    sold = lab.order(-1000).json()["orderFillTransaction"]
    assert sold["tradesClosed"][0]["price"] == "1.10000"
    assert sold["pl"] == "-0.1000"
    assert lab.summary()["balance"] == "99999.9000"


def test_stop_and_target_are_orders_of_the_trade(lab: Any) -> None:
    reply = lab.order(1000, stopLossOnFill={"price": "1.09000"}, takeProfitOnFill={"price": "1.11000"}).json()
    assert reply["relatedTransactionIDs"] == ["3", "4", "5", "6"]
    assert reply["lastTransactionID"] == "6"
    trade = lab.trades()[0]
    assert (trade["stopLossOrder"]["price"], trade["takeProfitOrder"]["price"]) == ("1.09000", "1.11000")
    assert lab.summary()["pendingOrderCount"] == 2


def test_the_same_body_sent_twice_fills_twice(lab: Any) -> None:
    for _ in range(2):
        assert "orderFillTransaction" in lab.order(1000, clientExtensions={"id": "same"}).json()
    assert len(lab.trades()) == 2


def test_a_trade_client_id_guards_while_its_trade_is_open(lab: Any) -> None:
    same = {"tradeClientExtensions": {"id": "mine"}}
    lab.order(1000, **same)
    assert reason(lab.order(1000, **same)) == "CLIENT_TRADE_ID_ALREADY_EXISTS"
    assert "orderFillTransaction" in lab.order(-1000, **same).json()
    assert "orderFillTransaction" in lab.order(1000, **same).json()


def test_an_opposite_order_reduces_first_in_first_out_then_opens(lab: Any) -> None:
    first, second = (lab.order(units).json()["orderFillTransaction"]["id"] for units in (300, 200))
    fill = lab.order(-400).json()["orderFillTransaction"]
    assert [part["tradeID"] for part in fill["tradesClosed"]] == [first]
    assert (fill["tradeReduced"]["tradeID"], fill["tradeReduced"]["units"]) == (second, "-100")
    turned = lab.order(-400).json()["orderFillTransaction"]
    assert turned["tradeOpened"]["units"] == "-300"
    assert lab.oanda("GET", "openPositions").json()["positions"][0]["short"]["units"] == "-300"


def test_reduce_only_never_opens(lab: Any) -> None:
    assert reason(lab.order(-500, positionFill="REDUCE_ONLY")) == "INSUFFICIENT_LIQUIDITY"
    lab.order(500)
    assert reason(lab.order(-700, positionFill="REDUCE_ONLY")) == "INSUFFICIENT_LIQUIDITY"
    part = lab.order(-700, positionFill="REDUCE_ONLY", timeInForce="IOC").json()["orderFillTransaction"]
    assert part["units"] == "-500"
    assert lab.trades() == []


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ({"priceBound": "1.10009"}, "BOUNDS_VIOLATION"),
        ({"stopLossOnFill": {"price": "1.10000"}}, "STOP_LOSS_ON_FILL_LOSS"),
        ({"takeProfitOnFill": {"price": "1.10010"}}, "TAKE_PROFIT_ON_FILL_LOSS"),
        ({"units": "4000000"}, "INSUFFICIENT_MARGIN"),
    ],
)
def test_an_accepted_order_is_cancelled_with_the_venues_reason(lab: Any, order: Any, wanted: str) -> None:
    assert reason(lab.order(1000, **order)) == wanted
    assert lab.trades() == []
    assert lab.summary()["balance"] == "100000.0000"


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ({"units": "0"}, "UNITS_INVALID"),
        ({"units": "many"}, "UNITS_INVALID"),
        ({"units": "NaN"}, "UNITS_INVALID"),
        ({"units": "1.5"}, "UNITS_PRECISION_EXCEEDED"),
        ({"units": "0.4"}, "UNITS_MIMIMUM_NOT_MET"),
        ({"units": "100000001"}, "UNITS_LIMIT_EXCEEDED"),
        ({"instrument": "XAU_USD"}, "INSTRUMENT_UNKNOWN"),
        ({"timeInForce": "GTC"}, "TIME_IN_FORCE_INVALID"),
        ({"positionFill": "OPEN_ONLY"}, "ORDER_FILL_POSITION_ACTION_INVALID"),
        ({"priceBound": "1.100001"}, "PRICE_BOUND_PRECISION_EXCEEDED"),
        ({"priceBound": "-1"}, "PRICE_BOUND_INVALID"),
        ({"stopLossOnFill": {"price": "1.090001"}}, "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        ({"takeProfitOnFill": {"price": "1.110001"}}, "TAKE_PROFIT_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        ({"stopLossOnFill": {}}, "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_MISSING"),
        (
            {"stopLossOnFill": {"price": "1.09", "distance": "0.01"}},
            "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_SPECIFIED",
        ),
        ({"stopLossOnFill": {"price": "1.09", "timeInForce": "GFD"}}, "STOP_LOSS_ON_FILL_TIME_IN_FORCE_INVALID"),
        ({"stopLossOnFill": "1.09"}, "STOP_LOSS_ON_FILL_PRICE_INVALID"),
        ({"takeProfitOnFill": {"distance": "0.01"}}, "TAKE_PROFIT_ON_FILL_PRICE_MISSING"),
        ({"trailingStopLossOnFill": {}}, "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MISSING"),
        (
            {"trailingStopLossOnFill": {"distance": "0.00049"}},
            "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET",
        ),
        (
            {"trailingStopLossOnFill": {"distance": "1.00001"}},
            "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MAXIMUM_EXCEEDED",
        ),
        (
            {"trailingStopLossOnFill": {"distance": "0.01", "timeInForce": "GFD"}},
            "TRAILING_STOP_LOSS_ON_FILL_TIME_IN_FORCE_INVALID",
        ),
        ({"clientExtensions": {"id": ""}}, "CLIENT_ORDER_ID_INVALID"),
        ({"tradeClientExtensions": "mine"}, "CLIENT_TRADE_ID_INVALID"),
    ],
)
def test_a_bad_order_is_400_and_a_reject_transaction_of_its_own(lab: Any, order: Any, wanted: str) -> None:
    reply = lab.order(1000, **order)
    body = reply.json()
    assert (reply.status_code, body["errorCode"]) == (400, wanted)
    assert body["orderRejectTransaction"]["rejectReason"] == wanted
    assert lab.oanda("GET", "transactions/sinceid", params={"id": 2}).json()["transactions"] == [
        body["orderRejectTransaction"]
    ]


@pytest.mark.parametrize(("missing", "wanted"), [("instrument", "INSTRUMENT_MISSING"), ("units", "UNITS_MISSING")])
def test_a_missing_field_is_named(lab: Any, missing: str, wanted: str) -> None:
    order = {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}
    del order[missing]
    assert lab.oanda("POST", "orders", json={"order": order}).json()["errorCode"] == wanted


def test_a_client_order_id_of_a_pending_order_is_taken(lab: Any) -> None:
    lab.order(1000, stopLossOnFill={"price": "1.09", "clientExtensions": {"id": "stop-1"}})
    reply = lab.order(1000, clientExtensions={"id": "stop-1"})
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "CLIENT_ORDER_ID_ALREADY_EXISTS")
    assert lab.oanda("GET", "orders/@stop-1").json()["order"]["type"] == "STOP_LOSS"


def test_a_closed_or_halted_market_cancels(lab: Any) -> None:
    lab.market.open = False
    assert reason(lab.order(1000)) == "MARKET_HALTED"
    lab.market.open = True
    lab.control("halt", instrument="EURUSD")
    price = lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"}).json()["prices"][0]
    assert (price["tradeable"], price["status"]) == (False, "non-tradeable")
    assert reason(lab.order(1000)) == "MARKET_HALTED"
    lab.control("resume", instrument="EUR_USD")
    assert "orderFillTransaction" in lab.order(1000).json()


def test_us_accounts_need_a_size_of_its_own_for_a_protected_trade(lab: Any) -> None:
    stop = {"stopLossOnFill": {"price": "1.09000"}}
    lab.order(1000, **stop)
    assert "orderFillTransaction" in lab.order(1000, **stop).json()
    lab.control("switches", oanda_us_account=True)
    assert reason(lab.order(1000, **stop)) == "FIFO_VIOLATION"
    assert "orderFillTransaction" in lab.order(1001, **stop).json()


@pytest.mark.parametrize("wanted", ["ACCOUNT_LOCKED", "POSITION_SIZE_EXCEEDED", "INTERNAL_SERVER_ERROR"])
def test_reasons_that_no_market_makes_can_be_switched_on(lab: Any, wanted: str) -> None:
    lab.control("switches", oanda_cancel_reason=wanted)
    assert reason(lab.order(1000)) == wanted


def test_a_thin_book_refuses_fok_and_fills_ioc_in_part(lab: Any) -> None:
    lab.order(100)
    lab.control("switches", depth={"EURUSD": "300"})
    assert reason(lab.order(-1000)) == "INSUFFICIENT_LIQUIDITY"
    fill = lab.order(-1000, timeInForce="IOC").json()["orderFillTransaction"]
    assert (fill["units"], fill["tradeOpened"]["units"]) == ("-300", "-200")
    lab.control("switches", depth={"EURUSD": "50"})
    part = lab.order(1000, timeInForce="IOC").json()["orderFillTransaction"]
    assert (part["tradeReduced"]["units"], "tradeOpened" in part) == ("50", False)


def test_a_stop_closes_its_trade_at_its_price_and_removes_the_target(lab: Any) -> None:
    lab.order(1000, stopLossOnFill={"price": "1.09000"}, takeProfitOnFill={"price": "1.12000"})
    lab.market.spike("EURUSD", lab.minute(2), "1.08990", "1.10000")
    lab.advance(1)
    assert len(lab.trades()) == 1
    lab.advance(3)
    assert lab.trades() == []
    rows = lab.oanda("GET", "transactions/sinceid", params={"id": 6}).json()["transactions"]
    assert [(row["type"], row["reason"]) for row in rows] == [
        ("ORDER_FILL", "STOP_LOSS_ORDER"),
        ("ORDER_CANCEL", "LINKED_TRADE_CLOSED"),
    ]
    assert rows[0]["tradesClosed"][0]["price"] == "1.09000"
    assert rows[0]["time"] == "2026-03-04T14:32:00.000000000Z"


def test_the_minute_of_the_order_itself_cannot_stop_it(lab: Any) -> None:
    lab.market.spike("EURUSD", lab.minute(0), "1.05000", "1.15000")
    lab.order(1000, stopLossOnFill={"price": "1.09000"}, takeProfitOnFill={"price": "1.12000"})
    lab.advance(5)
    assert len(lab.trades()) == 1


def test_a_gap_through_the_stop_fills_at_the_open_behind_it(lab: Any) -> None:
    lab.order(1000, stopLossOnFill={"price": "1.09000"})
    lab.market.move("EURUSD", "1.05000", "1.05010", lab.minute(3))
    lab.advance(5)
    fill = lab.oanda("GET", "transactions/sinceid", params={"id": 5}).json()["transactions"][0]
    assert fill["tradesClosed"][0]["price"] == "1.05000"


def test_where_both_are_met_in_one_minute_the_stop_came_first(lab: Any) -> None:
    lab.order(-1000, stopLossOnFill={"price": "1.11000"}, takeProfitOnFill={"price": "1.09000"})
    lab.market.spike("EURUSD", lab.minute(1), "1.08000", "1.12000")
    lab.advance(2)
    fill = lab.oanda("GET", "transactions/sinceid", params={"id": 6}).json()["transactions"][0]
    assert fill["reason"] == "STOP_LOSS_ORDER"


def test_a_short_takes_its_profit_at_the_ask(lab: Any) -> None:
    lab.order(-1000, takeProfitOnFill={"price": "1.09000"})
    lab.market.spike("EURUSD", lab.minute(1), "1.08995", "1.10000")
    lab.advance(2)
    assert len(lab.trades()) == 1
    lab.market.spike("EURUSD", lab.minute(1), "1.08990", "1.10000")
    lab.advance(2)
    assert lab.trades() == []


def test_a_halted_instrument_keeps_its_stops_until_it_trades_again(lab: Any) -> None:
    lab.order(1000, stopLossOnFill={"price": "1.09000"})
    lab.control("halt", venue="oanda")
    lab.market.move("EURUSD", "1.08000", "1.08010", lab.minute(1))
    lab.advance(3)
    assert len(lab.trades()) == 1
    lab.control("resume")
    lab.advance(2)
    assert lab.trades() == []


def test_a_trade_is_closed_in_part_and_then_whole(lab: Any) -> None:
    trade = lab.order(1000).json()["orderFillTransaction"]["id"]
    part = lab.oanda("PUT", f"trades/{trade}/close", json={"units": "400"}).json()
    assert part["orderFillTransaction"]["tradeReduced"]["units"] == "-400"
    assert part["orderCreateTransaction"]["tradeClose"] == {"tradeID": trade, "units": "400"}
    whole = lab.oanda("PUT", f"trades/{trade}/close", json={"units": "ALL"})
    assert whole.json()["orderFillTransaction"]["tradesClosed"][0]["units"] == "-600"
    closed = lab.oanda("GET", f"trades/{trade}").json()["trade"]
    assert (closed["state"], closed["averageClosePrice"]) == ("CLOSED", "1.10000")
    again = lab.oanda("PUT", f"trades/{trade}/close", json={"units": "ALL"})
    assert (again.status_code, again.json()["errorCode"]) == (404, "TRADE_DOESNT_EXIST")


@pytest.mark.parametrize(
    ("units", "wanted"),
    [("1001", "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE"), ("0", "UNITS_INVALID"), ("some", "UNITS_INVALID")],
)
def test_a_trade_is_never_closed_beyond_its_size(lab: Any, units: str, wanted: str) -> None:
    trade = lab.order(1000, tradeClientExtensions={"id": "mine"}).json()["orderFillTransaction"]["id"]
    reply = lab.oanda("PUT", "trades/@mine/close", json={"units": units})
    assert (reply.status_code, reply.json()["errorCode"]) == (400, wanted)
    assert [(row["id"], row["currentUnits"]) for row in lab.trades()] == [(trade, "1000")]


def test_a_position_is_closed_by_its_side(lab: Any) -> None:
    close = "positions/EUR_USD/close"
    assert lab.oanda("PUT", close, json={"longUnits": "ALL"}).status_code == 404
    lab.order(300)
    lab.order(200)
    assert lab.oanda("PUT", close, json={}).json()["errorCode"] == "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"
    too_many = lab.oanda("PUT", close, json={"longUnits": "501"}).json()
    assert too_many["errorCode"] == "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE"
    done = lab.oanda("PUT", close, json={"longUnits": "ALL", "shortUnits": "NONE"}).json()
    assert len(done["longOrderFillTransaction"]["tradesClosed"]) == 2
    lab.order(-100)
    assert "shortOrderFillTransaction" in lab.oanda("PUT", close, json={"shortUnits": "ALL"}).json()
    assert lab.oanda("PUT", "positions/XAU_USD/close", json={"longUnits": "ALL"}).status_code == 404


def test_protection_is_set_replaced_and_cancelled(lab: Any) -> None:
    trade = lab.order(1000).json()["orderFillTransaction"]["id"]
    path = f"trades/{trade}/orders"
    first = lab.oanda("PUT", path, json={"stopLoss": {"price": "1.09"}, "takeProfit": {"price": "1.12"}}).json()
    assert first["stopLossOrderTransaction"]["reason"] == "CLIENT_ORDER"
    second = lab.oanda("PUT", path, json={"stopLoss": {"price": "1.095"}}).json()
    assert second["stopLossOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST_REPLACED"
    replaced = second["stopLossOrderCancelTransaction"]["replacedByOrderID"]
    assert replaced == second["stopLossOrderTransaction"]["id"]
    third = lab.oanda("PUT", path, json={"takeProfit": None}).json()
    assert third["takeProfitOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    assert "takeProfitOrder" not in lab.trades()[0]
    bad = lab.oanda("PUT", path, json={"stopLoss": {"price": "1.0900001"}})
    assert (bad.status_code, bad.json()["errorCode"]) == (400, "PRICE_PRECISION_EXCEEDED")
    assert lab.oanda("PUT", "trades/99/orders", json={"stopLoss": None}).status_code == 404


def test_a_stop_may_be_an_order_of_its_own(lab: Any) -> None:
    trade = lab.order(1000).json()["orderFillTransaction"]["id"]
    stop = {"type": "STOP_LOSS", "tradeID": trade, "distance": "0.01000"}
    reply = lab.oanda("POST", "orders", json={"order": stop})
    assert (reply.status_code, reply.json()["orderCreateTransaction"]["price"]) == (201, "1.09010")
    again = lab.oanda("POST", "orders", json={"order": stop})
    assert (again.status_code, again.json()["errorCode"]) == (400, "STOP_LOSS_ORDER_ALREADY_EXISTS")
    stray = lab.oanda("POST", "orders", json={"order": stop | {"tradeID": "99"}})
    assert (stray.status_code, stray.json()["errorCode"]) == (404, "TRADE_DOESNT_EXIST")


def test_a_pending_order_is_cancelled_once(lab: Any) -> None:
    order_id = lab.order(1000, stopLossOnFill={"price": "1.09"}).json()["lastTransactionID"]
    done = lab.oanda("PUT", f"orders/{order_id}/cancel").json()
    assert done["orderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    again = lab.oanda("PUT", f"orders/{order_id}/cancel")
    assert (again.status_code, again.json()["errorCode"]) == (404, "ORDER_DOESNT_EXIST")
    assert lab.oanda("GET", f"orders/{order_id}").json()["order"]["state"] == "CANCELLED"


def test_a_cross_pair_is_margined_and_booked_in_home_currency(lab: Any) -> None:
    fill = lab.order(10000, instrument="EUR_GBP").json()["orderFillTransaction"]
    assert fill["tradeOpened"]["initialMarginRequired"] == "550.0250"
    lab.market.move("EURGBP", "0.89010", "0.89020", lab.minute(0))
    assert Decimal(lab.summary()["unrealizedPL"]) == Decimal(100) * Decimal("1.25")
    lab.order(-10000, instrument="EUR_GBP")
    assert lab.summary()["balance"] == "100125.0000"


def test_yen_profit_converts_through_the_inverse_pair(lab: Any) -> None:
    lab.order(10000, instrument="USD_JPY")
    lab.market.move("USDJPY", "151.010", "151.020", lab.minute(0))
    fill = lab.order(-10000, instrument="USD_JPY").json()["orderFillTransaction"]
    assert fill["pl"] == "66.2164"
    assert lab.summary()["balance"] == "100066.2164"


def test_equity_and_margin_follow_the_market(lab: Any) -> None:
    lab.order(100000)
    lab.market.move("EURUSD", "1.10110", "1.10120", lab.minute(0))
    account = lab.summary()
    assert (account["unrealizedPL"], account["NAV"]) == ("100.0000", "100100.0000")
    used, left = Decimal(account["marginUsed"]), Decimal(account["marginAvailable"])
    assert used == Decimal("3666.8295")
    assert left == Decimal("100100.0000") - used
