"""Replies that no well-behaved venue sends: each is an error with a name, none is a default."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.market.models import parse_instrument
from ffe.orders.models import OrderState, Side
from ffe.venues import coinbase_orders, oanda_orders, reply
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.models import InstrumentSpec, OrderRequest
from ffe.venues.oanda import OandaBroker
from ffe.venues.sending import before_the_wire, on_the_wire

NOW = datetime(2018, 4, 4, 15, 30, 20, tzinfo=UTC)
BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (reply.need, None),
        (reply.text, ""),
        (reply.text, 7),
        (reply.number, "NaN"),
        (reply.number, 1.5),
        (reply.number, "ten"),
        (reply.number, True),
        (reply.integer, "1.5"),
        (reply.flag, "true"),
        (reply.moment, "yesterday"),
        (reply.moment, "2018-04-04T15:30:20"),
        (reply.entries, {}),
        (reply.entries, [1]),
        (reply.optional_entry, "text"),
    ],
)
def test_a_field_of_the_wrong_kind_is_an_error_that_names_it(read: Callable[[Any, str], Any], value: Any) -> None:
    with pytest.raises(VenueReadError, match="field") as caught:
        read({"field": value}, "field")
    assert not caught.value.transient


def test_a_reply_that_is_no_object_has_no_fields() -> None:
    with pytest.raises(VenueReadError, match="field is missing"):
        reply.need([], "field")


def test_fields_that_may_be_absent() -> None:
    assert reply.limit({"most": "0"}, "most") is None
    assert reply.limit({"most": "0.5"}, "most") == Decimal("0.5")
    assert reply.optional_entry({}, "field") is None
    assert reply.first_text({"a": "", "b": None, "c": "word"}, "a", "b", "c") == "word"
    assert reply.canonical("EUR_USD") == "EURUSD"
    assert reply.canonical("XAU_USD") == "XAU_USD"


def request(symbol: str = "EURUSD", **changes: Any) -> OrderRequest:
    values = {"client_order_id": "c1", "instrument": symbol, "side": Side.BUY, "units": Decimal(1000)}
    return OrderRequest(**(values | changes))


def spec(symbol: str = "EURUSD", tick: str = "0.00001", lot: str = "1") -> InstrumentSpec:
    return InstrumentSpec(
        instrument=symbol,
        venue="oanda",
        price_increment=Decimal(tick),
        size_increment=Decimal(lot),
        min_size=Decimal(lot),
        max_size=None,
        min_notional=None,
        max_notional=None,
        margin_rate=Decimal("0.05"),
        taker_fee_rate=Decimal(0),
        pip=Decimal("0.0001"),
        tradeable=True,
        status="listed",
        fetched_at=NOW,
    )


def test_an_oanda_order_prints_yen_with_three_decimals_and_sells_with_a_sign() -> None:
    sell = request(
        "USDJPY",
        side=Side.SELL,
        price_bound=Decimal("149.1"),
        stop_loss=Decimal("149.9"),
        take_profit=Decimal("148.123"),
        units=Decimal("1000"),
    )
    body = oanda_orders.market_order(sell, "USD_JPY", spec("USDJPY", "0.001"))["order"]
    assert body["units"] == "-1000"
    assert (body["type"], body["timeInForce"], body["positionFill"]) == ("MARKET", "FOK", "DEFAULT")
    assert body["priceBound"] == "149.100"
    assert body["stopLossOnFill"] == {"price": "149.900", "timeInForce": "GTC"}
    assert body["takeProfitOnFill"] == {"price": "148.123", "timeInForce": "GTC"}
    assert body["clientExtensions"] == body["tradeClientExtensions"] == {"id": "c1"}


def test_an_oanda_close_only_reduces_and_names_no_trade() -> None:
    body = oanda_orders.market_order(request(reduce_only=True), "EUR_USD", spec())["order"]
    assert body["positionFill"] == "REDUCE_ONLY"
    assert "tradeClientExtensions" not in body
    assert "priceBound" not in body


def created(**changes: Any) -> dict[str, Any]:
    values = {
        "id": "7",
        "type": "MARKET_ORDER",
        "instrument": "EUR_USD",
        "units": "1000",
        "clientExtensions": {"id": "c1"},
    }
    return values | changes


def filled(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "8",
        "type": "ORDER_FILL",
        "orderID": "7",
        "time": "2018-04-04T15:30:20.123456789Z",
        "units": "1000",
        "tradeOpened": {"tradeID": "8", "units": "1000", "price": "1.20001"},
    }
    return values | changes


def test_an_oanda_fill_takes_its_price_from_the_trades_and_its_fee_once() -> None:
    both = filled(
        commission="0.5",
        guaranteedExecutionFee="0.25",
        tradeOpened={"tradeID": "8", "units": "400", "price": "1.3"},
        tradesClosed=[{"tradeID": "3", "units": "600", "price": "1.2"}],
    )
    order = oanda_orders.placed(request(), {"orderCreateTransaction": created(), "orderFillTransaction": both}, "USD")
    assert order.state is OrderState.FILLED
    assert [fill.venue_fill_id for fill in order.fills] == ["8-3", "8-8"]
    assert order.fees == Decimal("0.75")
    assert order.average_price == Decimal("1.24")


def test_http_success_with_a_cancel_is_not_a_fill() -> None:
    cancel = {"id": "8", "type": "ORDER_CANCEL", "orderID": "7", "reason": "MARKET_HALTED"}
    answer = {"orderCreateTransaction": created(), "orderCancelTransaction": cancel}
    order = oanda_orders.placed(request(), answer, "USD")
    assert (order.state, order.reason, order.fills) == (OrderState.CANCELLED, "MARKET_HALTED", ())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"orderCreateTransaction": created()},
        {"orderCreateTransaction": created(units="-1000"), "orderFillTransaction": filled()},
        {"orderCreateTransaction": created(instrument="GBP_USD"), "orderFillTransaction": filled()},
        {"orderCreateTransaction": created(), "orderFillTransaction": filled(units="900")},
        {"orderCreateTransaction": created(), "orderFillTransaction": filled(tradeOpened=None)},
        {"orderCreateTransaction": created(), "orderFillTransaction": filled(time="soon")},
        {"orderCreateTransaction": created(), "orderCancelTransaction": {"type": "ORDER_CANCEL"}},
        {"orderCreateTransaction": created(), "orderFillTransaction": "yes"},
    ],
    ids=str,
)
def test_an_oanda_answer_that_makes_no_sense_leaves_the_outcome_unknown(answer: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknownError), on_the_wire():
        oanda_orders.placed(request(), answer, "USD")


def test_an_oanda_order_is_found_by_its_id_on_the_fill_alone_too() -> None:
    log = [created(), filled(orderID="other", clientOrderID="c1"), {"type": "HEARTBEAT"}]
    found = oanda_orders.found(request(), log, "USD")
    assert found is not None
    assert found.state is OrderState.FILLED


def test_an_oanda_order_without_its_end_is_accepted_and_a_foreign_log_is_nothing() -> None:
    waiting = oanda_orders.found(request(), [created()], "USD")
    assert waiting is not None
    assert waiting.state is OrderState.ACCEPTED
    assert oanda_orders.found(request(), [created(clientExtensions={"id": "c2"}), filled()], "USD") is None


class Scripted:
    """A client that answers by method or endpoint name: a list in turn, anything else for ever; exceptions are raised."""

    account_id = "101"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.sent: list[Any] = []

    def _next(self, name: str) -> Any:
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self, call: Any, **_: Any) -> Any:
        return self._next(call if isinstance(call, str) else type(call).__name__)

    def send(self, call: Any, **arguments: Any) -> Any:
        self.sent.append(arguments or call.data)
        return self._next(call if isinstance(call, str) else type(call).__name__)


def oanda(**answers: Any) -> OandaBroker:
    summary = {
        "account": {"currency": "USD", "NAV": "1", "marginAvailable": "1", "marginUsed": "0"},
        "lastTransactionID": "9",
    }
    client: Any = Scripted(**({"AccountSummary": summary} | answers))
    return OandaBroker(client, FixedClock(NOW))


def coinbase(**answers: Any) -> CoinbaseBroker:
    client: Any = Scripted(**({"get_product": PRODUCT, "get_transaction_summary": FEES} | answers))
    return CoinbaseBroker(client, FixedClock(NOW), sleep=lambda _: None)


FEES = {"fee_tier": {"taker_fee_rate": "0.006"}}
PRODUCT = {
    "product_id": "BTC-USD",
    "base_increment": "0.00000001",
    "quote_increment": "0.01",
    "base_min_size": "0.00001",
    "base_max_size": "100",
    "quote_min_size": "1",
    "quote_max_size": "1000000",
    "status": "online",
    **dict.fromkeys(
        ("is_disabled", "trading_disabled", "cancel_only", "limit_only", "post_only", "auction_mode"), False
    ),
}


RULES = {
    "instruments": [
        {
            "name": "EUR_USD",
            "displayPrecision": 5,
            "tradeUnitsPrecision": 0,
            "minimumTradeSize": "1",
            "maximumOrderUnits": "100000000",
            "marginRate": "0.05",
            "pipLocation": -4,
            "minimumTrailingStopDistance": "0.00050",
        }
    ]
}
REFUSED = OrderRejectedError("taken", reason="CLIENT_TRADE_ID_ALREADY_EXISTS")


def test_a_second_copy_that_oanda_refuses_is_answered_with_the_first() -> None:
    log = {"transactions": [created(), filled()], "lastTransactionID": "8"}
    order = oanda(AccountInstruments=RULES, OrderCreate=REFUSED, TransactionsSinceID=log).submit(request(), "6")
    assert (order.state, order.filled_units) == (OrderState.FILLED, 1000)
    pending = {"transactions": [created()], "lastTransactionID": "7"}
    order = oanda(AccountInstruments=RULES, OrderCreate=REFUSED, TransactionsSinceID=pending).submit(request(), "6")
    assert order.state is OrderState.ACCEPTED


def test_a_refused_second_copy_whose_first_is_nowhere_stays_refused() -> None:
    nothing = {"transactions": [], "lastTransactionID": "6"}
    with pytest.raises(OrderRejectedError, match="taken"):
        oanda(AccountInstruments=RULES, OrderCreate=REFUSED, TransactionsSinceID=nothing).submit(request(), "6")
    with pytest.raises(OutcomeUnknownError, match="503"):
        oanda(AccountInstruments=RULES, OrderCreate=REFUSED, TransactionsSinceID=VenueReadError("503")).submit(
            request(), "6"
        )


def test_oanda_transactions_are_read_page_by_page_to_the_last() -> None:
    pages = [
        {"transactions": [created()], "lastTransactionID": "8"},
        {"transactions": [filled()], "lastTransactionID": "8"},
    ]
    found = oanda(TransactionsSinceID=pages).lookup(request(), "6")
    assert found is not None
    assert found.state is OrderState.FILLED


def test_an_oanda_page_without_progress_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(VenueReadError, match="not the last"):
        oanda(TransactionsSinceID={"transactions": [], "lastTransactionID": "8"}).lookup(request(), "6")


def test_unreadable_protection_counts_as_missing() -> None:
    log = {"transactions": [created(), filled()], "lastTransactionID": "8"}
    broker = oanda(TransactionsSinceID=log, OpenTrades=VenueReadError("503"))
    found = broker.lookup(request(stop_loss=Decimal("1.1")), "6")
    assert found is not None
    assert (found.state, found.protection_ids) == (OrderState.FILLED, ())


def test_a_hedged_oanda_account_is_not_netted_silently() -> None:
    side = {"units": "100", "averagePrice": "1.2"}
    held = {"instrument": "EUR_USD", "long": side, "short": side | {"units": "-50"}}
    with pytest.raises(VenueReadError, match="hedging"):
        oanda(OpenPositions={"positions": [held]}, OpenTrades={"trades": []}).positions()


def test_an_oanda_position_that_is_listed_empty_is_flat() -> None:
    held = {"instrument": "EUR_USD", "long": {"units": "0"}, "short": {"units": "0"}}
    position = oanda(OpenPositions={"positions": [held]}, OpenTrades={"trades": []}).position(EUR)
    assert (position.units, position.average_price) == (0, None)


def test_oanda_without_a_conversion_for_the_quote_currency_is_an_error() -> None:
    broker = oanda(PricingInfo={"prices": [], "homeConversions": []})
    with pytest.raises(VenueReadError, match="no conversion from JPY to USD"):
        broker.account_state([parse_instrument("USDJPY")])


def test_an_empty_book_is_no_price() -> None:
    price = {"instrument": "EUR_USD", "time": "2018-04-04T15:30:20Z", "tradeable": False, "bids": [], "asks": []}
    with pytest.raises(VenueReadError, match="two-sided price"):
        oanda(PricingInfo={"prices": [price]}).quote(EUR)
    for books in ([], [{"product_id": "BTC-USD", "bids": [], "asks": []}]):
        with pytest.raises(VenueReadError, match="two-sided price"):
            coinbase(get_best_bid_ask={"pricebooks": books}).quote(BTC)


def test_an_instrument_missing_from_oandas_list_is_an_error() -> None:
    for listed in ([], [{"name": "GBP_USD"}]):
        with pytest.raises(VenueReadError, match="EUR_USD is not among the instruments"):
            oanda(AccountInstruments={"instruments": listed}).spec(EUR)


def test_an_oanda_order_whose_rules_cannot_be_read_is_not_sent() -> None:
    broker = oanda(AccountInstruments=VenueReadError("503"))
    with pytest.raises(NotSentError, match="503"):
        broker.submit(request(), "6")
    with pytest.raises(NotSentError, match="unknown instrument"):
        broker.submit(request("NOPE"), "6")


def test_an_error_that_nobody_foresaw_is_unknown_once_on_the_wire_and_unsent_before() -> None:
    with pytest.raises(OutcomeUnknownError, match="ZeroDivisionError"), on_the_wire():
        raise ZeroDivisionError
    with pytest.raises(OutcomeUnknownError, match="odd"), on_the_wire():
        raise VenueReadError("odd")
    with pytest.raises(NotSentError, match="ZeroDivisionError"), before_the_wire():
        raise ZeroDivisionError


def document(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "order_id": "o1",
        "client_order_id": "c1",
        "product_id": "BTC-USD",
        "side": "BUY",
        "status": "FILLED",
        "filled_size": "1000",
        "order_configuration": {"market_market_ioc": {"base_size": "1000"}},
    }
    return values | changes


FILL = {"entry_id": "f1", "size": "1000", "price": "7000", "commission": "1", "trade_time": "2018-04-04T15:30:20Z"}


def bitcoin(**changes: Any) -> OrderRequest:
    return request("BTCUSD", **changes)


@pytest.mark.parametrize(
    ("status", "filled_size", "state", "reason"),
    [
        ("PENDING", "0", OrderState.ACCEPTED, None),
        ("QUEUED", "0", OrderState.ACCEPTED, None),
        ("OPEN", "0", OrderState.ACCEPTED, None),
        ("CANCEL_QUEUED", "1000", OrderState.PARTIAL, None),
        ("FILLED", "1000", OrderState.FILLED, None),
        ("CANCELLED", "1000", OrderState.CANCELLED, "CANCELLED"),
        ("EXPIRED", "0", OrderState.CANCELLED, "EXPIRED"),
        ("FAILED", "0", OrderState.REJECTED, "HOLD_FAILURE"),
    ],
)
def test_a_coinbase_status_in_our_terms(status: str, filled_size: str, state: OrderState, reason: str | None) -> None:
    order = document(status=status, filled_size=filled_size, reject_reason="HOLD_FAILURE" if status == "FAILED" else "")
    found = coinbase_orders.venue_order(
        bitcoin(), order, coinbase_orders.fills_of([FILL] if filled_size != "0" else [], "USD")
    )
    assert (found.state, found.reason) == (state, reason)


def test_a_coinbase_order_is_not_done_before_all_its_fills_are_listed() -> None:
    half = coinbase_orders.fills_of([FILL | {"size": "400"}], "USD")
    assert coinbase_orders.venue_order(bitcoin(), document(), half).state is OrderState.PARTIAL
    assert coinbase_orders.venue_order(bitcoin(), document(), ()).state is OrderState.ACCEPTED


def test_a_coinbase_status_that_nobody_has_heard_of_is_unknown() -> None:
    with pytest.raises(OutcomeUnknownError, match="SOMETHING_NEW"):
        coinbase_orders.venue_order(bitcoin(), document(status="SOMETHING_NEW"), ())


def test_a_coinbase_fill_in_quote_units_is_an_error() -> None:
    with pytest.raises(VenueReadError, match="quote units"):
        coinbase_orders.fills_of([FILL | {"size_in_quote": True}], "USD")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"new_order_failure_reason": "INSUFFICIENT_FUND", "error": "X"}, "INSUFFICIENT_FUND"),
        ({"new_order_failure_reason": "", "error": "INVALID_SIZE_PRECISION"}, "INVALID_SIZE_PRECISION"),
        ({"error": "UNKNOWN_FAILURE_REASON", "preview_failure_reason": "PREVIEW_TOO_SMALL"}, "PREVIEW_TOO_SMALL"),
        ({"error": "UNKNOWN_FAILURE_REASON", "message": "account is not available"}, "UNKNOWN_FAILURE_REASON"),
        ({"message": "account is not available"}, "account is not available"),
        ({"other": "x"}, "UNKNOWN_FAILURE_REASON"),
    ],
)
def test_a_coinbase_refusal_is_the_first_code_that_says_something(error: dict[str, str], reason: str) -> None:
    broker = coinbase(create_order={"success": False, "error_response": error})
    with pytest.raises(OrderRejectedError) as caught:
        broker.submit(bitcoin(), "2018-04-04T15:30:20Z")
    assert caught.value.reason == reason


def test_a_coinbase_answer_without_success_is_unknown() -> None:
    for answer in ({}, {"success": True}, {"success": True, "success_response": {}}):
        with pytest.raises(OutcomeUnknownError):
            coinbase(create_order=answer).submit(bitcoin(), "2018-04-04T15:30:20Z")


ACCEPTED = {"success": True, "success_response": {"order_id": "o1"}}


def test_an_accepted_coinbase_order_stays_accepted_when_reading_it_fails() -> None:
    broker = coinbase(create_order=ACCEPTED, get_order=VenueReadError("503"))
    order = broker.submit(bitcoin(), "2018-04-04T15:30:20Z")
    assert (order.state, order.venue_order_id) == (OrderState.ACCEPTED, "o1")


def test_an_accepted_coinbase_order_of_an_unheard_status_is_unknown() -> None:
    broker = coinbase(create_order=ACCEPTED, get_order={"order": document(status="NEW", filled_size="0")})
    with pytest.raises(OutcomeUnknownError, match="NEW"):
        broker.submit(bitcoin(), "2018-04-04T15:30:20Z")


def test_a_duplicate_that_coinbase_does_not_list_is_unknown() -> None:
    refusal = {"success": False, "error_response": {"error": "DUPLICATE_CLIENT_ORDER_ID"}}
    broker = coinbase(create_order=refusal, list_orders={"orders": [], "has_next": False})
    with pytest.raises(OutcomeUnknownError, match="does not list it"):
        broker.submit(bitcoin(), "2018-04-04T15:30:20Z")


def test_coinbase_fills_are_read_to_the_empty_cursor_and_orders_to_has_next() -> None:
    pages = [
        {"orders": [document(client_order_id="other")], "has_next": True, "cursor": "a"},
        {"orders": [document()], "has_next": False, "cursor": "b"},
    ]
    fills = [
        {"fills": [FILL | {"entry_id": "f2", "size": "400"}], "cursor": "x"},
        {"fills": [FILL | {"size": "600"}], "cursor": ""},
    ]
    found = coinbase(list_orders=pages, get_fills=fills).lookup(bitcoin(), "2018-04-04T15:30:20Z")
    assert found is not None
    assert [fill.venue_fill_id for fill in found.fills] == ["f1", "f2"]
    assert found.state is OrderState.FILLED


def test_a_coinbase_page_that_points_to_itself_is_an_error_and_no_endless_loop() -> None:
    page = {"orders": [], "has_next": True, "cursor": "a"}
    with pytest.raises(VenueReadError, match="new cursor"):
        coinbase(list_orders=page).lookup(bitcoin(), "2018-04-04T15:30:20Z")


@pytest.mark.parametrize(
    "answer", [{"order": {"status": "OPEN"}}, {"order": {"status": "PENDING"}}, VenueReadError("503")]
)
def test_coinbase_protection_counts_only_while_it_reads_open(answer: Any) -> None:
    broker = coinbase(
        list_orders={"orders": [document(attached_order_id="p1")], "has_next": False},
        get_fills={"fills": [FILL], "cursor": ""},
        get_order=answer,
    )
    found = broker.lookup(bitcoin(), "2018-04-04T15:30:20Z")
    assert found is not None
    opened = not isinstance(answer, Exception) and answer["order"]["status"] == "OPEN"
    assert found.protection_ids == (("p1",) if opened else ())


def test_protection_that_does_not_go_keeps_the_close_from_being_sent() -> None:
    broker = coinbase(cancel_orders={"results": []}, get_order={"order": {"status": "OPEN"}})
    with pytest.raises(NotSentError, match="p1 is OPEN"):
        broker.submit(bitcoin(side=Side.SELL, cancel_first=("p1",)), "2018-04-04T15:30:20Z")


def test_a_close_waits_until_its_protection_is_gone() -> None:
    states = [{"order": {"status": status}} for status in ("OPEN", "CANCEL_QUEUED", "CANCELLED")]
    broker = coinbase(cancel_orders={"results": []}, create_order=ACCEPTED, get_order=[*states, VenueReadError("503")])
    order = broker.submit(bitcoin(side=Side.SELL, cancel_first=("p1",)), "2018-04-04T15:30:20Z")
    assert order.state is OrderState.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "online"),
        ({"status": ""}, "online"),
        ({"price_increment": "0.1"}, "online"),
        ({"trading_disabled": True, "cancel_only": True}, "trading_disabled, cancel_only"),
        ({"view_only": True}, "view_only"),
        ({"status": "delisted"}, "delisted"),
    ],
)
def test_a_coinbase_product_trades_only_when_nothing_speaks_against_it(changes: dict[str, Any], status: str) -> None:
    found = coinbase(get_product=PRODUCT | changes).spec(BTC)
    assert (found.status, found.tradeable) == (status, status == "online")


@pytest.mark.parametrize("missing", ["status", "trading_disabled", "base_min_size", "product_id"])
def test_a_coinbase_product_without_a_field_that_matters_is_an_error(missing: str) -> None:
    product = {key: value for key, value in PRODUCT.items() if key != missing}
    with pytest.raises(VenueReadError, match=missing):
        coinbase(get_product=product).spec(BTC)


def test_another_product_than_the_one_asked_for_is_an_error() -> None:
    with pytest.raises(VenueReadError, match="not BTC-USD"):
        coinbase(get_product=PRODUCT | {"product_id": "ETH-USD"}).spec(BTC)


def wallet(currency: str, available: str, hold: str = "0") -> dict[str, Any]:
    return {
        "available_balance": {"value": available, "currency": currency},
        "hold": {"value": hold, "currency": currency},
    }


def test_coinbase_wallets_are_added_up_over_pages_and_the_held_units_count() -> None:
    pages = [
        {"accounts": [wallet("USD", "100", "5"), wallet("BTC", "0.1")], "has_next": True, "cursor": "a"},
        {"accounts": [wallet("BTC", "0.1", "0.3")], "has_next": False, "cursor": ""},
    ]
    book = {
        "product_id": "BTC-USD",
        "bids": [{"price": "7000"}],
        "asks": [{"price": "7001"}],
        "time": "2018-04-04T15:30:20Z",
    }
    broker = coinbase(
        get_accounts=pages,
        get_best_bid_ask={"pricebooks": [book]},
        get_api_key_permissions={"portfolio_uuid": "pf-1"},
    )
    state = broker.account_state([BTC, parse_instrument("ETHUSD")])
    assert state.equity == 105 + Decimal("0.5") * 7000
    assert (state.available, state.account) == (100, "pf-1")
    held = coinbase(
        get_accounts={"accounts": [wallet("BTC", "0.1", "0.3"), wallet("EUR", "9")], "has_next": False},
        list_orders={
            "orders": [
                document(order_id="p1", side="SELL", order_configuration={"trigger_bracket_gtc": {}}),
                document(order_id="l1", side="SELL", order_configuration={"limit_limit_gtc": {}}),
            ],
            "has_next": False,
        },
    ).positions()
    assert [(item.instrument, item.units, item.protection) for item in held] == [("BTCUSD", Decimal("0.4"), ("p1",))]


def test_models_say_what_a_quote_and_an_order_amount_to() -> None:
    book = {
        "product_id": "BTC-USD",
        "bids": [{"price": "7000"}],
        "asks": [{"price": "7001"}],
        "time": "2018-04-04T15:30:20Z",
    }
    quote = coinbase(get_best_bid_ask={"pricebooks": [book]}).quote(BTC)
    assert (quote.mid, quote.spread) == (Decimal("7000.5"), 1)
    empty = coinbase_orders.venue_order(bitcoin(), document(status="OPEN", filled_size="0"), ())
    assert (empty.average_price, empty.filled_units, empty.fees) == (None, 0, 0)
