"""What a venue says of instruments, prices, accounts, positions and orders. All numbers are Decimal, all times UTC."""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.orders.models import Fill, OrderState, Side


class InstrumentSpec(BaseModel):
    """The venue's own trading rules for one instrument. Sizes in base units, notionals in quote currency; None means no limit."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    venue: str
    price_increment: Decimal
    size_increment: Decimal
    min_size: Decimal
    max_size: Decimal | None
    min_notional: Decimal | None
    max_notional: Decimal | None
    margin_rate: Decimal | None
    taker_fee_rate: Decimal
    pip: Decimal
    tradeable: bool
    status: str
    fetched_at: datetime


class Quote(BaseModel):
    """Top of book. `tradeable` false: halted or closed, with `status` as the venue's word for it."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    bid: Decimal
    ask: Decimal
    time: datetime
    tradeable: bool
    status: str

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> Decimal:
        return self.ask - self.bid


class Balance(BaseModel):
    model_config = ConfigDict(frozen=True)

    currency: str
    available: Decimal
    hold: Decimal


class Conversion(BaseModel):
    """Factors from a currency to the account's home currency: of a gain, of a loss, of a position's value."""

    model_config = ConfigDict(frozen=True)

    gain: Decimal
    loss: Decimal
    position: Decimal


class AccountState(BaseModel):
    """`available` is what new orders may use, in `currency`, before our own reservations; `source` names the endpoint it came from."""

    model_config = ConfigDict(frozen=True)

    venue: str
    account: str
    currency: str
    equity: Decimal
    available: Decimal
    balances: tuple[Balance, ...]
    conversions: dict[str, Conversion]
    source: str
    time: datetime


class VenuePosition(BaseModel):
    """Signed base units: negative is short. `protection` holds the ids of stop and target orders working at the venue."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    units: Decimal
    average_price: Decimal | None
    protection: tuple[str, ...] = ()


class OrderRequest(BaseModel):
    """An order on its way to the wire. `units` is positive base units, already rounded to the venue's increment.

    `reduce_only` marks a close: it can't open or turn a position around. `cancel_first` are protection orders whose hold must go before it.
    """

    model_config = ConfigDict(frozen=True)

    client_order_id: str
    instrument: str
    side: Side
    units: Decimal
    price_bound: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    reduce_only: bool = False
    cancel_first: tuple[str, ...] = ()


class VenueOrder(BaseModel):
    """What the venue says of an order: its state in our terms, the venue's own reason verbatim, and its fills.

    `protection_ids`: stop and target orders seen working for it; empty after a fill means unprotected.
    """

    model_config = ConfigDict(frozen=True)

    client_order_id: str
    venue_order_id: str | None
    state: OrderState
    reason: str | None
    fills: tuple[Fill, ...]
    protection_ids: tuple[str, ...] = ()

    @property
    def filled_units(self) -> Decimal:
        return sum((fill.units for fill in self.fills), Decimal(0))

    @property
    def average_price(self) -> Decimal | None:
        """Size-weighted over the fills; None without one."""
        if not self.fills:
            return None
        return sum((fill.units * fill.price for fill in self.fills), Decimal(0)) / self.filled_units

    @property
    def fees(self) -> Decimal:
        return sum((fill.fee for fill in self.fills), Decimal(0))
