"""Accepting, previewing and cancelling Coinbase orders. Accepted means: checked against the market and the wallets, and held for."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from ffe.money import ZERO, plain, round_down
from simulator.book import Book, next_minute
from simulator.coinbase_matching import TAKER, Matching, money
from simulator.coinbase_request import FailureError, SpotRequest, spot_request
from simulator.coinbase_rows import SpotOrder, SpotOrders
from simulator.market import SimQuote
from simulator.wallets import Wallets
from simulator.web import Json


@dataclass(frozen=True)
class Terms:
    """What an order would take: the wallet it holds, how much, and the value and fee at the price that counts."""

    currency: str
    hold: Decimal
    base: Decimal
    value: Decimal
    fee: Decimal


class OrderDesk:
    def __init__(self, book: Book, wallets: Wallets, orders: SpotOrders, matching: Matching) -> None:
        self._book, self._wallets, self._orders, self._matching = book, wallets, orders, matching

    def create(self, body: Json) -> Json:
        """The reply of POST orders: success or failure, both HTTP 200. Raises RefusalError for what is no order at all."""
        try:
            known = self._orders.by_client(str(body.get("client_order_id")))
            if known is not None:
                return self._known(known)
            request = spot_request(body, self._book.products)
            order = self._accept(request)
        except FailureError as failure:
            return _failure(failure, body)
        return {"success": True, "success_response": _success(order), "order_configuration": order.configuration}

    def _known(self, order: SpotOrder) -> Json:
        if self._book.switches.coinbase_duplicate_error:
            raise FailureError("DUPLICATE_CLIENT_ORDER_ID")
        return {"success": True, "success_response": _success(order), "order_configuration": order.configuration}

    def _accept(self, request: SpotRequest) -> SpotOrder:
        quote = self._tradable(request)
        terms = self._terms(request, quote)
        if terms.hold > self._wallets.available(terms.currency):
            raise FailureError("INSUFFICIENT_FUND", message="Insufficient balance in source account")
        self._wallets.hold(terms.currency, terms.hold)
        now, polls = self._book.clock.now(), self._book.switches.coinbase_fill_after_polls
        order = SpotOrder(
            id=str(uuid4()),
            client_id=request.client_id,
            product_id=request.product.product_id,
            side=request.side,
            kind=request.kind,
            configuration={request.kind: request.configuration},
            created=now,
            hold_currency=terms.currency,
            held=terms.hold,
            watched_from=next_minute(now),
            base_size=request.base_size,
            quote_size=request.quote_size,
            limit=request.limit,
            stop=request.stop,
            stop_up=request.stop_up,
            polls=polls,
            attached=request.attached,
            attached_id=None if request.attached is None else str(uuid4()),
            trigger_status="INVALID_ORDER_TYPE" if request.stop is None else "STOP_PENDING",
        )
        self._orders.put(order)
        if polls == 0:
            self._matching.match(order)
        return order

    def _tradable(self, request: SpotRequest) -> SimQuote:
        """The quote to judge by. Raises FailureError for a halted market or prices on the wrong side of it."""
        symbol = request.product.symbol
        quote = self._book.quote(symbol)
        if quote is None:
            raise FailureError("INVALID_NO_LIQUIDITY")
        if not quote.open:
            raise FailureError("PRODUCT_TRADING_HALTED")
        if self._book.depth(symbol) == 0:
            raise FailureError("INVALID_NO_LIQUIDITY")
        if request.kind == "trigger_bracket_gtc" and request.side == "BUY":
            raise FailureError("BRACKET_ORDER_NOT_SUPPORTED")
        _check_prices(request, quote)
        return quote

    def _terms(self, request: SpotRequest, quote: SimQuote) -> Terms:
        price = quote.ask if request.side == "BUY" else quote.bid
        counted = price if request.limit is None else request.limit
        base = request.base_size
        if base is None:
            base = round_down((request.quote_size or ZERO) / price, request.product.base_increment)
        value = money(base * counted) if request.quote_size is None else request.quote_size
        if value < request.product.quote_min:
            raise FailureError("UNKNOWN_FAILURE_REASON", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL")
        fee = money(value * TAKER)
        if request.side == "BUY":
            return Terms(request.product.quote, value + fee, base, value, fee)
        return Terms(request.product.base, base, base, value, fee)

    def preview(self, body: Json) -> Json:
        """The reply of POST orders/preview: the same checks, no order."""
        errors: list[str] = []
        terms, quote = Terms("", ZERO, ZERO, ZERO, ZERO), None
        try:
            request = spot_request(body, self._book.products, preview=True)
            quote = self._tradable(request)
            terms = self._terms(request, quote)
            if terms.hold > self._wallets.available(terms.currency):
                errors.append("PREVIEW_INSUFFICIENT_FUND")
        except FailureError as failure:
            errors.append(failure.preview)
        total = terms.value + terms.fee if body.get("side") == "BUY" else terms.value - terms.fee
        return {
            "order_total": plain(total),
            "commission_total": plain(terms.fee),
            "errs": errors,
            "warning": [],
            "quote_size": plain(terms.value),
            "base_size": plain(terms.base),
            "best_bid": "" if quote is None else plain(quote.bid),
            "best_ask": "" if quote is None else plain(quote.ask),
            "is_max": False,
            "slippage": "0",
            "preview_id": str(uuid4()),
        }

    def cancel(self, order_id: str) -> Json:
        """One result of batch_cancel."""
        order = self._orders.rows.get(order_id)
        if order is None:
            return {"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER", "order_id": order_id}
        if not order.live:
            reason = "ORDER_IS_FULLY_FILLED" if order.status == "FILLED" else "DUPLICATE_CANCEL_REQUEST"
            return {"success": False, "failure_reason": reason, "order_id": order_id}
        self._matching.end(order, "CANCELLED", "User requested cancel")
        return {"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": order_id}


def _check_prices(request: SpotRequest, quote: SimQuote) -> None:
    buying = request.side == "BUY"
    if request.post_only and request.limit is not None:
        crosses = request.limit >= quote.ask if buying else request.limit <= quote.bid
        if crosses:
            raise FailureError("INVALID_LIMIT_PRICE_POST_ONLY")
    if request.kind == "trigger_bracket_gtc" and not _around(request, quote.bid):
        raise FailureError("INVALID_BRACKET_PRICES")
    if request.take_profit is not None and request.take_profit <= quote.ask:
        raise FailureError("INVALID_ATTACHED_TAKE_PROFIT_PRICE")
    if request.stop_loss is not None and request.stop_loss >= quote.bid:
        raise FailureError("INVALID_ATTACHED_STOP_LOSS_PRICE")


def _around(request: SpotRequest, price: Decimal) -> bool:
    return request.stop is not None and request.limit is not None and request.stop < price < request.limit


def _success(order: SpotOrder) -> Json:
    body = {
        "order_id": order.id,
        "product_id": order.product_id,
        "side": order.side,
        "client_order_id": order.client_id,
    }
    return body if order.attached_id is None else body | {"attached_order_id": order.attached_id}


def _failure(failure: FailureError, body: Json) -> Json:
    response = {
        "error": failure.code,
        "message": failure.message or failure.code.replace("_", " ").capitalize(),
        "error_details": "",
        "new_order_failure_reason": failure.code,
        "preview_failure_reason": failure.preview
        if failure.code == "UNKNOWN_FAILURE_REASON"
        else "UNKNOWN_PREVIEW_FAILURE_REASON",
    }
    return {"success": False, "error_response": response, "order_configuration": body.get("order_configuration")}
