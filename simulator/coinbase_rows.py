"""Coinbase orders and fills as kept."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe.money import ZERO
from simulator.book import Book
from simulator.web import Json

LIVE = ("PENDING", "QUEUED", "OPEN")


@dataclass(frozen=True)
class SpotOrder:
    """`kind` is the key of its configuration. A `stop` still set has not triggered; `polls` is how many reads until it is matched.

    `held` is what is left of its hold, in `hold_currency`. `base_size` or `quote_size` is what was asked.
    """

    id: str
    client_id: str
    product_id: str
    side: str
    kind: str
    configuration: Json
    created: datetime
    hold_currency: str
    held: Decimal
    watched_from: datetime
    status: str = "PENDING"
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit: Decimal | None = None
    stop: Decimal | None = None
    stop_up: bool = False
    polls: int = 0
    attached: Json | None = None
    attached_id: str | None = None
    parent_id: str | None = None
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0
    last_fill: datetime | None = None
    trigger_status: str = "INVALID_ORDER_TYPE"
    cancel_message: str = ""
    reject_reason: str = ""

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def immediate(self) -> bool:
        return self.kind in ("market_market_ioc", "sor_limit_ioc", "limit_limit_fok")


@dataclass(frozen=True)
class SpotFill:
    id: str
    trade_id: str
    order_id: str
    product_id: str
    side: str
    price: Decimal
    size: Decimal
    fee: Decimal
    time: datetime
    maker: bool


class SpotOrders:
    def __init__(self, book: Book) -> None:
        self.rows = book.state.table("coinbase_order", SpotOrder)
        self.fills = book.state.table("coinbase_fill", SpotFill)
        self._clients = book.state.table("coinbase_client", dict)

    def put(self, order: SpotOrder) -> SpotOrder:
        if self._clients.get(order.client_id) is None:
            self._clients.put(order.client_id, {"order_id": order.id})
        return self.rows.put(order.id, order)

    def by_client(self, client_id: str) -> SpotOrder | None:
        row = self._clients.get(client_id)
        return None if row is None else self.rows[row["order_id"]]

    def live(self) -> list[SpotOrder]:
        return [order for order in self.rows.values() if order.live]

    def update(self, order_id: str, **changes: Any) -> SpotOrder:
        return self.rows.put(order_id, replace(self.rows[order_id], **changes))
