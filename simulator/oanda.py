"""OANDA v20 over HTTP: routes, authentication and error bodies. What the account does is in the `oanda_*` files beside this one."""

import re
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.routing import BaseRoute, Route

from ffe.clock import parse_time
from simulator.book import Book
from simulator.instruments import ForexPair
from simulator.margin import NoPriceError
from simulator.oanda_candles import bad, candles, integer
from simulator.oanda_closing import Closing
from simulator.oanda_fills import Fills
from simulator.oanda_log import stamp
from simulator.oanda_orders import OrderDesk
from simulator.oanda_protection import open_ledger
from simulator.oanda_request import RejectedError, market_order
from simulator.oanda_triggers import Triggers
from simulator.oanda_views import Views
from simulator.web import Call, Handler, Json, RefusalError, Reply, endpoint

UNAUTHORIZED = {"errorMessage": "Insufficient authorization to perform request."}
FORBIDDEN = {"errorMessage": "The provided request was forbidden."}
PAGE = 1000


class Oanda:
    """The whole practice account. `token` is the bearer token of this run."""

    def __init__(self, book: Book, account_id: str, token: str) -> None:
        self._book, self._token = book, token
        ledger = open_ledger(book, account_id)
        self.account, self.log, self.orders, self.views = ledger.account, ledger.log, ledger.orders, Views(ledger)
        fills = Fills(ledger)
        self._desk = OrderDesk(ledger, fills)
        self._closing = Closing(ledger, self._desk)
        book.accounts.append(Triggers(ledger, fills))

    @property
    def account_id(self) -> str:
        return self.account.row.account_id

    def routes(self) -> list[BaseRoute]:
        home = "/v3/accounts/{account}"
        gets: dict[str, Handler] = {
            "/v3/accounts": self._accounts,
            f"{home}": self._account,
            f"{home}/summary": self._summary,
            f"{home}/instruments": self._instruments,
            f"{home}/pricing": self._pricing,
            f"{home}/changes": self._changes,
            f"{home}/transactions/sinceid": self._since,
            f"{home}/transactions/{{id}}": self._transaction,
            f"{home}/pendingOrders": self._pending,
            f"{home}/orders": self._list_orders,
            f"{home}/orders/{{order}}": self._order,
            f"{home}/trades": self._trades,
            f"{home}/openTrades": self._trades,
            f"{home}/trades/{{trade}}": self._trade,
            f"{home}/positions": self._all_positions,
            f"{home}/openPositions": self._positions,
            f"{home}/positions/{{instrument}}": self._position,
            "/v3/instruments/{instrument}/candles": self._candles,
            f"{home}/instruments/{{instrument}}/candles": self._candles,
        }
        puts: dict[str, Handler] = {
            f"{home}/orders/{{order}}/cancel": self._closing.cancel_order,
            f"{home}/trades/{{trade}}/close": self._closing.close_trade,
            f"{home}/trades/{{trade}}/orders": self._closing.set_protection,
            f"{home}/positions/{{instrument}}/close": self._closing.close_position,
        }
        routes = [self._route(path, "GET", handler) for path, handler in gets.items()]
        routes += [self._route(path, "PUT", handler) for path, handler in puts.items()]
        return [*routes, self._route(f"{home}/orders", "POST", self._create)]

    def _route(self, path: str, method: str, handler: Handler) -> BaseRoute:
        return Route(path, endpoint(self._guarded(handler), _malformed), methods=[method])

    def _guarded(self, handler: Handler) -> Handler:
        def answer(call: Call) -> Reply:
            request_id = str(secrets.randbelow(10**17))
            try:
                self._authorize(call)
                with self._book.request():
                    self.log.begin(request_id)
                    reply = handler(call)
            except RefusalError as refusal:
                reply = refusal.reply
            except NoPriceError as error:
                reply = Reply({"errorMessage": str(error)}, 503)
            if call.headers.get("accept-datetime-format", "RFC3339").upper() == "UNIX":
                reply = replace(reply, body=_unix_times(reply.body))
            return replace(reply, headers={**reply.headers, "RequestID": request_id})

        return answer

    def _authorize(self, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not secrets.compare_digest(token.encode(), self._token.encode()):
            raise RefusalError(401, UNAUTHORIZED)
        asked = call.params.get("account")
        if asked is not None and asked not in self._listed:
            raise RefusalError(403, FORBIDDEN)
        if call.headers.get("accept-datetime-format", "RFC3339").upper() not in ("RFC3339", "UNIX"):
            raise bad("Invalid value specified for 'Accept-Datetime-Format'")

    @property
    def _listed(self) -> tuple[str, ...]:
        """The token's accounts: a closed one is not among them, and forbidden."""
        return (self.account_id,) if self._book.switches.oanda_account_listed else ()

    def _reply(self, **body: Any) -> Reply:
        return Reply({**body, "lastTransactionID": self.log.last_id})

    def _accounts(self, _call: Call) -> Reply:
        return Reply({"accounts": [{"id": each, "tags": []} for each in self._listed]})

    def _account(self, _call: Call) -> Reply:
        trades = [self.views.trade_summary(trade) for trade in self.account.open_trades()]
        orders = [self.views.order(order) for order in self.orders.pending()]
        return self._reply(
            account=self.views.summary()
            | {"trades": trades, "orders": orders, "positions": self._held(everything=True)}
        )

    def _summary(self, _call: Call) -> Reply:
        return self._reply(account=self.views.summary())

    def _asked(self, call: Call) -> list[ForexPair]:
        unknown = [name for name in call.many("instruments") if name not in self._book.pairs]
        if unknown:
            raise bad("Invalid value specified for 'instruments'")
        return [self._book.pairs[name] for name in call.many("instruments")]

    def _instruments(self, call: Call) -> Reply:
        pairs = self._asked(call) or list(self._book.pairs.values())
        return self._reply(instruments=[self.views.instrument(pair) for pair in pairs])

    def _pricing(self, call: Call) -> Reply:
        pairs = self._asked(call)
        if not pairs:
            raise bad("Missing required parameter 'instruments'")
        prices = [price for pair in pairs if (price := self.views.price(pair)) is not None]
        body: Json = {"time": stamp(self._book.clock.now()), "prices": prices}
        if (call.one("includeHomeConversions") or "").lower() == "true":
            body["homeConversions"] = self.views.home_conversions(pairs)
        return Reply(body)

    def _candles(self, call: Call) -> Reply:
        return Reply(candles(self._book, self._pair(call), call))

    def _pair(self, call: Call) -> ForexPair:
        pair = self._book.pairs.get(call.params["instrument"])
        if pair is None:
            raise bad("Invalid value specified for 'instrument'")
        return pair

    def _create(self, call: Call) -> Reply:
        raw = call.body.get("order")
        if not isinstance(raw, dict):
            raise bad("Required parameter 'order' is missing or not an object")
        if raw.get("type") in ("STOP_LOSS", "TAKE_PROFIT"):
            return self._closing.protect(raw)
        if raw.get("type") != "MARKET":
            raise bad("Invalid value specified for 'order.type'")
        try:
            done = self._desk.place(market_order(raw, self._book.pairs))
        except RejectedError as rejected:
            return self._closing.rejected("MARKET_ORDER_REJECT", rejected.reason, raw)
        order_id = done["orderCreateTransaction"]["id"]
        body = {**done, "relatedTransactionIDs": self.log.batch_ids(), "lastTransactionID": self.log.last_id}
        return Reply(body, 201, {"Location": f"{call.path}/{order_id}"})

    def _since_id(self, text: str | None) -> int:
        if text is None or not text.isdigit():
            raise bad("Invalid value specified for 'id'")
        if int(text) > int(self.log.last_id):
            raise RefusalError(416, {"errorMessage": "The requested range is not satisfiable."})
        return int(text)

    def _since(self, call: Call) -> Reply:
        return self._reply(transactions=self.log.since(self._since_id(call.one("id")))[:PAGE])

    def _transaction(self, call: Call) -> Reply:
        return self._reply(transaction=_found(self.log.get(call.params["id"])))

    def _changes(self, call: Call) -> Reply:
        newer = self.log.since(self._since_id(call.one("sinceTransactionID")))
        ids = {row["id"] for row in newer}
        orders, trades = self.orders.rows.values(), self.account.trades.values()
        ended = [order for order in orders if order.ended_by in ids]
        moved = [trade for trade in trades if ids & {trade.id, *trade.closing_ids}]
        closed = [trade for trade in moved if trade.units == 0 and ids & set(trade.closing_ids)]
        reduced = [trade for trade in moved if trade.units != 0 and ids & set(trade.closing_ids)]
        view, summary = self.views.order, self.views.trade_summary
        changes = {
            "ordersCreated": [view(order) for order in orders if order.id in ids],
            "ordersCancelled": [view(order) for order in ended if order.state == "CANCELLED"],
            "ordersFilled": [view(order) for order in ended if order.state == "FILLED"],
            "ordersTriggered": [],
            "tradesOpened": [summary(trade) for trade in moved if trade.id in ids],
            "tradesReduced": [summary(trade) for trade in reduced],
            "tradesClosed": [summary(trade) for trade in closed],
            "positions": [self.views.position(name) for name in sorted({trade.instrument for trade in moved})],
            "transactions": newer,
        }
        return self._reply(changes=changes, state=self.views.state())

    def _pending(self, _call: Call) -> Reply:
        """All of them, newest first: unlike GET orders it knows no `count`."""
        return self._reply(orders=[self.views.order(order) for order in reversed(self.orders.pending())])

    def _list_orders(self, call: Call) -> Reply:
        """`state` of GET orders: PENDING unless asked otherwise; newest first, as the venue lists them."""
        state, wanted = call.one("state", "PENDING"), call.many("ids")
        rows = [
            o
            for o in reversed(self.orders.rows.values())
            if state in ("ALL", o.state) and (not wanted or o.id in wanted)
        ]
        return self._reply(orders=[self.views.order(order) for order in rows[: integer(call, "count", 50)]])

    def _order(self, call: Call) -> Reply:
        return self._reply(order=self.views.order(_found(self.orders.find(call.params["order"]))))

    def _trades(self, call: Call) -> Reply:
        trades = self.account.open_trades(call.one("instrument"))
        return self._reply(trades=[self.views.trade(trade) for trade in reversed(trades)])

    def _trade(self, call: Call) -> Reply:
        return self._reply(trade=self.views.trade(_found(self._closing.find_trade(call.params["trade"]))))

    def _held(self, *, everything: bool) -> list[Json]:
        trades = self.account.trades.values() if everything else self.account.open_trades()
        return [self.views.position(name) for name in sorted({trade.instrument for trade in trades})]

    def _positions(self, _call: Call) -> Reply:
        return self._reply(positions=self._held(everything=False))

    def _all_positions(self, _call: Call) -> Reply:
        return self._reply(positions=self._held(everything=True))

    def _position(self, call: Call) -> Reply:
        return self._reply(position=self.views.position(self._pair(call).name))


def _malformed() -> Reply:
    return Reply({"errorMessage": "Invalid JSON, ParseErrorCode: 3, Message: Invalid value."}, 400)


def _found(row: Any) -> Any:
    if row is None:
        raise RefusalError(
            404, {"errorCode": "NO_SUCH_RESOURCE", "errorMessage": "The resource specified does not exist"}
        )
    return row


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def _unix_times(value: Any) -> Any:
    """The document with every time as seconds since 1970, nine decimals."""
    if isinstance(value, dict):
        return {name: _unix_times(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_unix_times(part) for part in value]
    if isinstance(value, str) and _TIME.fullmatch(value):
        moment: datetime = parse_time(value)
        return f"{int(moment.timestamp())}.{moment.microsecond:06d}000"
    return value
