"""Stops, trailing stops and targets of a trade: created on fill or later, replaced, cancelled, removed with their trade."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ffe.money import plain
from simulator.book import Book
from simulator.margin import MarginAccount, Trade
from simulator.oanda_log import TransactionLog
from simulator.oanda_rows import Order, Orders
from simulator.web import Json

STOP, TARGET, TRAILING = "STOP_LOSS", "TAKE_PROFIT", "TRAILING_STOP_LOSS"


class Protections:
    def __init__(self, account: MarginAccount, log: TransactionLog, orders: Orders) -> None:
        self._account, self._log, self._orders = account, log, orders

    def order_of(self, trade: Trade, kind: str) -> Order | None:
        if kind == TRAILING:
            working = (order for order in self._orders.pending() if order.kind == TRAILING)
            return next((order for order in working if order.trade_id == trade.id), None)
        order_id = trade.stop_id if kind == STOP else trade.target_id
        return None if order_id is None else self._orders.rows.get(order_id)

    def create(
        self,
        trade_id: str,
        kind: str,
        level: Decimal,
        reason: str,
        *,
        client: Json | None = None,
        fill_id: str | None = None,
        replaces: str | None = None,
        distance: Decimal | None = None,
    ) -> Json:
        """Records and watches a stop or target of the trade, whose older one of that kind must already be gone.

        A trailing stop has a `distance`, and begins at `level`.
        """
        trade = self._account.trades[trade_id]
        body: Json = {
            "type": kind,
            "tradeID": trade_id,
            "clientTradeID": (trade.client or {}).get("id"),
            "price": plain(level) if distance is None else None,
            "distance": None if distance is None else plain(distance),
            "timeInForce": "GTC",
            "triggerCondition": "DEFAULT",
            "clientExtensions": client,
        }
        fields: Json = {name: value for name, value in body.items() if value is not None and name != "type"}
        links = {"reason": reason, "orderFillTransactionID": fill_id, "replacesOrderID": replaces}
        row = self._log.record(f"{kind}_ORDER", None, **links, **fields)
        self._orders.watch(row["id"], {"type": kind, **fields}, trade_id, level)
        self._point(trade, kind, row["id"])
        return row

    def begin_trailing(self, trade_id: str, distance: Decimal) -> Decimal:
        """Where a trailing stop starts: its distance away from the side of the market at which the trade would be closed."""
        trade = self._account.trades[trade_id]
        quote = self._account.quote(self._account.book.pairs[trade.instrument])
        return quote.bid - distance if trade.units > 0 else quote.ask + distance

    def remove(
        self, trade_id: str, kind: str, reason: str, at: datetime | None = None, replaced_by: str | None = None
    ) -> Json | None:
        """Cancels the trade's pending stop or target; None when it has none."""
        trade = self._account.trades[trade_id]
        order = self.order_of(trade, kind)
        if order is None or order.state != "PENDING":
            return None
        self._point(trade, kind, None)
        return self._orders.cancel(order, reason, at, replaced_by)

    def _point(self, trade: Trade, kind: str, order_id: str | None) -> None:
        if kind == TRAILING:
            return
        changed = replace(trade, stop_id=order_id) if kind == STOP else replace(trade, target_id=order_id)
        self._account.trades.put(trade.id, changed)


@dataclass(frozen=True)
class Ledger:
    """The parts of the margin account that every desk works on."""

    book: Book
    account: MarginAccount
    log: TransactionLog
    orders: Orders
    protections: Protections


def open_ledger(book: Book, account_id: str) -> Ledger:
    account = MarginAccount(book, account_id)
    log = TransactionLog(book, account)
    orders = Orders(book, log)
    return Ledger(book, account, log, orders, Protections(account, log, orders))
