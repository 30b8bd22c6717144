"""What a paper account is made of: cash, trades, resting orders, and the numbered lines that tell how it came to be so.

One record for both kinds of account. On margin the cash is the balance and units are in `trades`; a wallet account has no trades,
its units are cash of the base currency. An account is changed inside one transaction of the book (`paper_book`), never outside.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ffe.market.models import parse_instrument
from ffe.money import ZERO
from ffe.orders.models import Fill, Side
from ffe.venues.models import (
    CashEvent,
    Conversion,
    Execution,
    InstrumentSpec,
    OrderRequest,
    Quote,
    VenueOrder,
    WorkingKind,
    WorkingOrder,
)

HOME = "USD"


class Sheet(BaseModel):
    """What the data venue says of one instrument right now."""

    model_config = ConfigDict(frozen=True)

    quote: Quote
    spec: InstrumentSpec

    @property
    def open(self) -> bool:
        """OANDA says it in the quote, Coinbase in the product."""
        return self.quote.tradeable and self.spec.tradeable


class Prices(BaseModel):
    """Sheets by symbol and conversions to HOME by currency, all read just before the transaction that uses them."""

    model_config = ConfigDict(frozen=True)

    sheets: dict[str, Sheet]
    conversions: dict[str, Conversion]
    now: datetime


class Trade(BaseModel):
    """Units on margin that one order opened; signed, negative is short."""

    model_config = ConfigDict(frozen=True)

    id: str
    client_order_id: str
    instrument: str
    units: Decimal
    price: Decimal


class Resting(BaseModel):
    """A stop, target, trailing stop or bracket. `trade_id` on margin; `units` in a wallet, which holds them; `distance` when it trails."""

    model_config = ConfigDict(frozen=True)

    id: str
    client_order_id: str | None
    protects: str
    trade_id: str | None
    instrument: str
    kind: WorkingKind
    side: Side
    units: Decimal | None
    stop: Decimal | None = None
    target: Decimal | None = None
    distance: Decimal | None = None

    def working(self) -> WorkingOrder:
        return WorkingOrder(**self.model_dump(include=set(WorkingOrder.model_fields)), venue_order_id=self.id)


class LineKind(StrEnum):
    """sent, order: a request and what became of it, by client order id. placed, ended: a resting order, by its own id. booked: units
    or money moved.
    """

    SENT = "sent"
    ORDER = "order"
    PLACED = "placed"
    ENDED = "ended"
    BOOKED = "booked"


class Line(BaseModel):
    """One numbered line of the account's history; numbers have no gaps. `body` is JSON."""

    model_config = ConfigDict(frozen=True)

    number: int
    kind: LineKind
    key: str
    body: str


class Kept(BaseModel):
    """The request and what became of it, for a lookup or a repeated client order id."""

    model_config = ConfigDict(frozen=True)

    request: OrderRequest
    order: VenueOrder


class Booked(BaseModel):
    """An execution or a cash event, and what it did to the cash of each currency."""

    model_config = ConfigDict(frozen=True)

    execution: Execution | None = None
    cash: CashEvent | None = None
    moved: dict[str, Decimal]


class Terms(BaseModel):
    """Whose fill it is, which way, and at what price."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    client_order_id: str | None
    protects: str | None
    cause: str
    instrument: str
    side: Side
    price: Decimal
    at: datetime

    @classmethod
    def of_request(cls, request: OrderRequest, order_id: str, cause: str, price: Decimal, at: datetime) -> Self:
        return cls(
            order_id=order_id,
            client_order_id=request.client_order_id,
            protects=None,
            cause=cause,
            instrument=request.instrument,
            side=request.side,
            price=price,
            at=at,
        )

    @classmethod
    def of_resting(cls, order: Resting, cause: str, price: Decimal, at: datetime) -> Self:
        return cls(
            order_id=order.id,
            client_order_id=order.client_order_id,
            protects=order.protects,
            cause=cause,
            instrument=order.instrument,
            side=order.side,
            price=price,
            at=at,
        )


class PaperAccount(BaseModel):
    """`book` tells this book from one that was started anew: it is part of every id and checkpoint. `cash` counts what brackets hold."""

    book: str
    number: int = 0
    cash: dict[str, Decimal] = {}
    trades: list[Trade] = []
    resting: list[Resting] = []
    _new: list[Line] = PrivateAttr(default_factory=list)

    @property
    def new_lines(self) -> tuple[Line, ...]:
        """Lines of this transaction, not yet in the book."""
        return tuple(self._new)

    @property
    def checkpoint(self) -> str:
        return self.name_of(self.number)

    def name_of(self, number: int) -> str:
        return f"{self.book}-{number}"

    def add(self, kind: LineKind, key: str, body: BaseModel | str) -> str:
        """Appends a line; returns its name, which is the venue id of what it tells."""
        self.number += 1
        text = body if isinstance(body, str) else body.model_dump_json()
        self._new.append(Line(number=self.number, kind=kind, key=key, body=text))
        return self.name_of(self.number)

    def rest(self, order: Resting) -> None:
        """Puts it to work under the name of its line; the id it comes with is not used."""
        named = order.model_copy(update={"id": self.name_of(self.number + 1)})
        self.add(LineKind.PLACED, named.id, named)
        self.resting.append(named)

    def end(self, orders: Iterable[Resting], how: str) -> None:
        """Takes resting orders off; `how` is FILLED or CANCELLED."""
        for order in tuple(orders):
            self.resting.remove(order)
            self.add(LineKind.ENDED, order.id, how)

    def protecting(self, client_order_id: str) -> tuple[str, ...]:
        return tuple(order.id for order in self.resting if order.protects == client_order_id)

    def held_back(self, currency: str) -> Decimal:
        """Base units that brackets hold."""
        brackets = (order for order in self.resting if parse_instrument(order.instrument).base == currency)
        return sum((order.units for order in brackets if order.units is not None), ZERO)

    def move(self, moved: dict[str, Decimal]) -> None:
        for currency, amount in moved.items():
            self.cash[currency] = self.cash.get(currency, ZERO) + amount

    def deposit(self, currency: str, amount: Decimal, at: datetime) -> None:
        event = CashEvent(
            venue_id=self.name_of(self.number + 1),
            cause="PAPER_DEPOSIT",
            currency=currency,
            amount=amount,
            instrument=None,
            time=at,
        )
        self.move({currency: amount})
        self.add(LineKind.BOOKED, event.venue_id, Booked(cash=event, moved={currency: amount}))

    def execute(
        self,
        terms: Terms,
        units: Decimal,
        *,
        fee: Decimal,
        fee_currency: str,
        moved: dict[str, Decimal],
        closes: str | None = None,
    ) -> Fill:
        """Books one fill of positive `units`: its line, and `moved` on the cash. `closes`: the entry whose trade it reduces."""
        fill = Fill(
            venue_fill_id=self.name_of(self.number + 1),
            units=units,
            price=terms.price,
            fee=fee,
            fee_currency=fee_currency,
            time=terms.at,
        )
        execution = Execution(
            venue_order_id=terms.order_id,
            client_order_id=terms.client_order_id,
            protects=terms.protects,
            closes=closes,
            cause=terms.cause,
            instrument=terms.instrument,
            side=terms.side,
            fill=fill,
        )
        self.move(moved)
        self.add(LineKind.BOOKED, terms.order_id, Booked(execution=execution, moved=moved))
        return fill
