"""Coinbase Advanced Trade over HTTP: routes, keys, paging and error bodies. What the account does is in the `coinbase_*` files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from starlette.routing import BaseRoute, Route

from ffe.clock import parse_time
from simulator import coinbase_views as views
from simulator.book import Book
from simulator.coinbase_auth import MISSING_SCOPES, Key, Keyring
from simulator.coinbase_matching import MAKER, TAKER, Matching
from simulator.coinbase_orders import OrderDesk
from simulator.coinbase_request import gateway_error
from simulator.coinbase_rows import SpotOrder, SpotOrders
from simulator.instruments import Product
from simulator.wallets import Wallets
from simulator.web import Call, Handler, RefusalError, Reply, endpoint

T = TypeVar("T")
NOT_FOUND = {"error": "unknown", "error_details": "Not Found", "message": "Not Found"}
LIMITS = {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "29", "x-ratelimit-reset": "1"}


class Coinbase:
    """One portfolio and the keys to it."""

    def __init__(self, book: Book, portfolio: str) -> None:
        self._book, self.portfolio = book, portfolio
        self.keys = Keyring()
        self.wallets, self.orders = Wallets(book, portfolio), SpotOrders(book)
        self._matching = Matching(book, self.wallets, self.orders)
        self._desk = OrderDesk(book, self.wallets, self.orders, self._matching)
        book.accounts.append(self._matching)

    def routes(self) -> list[BaseRoute]:
        root = "/api/v3/brokerage"
        views_only: dict[str, Handler] = {
            "/accounts": self._accounts,
            "/products": self._products,
            "/products/{product}": self._product,
            "/products/{product}/candles": self._candles,
            "/best_bid_ask": self._best_bid_ask,
            "/orders/historical/batch": self._list_orders,
            "/orders/historical/fills": self._fills,
            "/orders/historical/{order}": self._order,
            "/portfolios": self._portfolios,
            "/transaction_summary": self._summary,
        }
        public: dict[str, Handler] = {
            "/time": self._time,
            "/market/products": self._products,
            "/market/products/{product}": self._product,
            "/market/products/{product}/candles": self._candles,
        }
        trades: dict[str, Handler] = {"/orders": self._create, "/orders/batch_cancel": self._cancel}
        routes = [self._route(root + path, "GET", self._public(handler)) for path, handler in public.items()]
        routes += [self._route(root + path, "GET", self._keyed(handler)) for path, handler in views_only.items()]
        routes += [
            self._route(root + path, "POST", self._keyed(handler, trade=True)) for path, handler in trades.items()
        ]
        routes.append(self._route(f"{root}/orders/preview", "POST", self._keyed(self._preview)))
        return [*routes, self._route(f"{root}/key_permissions", "GET", self._permissions)]

    def _route(self, path: str, method: str, handler: Handler) -> BaseRoute:
        return Route(path, endpoint(handler, lambda: gateway_error("malformed JSON").reply), methods=[method])

    def _public(self, handler: Handler) -> Handler:
        return lambda call: self._answer(lambda: handler(call))

    def _keyed(self, handler: Handler, *, trade: bool = False) -> Handler:
        def act(call: Call) -> Reply:
            if not self._key(call).can_trade and trade:
                raise RefusalError(403, MISSING_SCOPES)
            return handler(call)

        return lambda call: self._answer(lambda: act(call))

    def _key(self, call: Call) -> Key:
        return self.keys.verify(call, self._book.switches.coinbase_jwt_leeway_seconds)

    def _answer(self, act: Callable[[], Reply]) -> Reply:
        try:
            with self._book.request():
                self._matching.unread()
                reply = act()
        except RefusalError as refusal:
            reply = refusal.reply
        return replace(reply, headers={**reply.headers, **LIMITS})

    def _permissions(self, call: Call) -> Reply:
        def act() -> Reply:
            key = self._key(call)
            rights = {"can_view": True, "can_trade": key.can_trade, "can_transfer": key.can_transfer}
            return Reply({**rights, "portfolio_uuid": self.portfolio, "portfolio_type": "DEFAULT"})

        return self._answer(act)

    def _time(self, _call: Call) -> Reply:
        now = self._book.clock.now()
        seconds = now.timestamp()
        return Reply(
            {"iso": views.iso(now), "epochSeconds": str(int(seconds)), "epochMillis": str(int(seconds * 1000))}
        )

    def _accounts(self, call: Call) -> Reply:
        page, cursor = _page(call, self.wallets.rows.values(), 49, 250)
        active = self._book.switches.coinbase_account_active
        accounts = [views.wallet(row, self.portfolio, active=active) for row in page]
        return Reply({"accounts": accounts, "has_next": bool(cursor), "cursor": cursor, "size": len(accounts)})

    def _listed(self, name: str) -> Product:
        item = self._book.products.get(name)
        if item is None:
            raise RefusalError(404, NOT_FOUND)
        return item

    def _asked(self, call: Call) -> list[Product]:
        names = call.many("product_ids") or list(self._book.products)
        return [self._listed(name) for name in names]

    def _products(self, call: Call) -> Reply:
        found = [views.product(self._book, item) for item in self._asked(call)]
        return Reply({"products": found, "num_products": len(found)})

    def _product(self, call: Call) -> Reply:
        return Reply(views.product(self._book, self._listed(call.params["product"])))

    def _candles(self, call: Call) -> Reply:
        return Reply(views.candles(self._book, self._listed(call.params["product"]), call))

    def _best_bid_ask(self, call: Call) -> Reply:
        return Reply({"pricebooks": [views.price_book(self._book, item) for item in self._asked(call)]})

    def _create(self, call: Call) -> Reply:
        return Reply(self._desk.create(call.body))

    def _preview(self, call: Call) -> Reply:
        return Reply(self._desk.preview(call.body))

    def _cancel(self, call: Call) -> Reply:
        ids = call.body.get("order_ids")
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
            raise gateway_error("order_ids is required")
        return Reply({"results": [self._desk.cancel(one) for one in ids]})

    def _order(self, call: Call) -> Reply:
        row = self.orders.rows.get(call.params["order"])
        if row is None:
            raise RefusalError(404, NOT_FOUND)
        self._matching.poll(row)
        return Reply({"order": views.order(self.orders.rows[row.id], self.portfolio)})

    def _list_orders(self, call: Call) -> Reply:
        """Newest first. `start_date` counts, `end_date` does not."""
        since, until = _moment(call, "start_date"), _moment(call, "end_date")
        filters: dict[str, Callable[[SpotOrder], str]] = {
            "order_ids": lambda row: row.id,
            "product_ids": lambda row: row.product_id,
            "order_status": lambda row: row.status,
            "order_side": lambda row: row.side,
        }
        rows = [row for row in self.orders.rows.values() if _between(row.created, since, until)]
        for row in rows:
            self._matching.poll(row)
        rows = [self.orders.rows[row.id] for row in reversed(rows)]
        for name, field in filters.items():
            wanted = call.many(name)
            rows = [row for row in rows if not wanted or field(row) in wanted]
        page, cursor = _page(call, rows, 1000, 1000)
        orders = [views.order(row, self.portfolio) for row in page]
        return Reply({"orders": orders, "sequence": "0", "has_next": bool(cursor), "cursor": cursor})

    def _fills(self, call: Call) -> Reply:
        orders, items = call.many("order_ids"), call.many("product_ids")
        since, until = _moment(call, "start_sequence_timestamp"), _moment(call, "end_sequence_timestamp")
        rows = [
            row
            for row in reversed(self.orders.fills.values())
            if (not orders or row.order_id in orders) and (not items or row.product_id in items)
        ]
        page, cursor = _page(call, [row for row in rows if _between(row.time, since, until)], 100, 1000)
        return Reply({"fills": [views.fill(row, self.portfolio) for row in page], "cursor": cursor})

    def _portfolios(self, _call: Call) -> Reply:
        deleted = not self._book.switches.coinbase_account_active
        row = {"name": "Default", "uuid": self.portfolio, "type": "DEFAULT", "deleted": deleted}
        return Reply({"portfolios": [row]})

    def _summary(self, _call: Call) -> Reply:
        fees = sum(float(row.fees) for row in self.orders.rows.values())
        volume = sum(float(row.value) for row in self.orders.rows.values())
        tier = {"pricing_tier": "Intro 1", "taker_fee_rate": str(TAKER), "maker_fee_rate": str(MAKER)}
        return Reply({"total_volume": volume, "total_fees": fees, "fee_tier": tier})


def _between(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment < until)


def _moment(call: Call, name: str) -> datetime | None:
    text = call.one(name)
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise gateway_error(f"{name} must be RFC 3339") from None


def _page(call: Call, rows: Sequence[T], default: int, most: int) -> tuple[Sequence[T], str]:
    """The page at `cursor` (an offset) and the next cursor, empty at the end. Raises RefusalError for an unreadable limit or cursor."""
    limit, cursor = call.one("limit") or str(default), call.one("cursor") or "0"
    if not (limit.isdigit() and cursor.isdigit() and int(limit) > 0):
        raise gateway_error("limit and cursor must be what the venue gave")
    first, last = int(cursor), int(cursor) + min(int(limit), most)
    return rows[first:last], str(last) if last < len(rows) else ""
