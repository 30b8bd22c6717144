"""Stop-loss and take-profit orders of a trade: created on fill or later, replaced, cancelled, removed with their trade."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ffe.money import plain
from simulator.book import Book
from simulator.margin import MarginAccount, Trade
from simulator.oanda_log import TransactionLog
from simulator.oanda_rows import Order, Orders
from simulator.web import Json

STOP, TARGET = "STOP_LOSS", "TAKE_PROFIT"


class Protections:
    def __init__(self, account: MarginAccount, log: TransactionLog, orders: Orders) -> None:
        self._account, self._log, self._orders = account, log, orders

    def order_of(self, trade: Trade, kind: str) -> Order | None:
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
    ) -> Json:
        """Records and watches a stop or target of the trade, whose older one of that kind must already be gone."""
        trade = self._account.trades[trade_id]
        body: Json = {
            "type": kind,
            "tradeID": trade_id,
            "clientTradeID": (trade.client or {}).get("id"),
            "price": plain(level),
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
