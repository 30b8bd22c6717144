"""Every kind of reply against the venues' contracts: OANDA's own document (with required lists, which it lacks) and the Coinbase subset."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CONTRACTS = Path(__file__).parents[1] / "contracts"
LIMITS = {"limit_price": "55000.00", "stop_trigger_price": "45000.00"}
TRANSACTIONS = {
    "CREATE": "CreateTransaction",
    "TRANSFER_FUNDS": "TransferFundsTransaction",
    "MARKET_ORDER": "MarketOrderTransaction",
    "MARKET_ORDER_REJECT": "MarketOrderRejectTransaction",
    "ORDER_FILL": "OrderFillTransaction",
    "ORDER_CANCEL": "OrderCancelTransaction",
    "ORDER_CANCEL_REJECT": "OrderCancelRejectTransaction",
    "STOP_LOSS_ORDER": "StopLossOrderTransaction",
    "STOP_LOSS_ORDER_REJECT": "StopLossOrderRejectTransaction",
    "TAKE_PROFIT_ORDER": "TakeProfitOrderTransaction",
}
ORDERS = {"MARKET": "MarketOrder", "STOP_LOSS": "StopLossOrder", "TAKE_PROFIT": "TakeProfitOrder"}
# The venue's document makes nothing required. These are the fields a client reads.
REQUIRED = {
    "AccountSummary": "id currency balance NAV marginAvailable marginUsed marginRate unrealizedPL hedgingEnabled openTradeCount",
    "Instrument": "name pipLocation displayPrecision tradeUnitsPrecision minimumTradeSize maximumOrderUnits marginRate",
    "ClientPrice": "instrument time tradeable status bids asks closeoutBid closeoutAsk",
    "HomeConversions": "currency accountGain accountLoss positionValue",
    "Candlestick": "time volume complete",
    "Trade": "id instrument price openTime state initialUnits currentUnits realizedPL",
    "Position": "instrument pl unrealizedPL long short",
    "MarketOrderTransaction": "id time accountID batchID type instrument units timeInForce positionFill reason",
    "MarketOrderRejectTransaction": "id time accountID batchID type rejectReason",
    "OrderFillTransaction": "id time type orderID instrument units price pl accountBalance reason commission",
    "OrderCancelTransaction": "id time type orderID reason",
    "StopLossOrderTransaction": "id time type tradeID price timeInForce reason",
    "TakeProfitOrderTransaction": "id time type tradeID price timeInForce reason",
    "MarketOrder": "id createTime state type instrument units",
    "StopLossOrder": "id createTime state type tradeID price",
    "TakeProfitOrder": "id createTime state type tradeID price",
}


@cache
def definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / "oanda-v20-openapi.json").read_text())["definitions"]
    for name, fields in REQUIRED.items():
        found[name]["required"] = fields.split()
    return found


def check_oanda(document: Any, name: str) -> None:
    schema = {"definitions": definitions(), "$ref": f"#/definitions/{name}"}
    jsonschema.Draft4Validator(schema).validate(document)


@cache
def components() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONTRACTS / "coinbase-advanced-subset.yaml").read_text())["components"]
    return found


def check_coinbase(document: Any, name: str) -> None:
    schema = {"components": components(), "$ref": f"#/components/schemas/{name}"}
    jsonschema.Draft202012Validator(schema).validate(document)


def check_transaction(row: Any) -> None:
    check_oanda(row, TRANSACTIONS[row["type"]])


def check_order(row: Any) -> None:
    check_oanda(row, ORDERS[row["type"]])


@pytest.fixture
def busy(lab: Any) -> Any:
    """A venue at which everything has happened: fills, cancels, rejects, stops hit, partial closes, brackets."""
    lab.order(1000, stopLossOnFill={"price": "1.09"}, takeProfitOnFill={"price": "1.12"}, clientExtensions={"id": "c"})
    lab.order(500, tradeClientExtensions={"id": "t"}, priceBound="1.20000")
    lab.order(-200)
    lab.order(1000, priceBound="1.00000")
    lab.order(0)
    lab.oanda("PUT", "orders/99/cancel")
    lab.oanda("PUT", "trades/@t/orders", json={"stopLoss": {"price": "1.08"}})
    lab.oanda("PUT", "trades/@t/orders", json={"stopLoss": {"price": "nothing"}})
    lab.oanda("PUT", "trades/@t/close", json={"units": "100"})
    lab.bought("a", attached_order_configuration={"trigger_bracket_gtc": LIMITS})
    resting = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "49000.00"}}
    lab.buy("b", order_configuration=resting)
    lab.market.spike("EURUSD", lab.minute(2), "1.08990", "1.10000")
    lab.advance(4)
    return lab


def test_every_transaction_is_of_its_documented_kind(busy: Any) -> None:
    rows = busy.oanda("GET", "transactions/sinceid", params={"id": 0}).json()["transactions"]
    assert {row["type"] for row in rows} == set(TRANSACTIONS)
    for row in rows:
        check_transaction(row)


@pytest.mark.parametrize("name", sorted(set(TRANSACTIONS.values()) & set(REQUIRED)))
def test_a_missing_field_would_be_noticed(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_oanda({"id": "1"}, name)


def test_oanda_account_documents(busy: Any) -> None:
    check_oanda(busy.summary(), "AccountSummary")
    check_oanda(busy.oanda("GET", "/v3/accounts/101-001-1234567-001").json()["account"], "Account")
    for row in busy.oanda("GET", "instruments").json()["instruments"]:
        check_oanda(row, "Instrument")
    for row in busy.oanda("GET", "openTrades").json()["trades"]:
        check_oanda(row, "Trade")
    for row in busy.oanda("GET", "positions").json()["positions"]:
        check_oanda(row, "Position")
    orders = busy.oanda("GET", "orders", params={"state": "ALL"}).json()["orders"]
    assert {row["type"] for row in orders} == set(ORDERS)
    for row in orders:
        check_order(row)


def test_oanda_prices_and_candles(busy: Any) -> None:
    query = {"instruments": "EUR_USD,USD_JPY", "includeHomeConversions": "true"}
    body = busy.oanda("GET", "pricing", params=query).json()
    for row in body["prices"]:
        check_oanda(row, "ClientPrice")
    for row in body["homeConversions"]:
        check_oanda(row, "HomeConversions")
    query = {"granularity": "M5", "price": "MBA", "count": "20"}
    for row in busy.oanda("GET", "/v3/instruments/EUR_USD/candles", params=query).json()["candles"]:
        check_oanda(row, "Candlestick")


def test_oanda_changes(busy: Any) -> None:
    body = busy.oanda("GET", "changes", params={"sinceTransactionID": 2}).json()
    check_oanda(body["changes"], "AccountChanges")
    check_oanda(body["state"], "AccountChangesState")
    for row in body["changes"]["tradesClosed"]:
        check_oanda(row, "TradeSummary")


READS: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "key_permissions": lambda lab: ("KeyPermissions", {}),
    "time": lambda lab: ("ServerTime", {}),
    "accounts": lambda lab: ("AccountsPage", {}),
    "products": lambda lab: ("ProductsPage", {}),
    "products/ETH-USD": lambda lab: ("Product", {}),
    "best_bid_ask": lambda lab: ("BestBidAsk", {}),
    "orders/historical/batch": lambda lab: ("OrdersPage", {}),
    "orders/historical/fills": lambda lab: ("FillsPage", {}),
    "transaction_summary": lambda lab: ("TransactionSummary", {}),
    "products/BTC-USD/candles": lambda lab: ("Candles", span(lab)),
    "products/DOGE-USD": lambda lab: ("GatewayError", {}),
}


def span(lab: Any) -> dict[str, str]:
    now = int(lab.clock.now().timestamp())
    return {"start": str(now - 3600), "end": str(now), "granularity": "ONE_MINUTE"}


@pytest.mark.parametrize("path", READS)
def test_coinbase_reads(busy: Any, path: str) -> None:
    name, query = READS[path](busy)
    check_coinbase(busy.coinbase("GET", path, params=query).json(), name)


def test_coinbase_orders_and_cancels(busy: Any) -> None:
    good = {
        "client_order_id": "x",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"quote_size": "100"}},
        "attached_order_configuration": {"trigger_bracket_gtc": LIMITS},
    }
    check_coinbase(good, "NewOrderRequest")
    check_coinbase(busy.coinbase("POST", "orders/preview", json=good).json(), "PreviewResponse")
    check_coinbase(busy.coinbase("POST", "orders", json=good).json(), "NewOrderResponse")
    refused = good | {"client_order_id": "y", "order_configuration": {"market_market_ioc": {"base_size": "9"}}}
    check_coinbase(busy.coinbase("POST", "orders", json=refused).json(), "NewOrderResponse")
    orders = busy.coinbase("GET", "orders/historical/batch").json()["orders"]
    cancel = {"order_ids": [orders[0]["order_id"], "none"]}
    check_coinbase(busy.coinbase("POST", "orders/batch_cancel", json=cancel).json(), "CancelResponse")
    for row in orders:
        check_coinbase(busy.read(row["order_id"]), "Order")
