"""What a venue says of instruments, prices, accounts, positions and orders. All numbers are Decimal, all times UTC."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

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
    min_trailing_distance: Decimal | None = None


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
    trailing_distance: Decimal | None = None


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


class Capabilities(BaseModel):
    """What a venue can do, as its adapter uses it. One row of the matrix in docs/venues.md each; the execution spec checks them.

    `protection`: `attached` (stop and target go with the entry) or `none` (nothing can rest there: exits are watched by us).
    """

    model_config = ConfigDict(frozen=True)

    short: bool
    margin: bool
    dedupes_client_order_id: bool
    part_fills: bool
    protection: str
    protection_follows_position: bool
    trailing_stop: bool
    protection_holds_units: bool


class WorkingKind(StrEnum):
    STOP_LOSS = "stop-loss"
    TAKE_PROFIT = "take-profit"
    TRAILING_STOP = "trailing-stop"
    BRACKET = "bracket"
    OTHER = "other"


class WorkingOrder(BaseModel):
    """An order resting at the venue. `protects` is the client order id of the entry that it belongs to, None when it is nobody's of ours.

    `units` None: whatever its trade holds. A bracket has both `stop` and `target`; a trailing stop has `stop` as it stands now.
    """

    model_config = ConfigDict(frozen=True)

    venue_order_id: str
    client_order_id: str | None
    protects: str | None
    instrument: str
    kind: WorkingKind
    side: Side
    units: Decimal | None
    stop: Decimal | None = None
    target: Decimal | None = None


class Execution(BaseModel):
    """One fill at the venue, whoever ordered it. `fill.venue_fill_id` is the same id that `submit` and `lookup` report for it.

    `client_order_id`: of the order that filled, when it was sent with one. `protects`: the client order id of the entry whose
    stop, target or trailing stop this was; None otherwise. `closes`: of the entry whose trade it took units from, whoever ordered
    that; empty for somebody else's trade, None where it opened one or the venue keeps no trades apart. `cause` is the venue's own word (`MARKET_ORDER`, `STOP_LOSS_ORDER`).
    """

    model_config = ConfigDict(frozen=True)

    venue_order_id: str
    client_order_id: str | None
    protects: str | None
    closes: str | None = None
    cause: str
    instrument: str
    side: Side
    fill: Fill


class CashEvent(BaseModel):
    """Money that moved without a trade: a transfer, financing, an adjustment. `amount` signed, in `currency`."""

    model_config = ConfigDict(frozen=True)

    venue_id: str
    cause: str
    currency: str
    amount: Decimal
    instrument: str | None
    time: datetime


class Activity(BaseModel):
    """Everything that happened after a checkpoint, oldest first, and the checkpoint to go on from.

    `totals`: cash and wallets as they stand now (available + hold), by currency: OANDA's `balance`, every Coinbase wallet.
    `moved`: what the executions and cash events in here did to each of them. Totals before + moved = totals now, or something
    happened that nobody told us. A venue with nothing new answers with the same `checkpoint` again.
    """

    model_config = ConfigDict(frozen=True)

    executions: tuple[Execution, ...]
    cash: tuple[CashEvent, ...]
    totals: dict[str, Decimal]
    moved: dict[str, Decimal]
    checkpoint: str


class Protection(BaseModel):
    """Stop and target to place for units that are held already. `side` is the closing one, `units` positive.

    `client_order_id` is derived from the entry and the number of its earlier protections, so that asking twice places one.
    """

    model_config = ConfigDict(frozen=True)

    client_order_id: str
    entry_client_order_id: str
    instrument: str
    side: Side
    units: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_distance: Decimal | None = None
