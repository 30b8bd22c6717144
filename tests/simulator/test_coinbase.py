"""Coinbase: keys and JWTs, reads, acceptance, matching, holds, brackets, cancels."""

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

LIMITS = {"limit_price": "55000.00", "stop_trigger_price": "45000.00"}
BRACKET = {"attached_order_configuration": {"trigger_bracket_gtc": LIMITS}}


def configured(kind: str, **fields: Any) -> dict[str, Any]:
    return {"order_configuration": {kind: fields}}


def failure(reply: Any) -> str:
    assert reply["success"] is False
    return str(reply["error_response"]["new_order_failure_reason"])


def test_both_key_types_are_verified_for_real(lab: Any) -> None:
    for kind in ("ec", "ed25519"):
        key = lab.venues.coinbase.keys.issue(kind)
        assert lab.coinbase("GET", "accounts", key=key).status_code == 200


def forged(lab: Any, **claims: Any) -> str:
    now, key = int(time.time()), lab.key
    body = {"sub": key.name, "iss": "cdp", "nbf": now, "exp": now + 120} | claims
    body.setdefault("uri", "GET sim/coinbase/api/v3/brokerage/accounts")
    private = serialization.load_pem_private_key(key.secret.encode(), None)
    return jwt.encode(body, private, "ES256", headers={"kid": claims.get("kid", key.name), "nonce": "1"})


@pytest.mark.parametrize(
    "claims",
    [
        {"uri": "POST sim/coinbase/api/v3/brokerage/accounts"},
        {"uri": "GET sim/coinbase/api/v3/brokerage/orders"},
        {"iss": "other"},
        {"sub": "someone"},
        {"exp": int(time.time()) - 60},
        # Far enough away that a long session does not catch up with it.
        {"nbf": int(time.time()) + 1_000_000},
        {"kid": "unknown"},
    ],
)
def test_a_jwt_with_any_wrong_claim_is_unauthorized(lab: Any, claims: Any) -> None:
    header = {"Authorization": f"Bearer {forged(lab, **claims)}"}
    reply = lab.coinbase("GET", "accounts", headers=header)
    assert (reply.status_code, reply.text.strip()) == (401, "Unauthorized")


def test_a_jwt_is_judged_by_the_wall_clock_and_needs_its_scheme(lab: Any) -> None:
    good = forged(lab)
    assert lab.coinbase("GET", "accounts", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    for header in (f"Basic {good}", "Bearer nonsense", ""):
        assert lab.coinbase("GET", "accounts", headers={"Authorization": header}).status_code == 401


def test_a_view_only_key_may_look_and_preview_but_not_trade(lab: Any) -> None:
    key = lab.venues.coinbase.keys.issue(can_trade=False)
    reply = lab.coinbase("POST", "orders", key=key, json={})
    assert reply.status_code == 403
    assert '"error_details":"Missing required scopes"' in reply.text
    assert lab.coinbase("GET", "key_permissions", key=key).json()["can_trade"] is False
    assert lab.coinbase("POST", "orders/preview", key=key, json={}).status_code == 400


def test_a_key_that_may_move_money_out_says_so(lab: Any) -> None:
    key = lab.venues.coinbase.keys.issue(can_transfer=True)
    assert lab.coinbase("GET", "key_permissions", key=key).json()["can_transfer"] is True


def test_an_account_that_was_closed_shows_in_its_wallets_and_portfolio(lab: Any) -> None:
    lab.control("switches", coinbase_account_active=False)
    wallets = lab.coinbase("GET", "accounts").json()["accounts"]
    assert {(each["active"], each["ready"]) for each in wallets} == {(False, False)}
    assert lab.coinbase("GET", "portfolios").json()["portfolios"][0]["deleted"] is True


def test_reads_accept_a_body_repeated_keys_and_carry_rate_limits(lab: Any) -> None:
    query = [("product_ids", "BTC-USD"), ("product_ids", "ETH-USD")]
    reply = lab.coinbase("GET", "best_bid_ask", params=query, json={})
    assert [book["product_id"] for book in reply.json()["pricebooks"]] == ["BTC-USD", "ETH-USD"]
    assert reply.headers["x-ratelimit-limit"] == "30"
    assert lab.coinbase("POST", "orders", content=b"{").status_code == 400


def test_time_and_market_data_are_public(lab: Any) -> None:
    body = lab.send("GET", "/coinbase/api/v3/brokerage/time", {}).json()
    assert body == {"iso": "2026-03-04T14:30:20.000000Z", "epochSeconds": "1772634620", "epochMillis": "1772634620000"}
    assert lab.send("GET", "/coinbase/api/v3/brokerage/market/products/BTC-USD", {}).status_code == 200
    assert lab.send("GET", "/coinbase/api/v3/brokerage/products/BTC-USD", {}).status_code == 401


def test_accounts_are_paged(lab: Any) -> None:
    first = lab.coinbase("GET", "accounts", params={"limit": 3}).json()
    assert (first["has_next"], first["size"]) == (True, 3)
    rest = lab.coinbase("GET", "accounts", params={"limit": 3, "cursor": first["cursor"]}).json()
    assert (rest["has_next"], rest["cursor"]) == (False, "")
    names = [row["currency"] for row in first["accounts"] + rest["accounts"]]
    assert names == ["USD", "BTC", "ETH", "USDC"]
    assert lab.coinbase("GET", "accounts", params={"limit": "x"}).status_code == 400


def test_products_say_their_rules_and_halts(lab: Any) -> None:
    rows = lab.coinbase("GET", "products").json()["products"]
    assert [row["product_id"] for row in rows] == ["BTC-USD", "ETH-USD"]
    assert (rows[0]["price"], rows[0]["trading_disabled"]) == ("50000.10", False)
    lab.control("halt", instrument="BTC-USD")
    assert lab.coinbase("GET", "products/BTC-USD").json()["trading_disabled"] is True
    assert lab.coinbase("GET", "products/DOGE-USD").status_code == 404


def test_candles_are_newest_first_with_the_forming_one(lab: Any) -> None:
    now = int(lab.clock.now().timestamp())
    query = {"start": str(now - 620), "end": str(now), "granularity": "FIVE_MINUTE"}
    rows = lab.coinbase("GET", "products/BTC-USD/candles", params=query).json()["candles"]
    assert [int(row["start"]) - now for row in rows] == [-20, -320, -620]
    assert rows[0]["volume"] == "12.5"
    query = query | {"start": str(now + 1000), "end": str(now + 2000)}
    assert lab.coinbase("GET", "products/BTC-USD/candles", params=query).json()["candles"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"start": "0", "end": "105301", "granularity": "FIVE_MINUTE"},
        {"start": "300", "end": "0", "granularity": "FIVE_MINUTE"},
        {"start": "now", "end": "300", "granularity": "FIVE_MINUTE"},
        {"start": "0", "end": "300", "granularity": "ONE_WEEK"},
        {"start": "0", "end": "300", "granularity": "FIVE_MINUTE", "limit": "all"},
    ],
)
def test_bad_candle_queries_are_400(lab: Any, query: Any) -> None:
    assert lab.coinbase("GET", "products/BTC-USD/candles", params=query).status_code == 400


def test_success_is_acceptance_and_the_first_read_shows_the_fill(lab: Any) -> None:
    accepted = lab.buy("a")["success_response"]
    assert lab.wallets()["USD"] == (Decimal("9496.998994"), Decimal("503.001006"))
    order = lab.read(accepted["order_id"])
    assert (order["status"], order["filled_size"], order["average_filled_price"]) == (
        "FILLED",
        "0.01",
        "50000.10000000",
    )
    assert order["total_fees"] == "3.00000600"
    assert lab.wallets() == {
        "USD": (Decimal("9496.998994"), 0),
        "BTC": (Decimal("0.01"), 0),
        "ETH": (0, 0),
        "USDC": (0, 0),
    }


def test_a_fill_waits_for_as_many_reads_as_asked_or_two_seconds(lab: Any) -> None:
    lab.control("switches", coinbase_fill_after_polls=2)
    order_id = lab.buy("a")["success_response"]["order_id"]
    assert [lab.read(order_id)["status"] for _ in range(2)] == ["PENDING", "FILLED"]
    second = lab.buy("b")["success_response"]["order_id"]
    lab.advance(0.05)
    assert lab.wallets()["BTC"] == (Decimal("0.02"), 0)
    assert lab.read(second)["status"] == "FILLED"
    lab.control("switches", coinbase_fill_after_polls=0)
    lab.buy("c")
    assert lab.wallets()["BTC"] == (Decimal("0.03"), 0)


def test_the_same_client_id_returns_the_first_order(lab: Any) -> None:
    first = lab.buy("same")
    assert lab.buy("same", side="SELL") == first
    assert len(lab.coinbase("GET", "orders/historical/batch").json()["orders"]) == 1
    lab.control("switches", coinbase_duplicate_error=True)
    assert failure(lab.buy("same")) == "DUPLICATE_CLIENT_ORDER_ID"


def test_a_quote_sized_buy_rounds_its_size_down(lab: Any) -> None:
    order = lab.bought("a", **configured("market_market_ioc", quote_size="100.00"))
    assert (order["filled_size"], order["status"]) == ("0.00199999", "FILLED")
    assert Decimal(order["filled_value"]) <= 100
    assert order["size_in_quote"] is True


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"product_id": "DOGE-USD"}, "INVALID_PRODUCT_ID"),
        (configured("market_market_ioc", base_size="0.000000001"), "INVALID_SIZE_PRECISION"),
        (configured("market_market_ioc", quote_size="10.001"), "INVALID_SIZE_PRECISION"),
        (configured("market_market_ioc", base_size="1"), "INSUFFICIENT_FUND"),
        (configured("limit_limit_gtc", base_size="0.01", limit_price="50000.001"), "INVALID_PRICE_PRECISION"),
        (configured("twap_limit_gtd", base_size="0.01"), "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"side": "SELL"} | configured("market_market_ioc", quote_size="100"), "UNSUPPORTED_ORDER_CONFIGURATION"),
        (
            configured("limit_limit_gtc", base_size="0.01", limit_price="60000", post_only=True),
            "INVALID_LIMIT_PRICE_POST_ONLY",
        ),
        (configured("trigger_bracket_gtc", base_size="0.01", **LIMITS), "BRACKET_ORDER_NOT_SUPPORTED"),
        (
            {"side": "SELL"}
            | configured("trigger_bracket_gtc", base_size="0.01", limit_price="49000", stop_trigger_price="45000"),
            "INVALID_BRACKET_PRICES",
        ),
        ({"side": "SELL"} | BRACKET, "INVALID_ORDER_SIDE_FOR_ATTACHED_TPSL"),
        (
            {"attached_order_configuration": {"trigger_bracket_gtc": LIMITS | {"base_size": "0.01"}}},
            "ATTACHED_ORDER_SIZE_MUST_BE_NIL",
        ),
        (
            {"attached_order_configuration": {"trigger_bracket_gtc": LIMITS | {"limit_price": "50000.10"}}},
            "INVALID_ATTACHED_TAKE_PROFIT_PRICE",
        ),
        (
            {"attached_order_configuration": {"trigger_bracket_gtc": LIMITS | {"stop_trigger_price": "50000.00"}}},
            "INVALID_ATTACHED_STOP_LOSS_PRICE",
        ),
        (
            {"attached_order_configuration": {"limit_limit_gtc": {"limit_price": "55000"}}},
            "UNSUPPORTED_ORDER_CONFIGURATION",
        ),
        (
            BRACKET
            | configured(
                "stop_limit_stop_limit_gtc",
                base_size="0.01",
                limit_price="52000",
                stop_price="51000",
                stop_direction="STOP_DIRECTION_STOP_UP",
            ),
            "ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
        ),
    ],
)
def test_a_refused_order_is_200_with_success_false_and_moves_nothing(lab: Any, order: Any, code: str) -> None:
    before = lab.wallets()
    assert failure(lab.buy("a", **order)) == code
    assert lab.wallets() == before


@pytest.mark.parametrize(
    ("size", "preview"),
    [
        ({"base_size": "0.00001"}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ({"quote_size": "0.50"}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ({"base_size": "3401"}, "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
    ],
)
def test_sizes_outside_the_products_limits_name_the_limit(lab: Any, size: Any, preview: str) -> None:
    reply = lab.buy("a", **configured("market_market_ioc", **size))
    assert reply["error_response"]["preview_failure_reason"] == preview
    body = {"product_id": "BTC-USD", "side": "BUY"} | configured("market_market_ioc", **size)
    assert lab.coinbase("POST", "orders/preview", json=body).json()["errs"] == [preview]


@pytest.mark.parametrize(
    "order",
    [
        {"client_order_id": ""},
        {"side": "HOLD"},
        {"order_configuration": {}},
        {"order_configuration": {"market_market_ioc": "all"}},
        configured("market_market_ioc"),
        configured("market_market_ioc", base_size=0.01),
        configured("market_market_ioc", base_size="-1"),
        configured("market_market_ioc", base_size="lots"),
        configured("limit_limit_gtc", base_size="0.01"),
    ],
)
def test_what_is_no_order_at_all_is_a_gateway_error(lab: Any, order: Any) -> None:
    body = {"client_order_id": "a", "product_id": "BTC-USD", "side": "BUY"}
    body |= configured("market_market_ioc", base_size="0.01") | order
    reply = lab.coinbase("POST", "orders", json=body)
    assert (reply.status_code, reply.json()["error"]) == (400, "INVALID_ARGUMENT")


def test_a_halted_product_refuses_and_cancels_what_was_waiting(lab: Any) -> None:
    order_id = lab.buy("a")["success_response"]["order_id"]
    lab.control("halt", venue="coinbase")
    assert failure(lab.buy("b")) == "PRODUCT_TRADING_HALTED"
    assert lab.read(order_id)["status"] == "CANCELLED"
    assert lab.wallets()["USD"] == (Decimal(10000), 0)


def test_a_capped_order_past_its_limit_is_cancelled_unfilled(lab: Any) -> None:
    order = lab.bought("a", **configured("sor_limit_ioc", base_size="0.01", limit_price="50000.00"))
    assert (order["status"], order["filled_size"]) == ("CANCELLED", "0")
    killed = lab.bought("b", **configured("limit_limit_fok", base_size="0.01", limit_price="50000.00"))
    assert killed["status"] == "CANCELLED"
    assert lab.wallets()["USD"] == (Decimal(10000), 0)


def test_a_thin_book_fills_an_ioc_in_part_and_protects_what_was_bought(lab: Any) -> None:
    lab.control("switches", depth={"BTCUSD": "0.004"})
    order = lab.bought("a", **BRACKET)
    assert (order["status"], order["filled_size"]) == ("CANCELLED", "0.004")
    bracket = lab.read(order["attached_order_id"])
    assert bracket["order_configuration"]["trigger_bracket_gtc"]["base_size"] == "0.004"
    killed = lab.bought("b", **configured("limit_limit_fok", base_size="0.01", limit_price="50100.00"))
    assert (killed["status"], killed["filled_size"]) == ("CANCELLED", "0")
    lab.control("switches", depth={"BTCUSD": "0"})
    assert failure(lab.buy("c")) == "INVALID_NO_LIQUIDITY"


def test_a_price_that_runs_away_from_the_wallet_fails_the_order_later(lab: Any) -> None:
    order_id = lab.buy("a", **configured("market_market_ioc", base_size="0.198"))["success_response"]["order_id"]
    lab.market.move("BTCUSD", "60000.00", "60000.10", lab.minute(0))
    order = lab.read(order_id)
    assert (order["status"], order["reject_reason"]) == ("FAILED", "REJECT_REASON_INSUFFICIENT_FUNDS")
    assert lab.wallets()["USD"] == (Decimal(10000), 0)


def test_a_bracket_holds_the_base_until_it_is_cancelled(lab: Any) -> None:
    order = lab.bought("a", **BRACKET)
    bracket = lab.read(order["attached_order_id"])
    assert (bracket["status"], bracket["originating_order_id"]) == ("OPEN", order["order_id"])
    assert lab.wallets()["BTC"] == (0, Decimal("0.01"))
    assert failure(lab.buy("b", side="SELL")) == "INSUFFICIENT_FUND"
    results = lab.coinbase("POST", "orders/batch_cancel", json={"order_ids": [bracket["order_id"], "none"]}).json()
    assert [row["success"] for row in results["results"]] == [True, False]
    assert lab.bought("c", side="SELL")["status"] == "FILLED"
    assert lab.wallets()["BTC"] == (0, 0)
    again = lab.coinbase("POST", "orders/batch_cancel", json={"order_ids": [bracket["order_id"]]}).json()
    assert again["results"][0]["failure_reason"] == "DUPLICATE_CANCEL_REQUEST"
    filled = lab.coinbase("POST", "orders/batch_cancel", json={"order_ids": [order["order_id"]]}).json()
    assert filled["results"][0]["failure_reason"] == "ORDER_IS_FULLY_FILLED"
    assert lab.coinbase("POST", "orders/batch_cancel", json={}).status_code == 400


def test_a_bracket_takes_its_profit_at_its_limit(lab: Any) -> None:
    order = lab.bought("a", **BRACKET)
    lab.market.spike("BTCUSD", lab.minute(2), "50000.00", "55000.00")
    lab.advance(4)
    bracket = lab.read(order["attached_order_id"])
    assert (bracket["status"], bracket["average_filled_price"]) == ("FILLED", "55000.00000000")
    fill = lab.coinbase("GET", "orders/historical/fills", params={"order_ids": bracket["order_id"]}).json()["fills"][0]
    assert (fill["liquidity_indicator"], fill["commission"]) == ("MAKER", "2.20000000")


def test_a_bracket_stops_out_at_the_price_that_triggered_it(lab: Any) -> None:
    order = lab.bought("a", **BRACKET)
    lab.market.spike("BTCUSD", lab.minute(2), "44900.00", "56000.00")
    lab.advance(4)
    bracket = lab.read(order["attached_order_id"])
    assert (bracket["status"], bracket["trigger_status"]) == ("FILLED", "STOP_TRIGGERED")
    assert bracket["average_filled_price"] == "45000.00000000"


def test_a_gap_deeper_than_five_percent_leaves_the_stop_unfilled(lab: Any) -> None:
    order = lab.bought("a", **BRACKET)
    lab.market.move("BTCUSD", "42000.00", "42000.10", lab.minute(2))
    lab.advance(4)
    bracket = lab.read(order["attached_order_id"])
    assert (bracket["status"], bracket["trigger_status"]) == ("OPEN", "STOP_TRIGGERED")
    lab.market.move("BTCUSD", "43000.00", "43000.10", lab.minute(2))
    lab.advance(4)
    assert lab.read(order["attached_order_id"])["average_filled_price"] == "43000.00000000"


def test_a_resting_limit_buys_when_the_ask_comes_down(lab: Any) -> None:
    limit = configured("limit_limit_gtc", base_size="0.01", limit_price="49000.00", post_only=True)
    order = lab.bought("a", **limit)
    assert order["status"] == "OPEN"
    lab.market.spike("BTCUSD", lab.minute(1), "48999.90", "50000.00")
    lab.advance(2)
    assert lab.read(order["order_id"])["average_filled_price"] == "49000.00000000"
    assert lab.wallets()["USD"] == (Decimal("9508.04"), 0)


def test_a_limit_that_crosses_takes_and_one_in_a_halt_rests(lab: Any) -> None:
    limit = configured("limit_limit_gtc", base_size="0.01", limit_price="51000.00")
    assert lab.bought("a", **limit)["average_filled_price"] == "50000.10000000"
    order_id = lab.buy("b", **limit)["success_response"]["order_id"]
    lab.control("halt", instrument="BTCUSD")
    assert lab.read(order_id)["status"] == "OPEN"
    lab.control("resume")
    lab.advance(2)
    assert lab.read(order_id)["status"] == "FILLED"


def test_a_stop_limit_waits_for_its_stop_and_then_for_its_limit(lab: Any) -> None:
    stop = configured(
        "stop_limit_stop_limit_gtc",
        base_size="0.01",
        limit_price="51500.00",
        stop_price="51000.00",
        stop_direction="STOP_DIRECTION_STOP_UP",
    )
    order = lab.bought("a", **stop)
    assert (order["status"], order["trigger_status"]) == ("OPEN", "STOP_PENDING")
    lab.market.spike("BTCUSD", lab.minute(2), "50000.00", "51000.00")
    lab.advance(4)
    filled = lab.read(order["order_id"])
    assert (filled["status"], filled["average_filled_price"]) == ("FILLED", "51000.00000000")


def test_orders_are_listed_newest_first_in_pages_and_by_date(lab: Any) -> None:
    first = lab.bought("a")
    lab.clock.advance(timedelta(hours=1))
    second = lab.bought("b")
    page = lab.coinbase("GET", "orders/historical/batch", params={"limit": 1, "product_ids": "BTC-USD"}).json()
    assert ([row["order_id"] for row in page["orders"]], page["has_next"]) == ([second["order_id"]], True)
    more = {"limit": 1, "cursor": page["cursor"]}
    rest = lab.coinbase("GET", "orders/historical/batch", params=more).json()
    assert ([row["order_id"] for row in rest["orders"]], rest["has_next"]) == ([first["order_id"]], False)
    since = {"start_date": second["created_time"]}
    newest = lab.coinbase("GET", "orders/historical/batch", params=since).json()["orders"]
    assert [row["order_id"] for row in newest] == [second["order_id"]]
    older = lab.coinbase("GET", "orders/historical/batch", params={"end_date": second["created_time"]}).json()["orders"]
    assert [row["order_id"] for row in older] == [first["order_id"]]
    open_ones = lab.coinbase("GET", "orders/historical/batch", params={"order_status": "OPEN"}).json()["orders"]
    assert open_ones == []
    assert lab.coinbase("GET", "orders/historical/batch", params={"start_date": "today"}).status_code == 400
    assert lab.coinbase("GET", "orders/historical/none").status_code == 404


def test_fills_are_paged_by_cursor_until_it_is_empty(lab: Any) -> None:
    for name in "abc":
        lab.bought(name)
    found, cursor = [], None
    while cursor != "":
        page = lab.coinbase("GET", "orders/historical/fills", params={"limit": 2, "cursor": cursor or ""}).json()
        found, cursor = found + page["fills"], page["cursor"]
    assert len({fill["entry_id"] for fill in found}) == 3


def test_a_preview_checks_as_an_order_would_and_places_nothing(lab: Any) -> None:
    body = {"product_id": "BTC-USD", "side": "BUY"} | configured("market_market_ioc", base_size="0.1")
    good = lab.coinbase("POST", "orders/preview", json=body).json()
    assert (good["errs"], good["commission_total"], good["order_total"]) == ([], "30.00006000", "5030.01006000")
    assert lab.coinbase("GET", "orders/historical/batch").json()["orders"] == []
    poor = lab.coinbase("POST", "orders/preview", json=body | configured("market_market_ioc", base_size="1")).json()
    assert poor["errs"] == ["PREVIEW_INSUFFICIENT_FUND"]
    selling = lab.coinbase("POST", "orders/preview", json=body | {"side": "SELL"}).json()
    assert selling["errs"] == ["PREVIEW_INSUFFICIENT_FUND"]
    unknown = lab.coinbase("POST", "orders/preview", json=body | {"product_id": "DOGE-USD"}).json()
    assert unknown["errs"] == ["PREVIEW_INVALID_PRODUCT_ID"]


def test_fees_are_told_and_the_portfolio_is_one(lab: Any) -> None:
    lab.bought("a")
    summary = lab.coinbase("GET", "transaction_summary").json()
    assert (summary["fee_tier"]["taker_fee_rate"], summary["total_fees"]) == ("0.006", 3.000006)
    portfolio = lab.coinbase("GET", "portfolios").json()["portfolios"][0]["uuid"]
    assert lab.coinbase("GET", "key_permissions").json() == {
        "can_view": True,
        "can_trade": True,
        "can_transfer": False,
        "portfolio_uuid": portfolio,
        "portfolio_type": "DEFAULT",
    }


def test_before_the_first_quote_nothing_trades(lab: Any) -> None:
    lab.control("clock", set="2026-01-01T00:00:00Z")
    assert failure(lab.buy("a")) == "INVALID_NO_LIQUIDITY"
    book = lab.coinbase("GET", "best_bid_ask", params={"product_ids": "BTC-USD"}).json()["pricebooks"][0]
    assert (book["bids"], book["asks"]) == ([], [])
    product = lab.coinbase("GET", "products/BTC-USD").json()
    assert (product["price"], product["trading_disabled"]) == ("", True)
