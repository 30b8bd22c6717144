"""OANDA orders as kept: what was asked (`body`, in the venue's words), what is worked on, and how it ended."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from simulator.book import Book, next_minute
from simulator.oanda_log import TransactionLog
from simulator.web import Json


@dataclass(frozen=True)
class Order:
    """`level` and `trade_id` belong to stops and targets; `watched_from` is the first minute whose prices count for them."""

    id: str
    created: datetime
    body: Json
    state: str = "PENDING"
    trade_id: str | None = None
    level: Decimal | None = None
    watched_from: datetime | None = None
    ended_by: str | None = None
    ended_at: datetime | None = None
    opened_trade: str | None = None
    reduced_trade: str | None = None
    closed_trades: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.body["type"])

    @property
    def client_id(self) -> str | None:
        return (self.body.get("clientExtensions") or {}).get("id")


class Orders:
    def __init__(self, book: Book, log: TransactionLog) -> None:
        self._book, self._log = book, log
        self.rows = book.state.table("oanda_order", Order)

    def put(self, order: Order) -> Order:
        return self.rows.put(order.id, order)

    def pending(self) -> list[Order]:
        return [order for order in self.rows.values() if order.state == "PENDING"]

    def pending_client(self, client_id: str | None) -> Order | None:
        """The pending order with that client id: a market order is never one."""
        return next((o for o in self.pending() if client_id is not None and o.client_id == client_id), None)

    def find(self, specifier: str) -> Order | None:
        """By id, or by `@client-id`: the newest order of that client id, whatever its state."""
        if not specifier.startswith("@"):
            return self.rows.get(specifier)
        return next((o for o in reversed(self.rows.values()) if o.client_id == specifier[1:]), None)

    def watch(self, order_id: str, body: Json, trade_id: str, level: Decimal) -> Order:
        now = self._book.clock.now()
        return self.put(Order(order_id, now, body, trade_id=trade_id, level=level, watched_from=next_minute(now)))

    def cancel(self, order: Order, reason: str, at: datetime | None = None, replaced_by: str | None = None) -> Json:
        moment = at or self._book.clock.now()
        row = self._log.record(
            "ORDER_CANCEL",
            moment,
            orderID=order.id,
            clientOrderID=order.client_id,
            reason=reason,
            replacedByOrderID=replaced_by,
        )
        self.put(replace(order, state="CANCELLED", ended_by=row["id"], ended_at=moment))
        return row
