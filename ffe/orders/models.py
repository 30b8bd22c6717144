"""Orders, their states and the table of allowed transitions.

PLANNED     intent row committed; nothing else happened
RESERVED    the balance it needs is set aside in the ledger
SUBMITTING  committed just before the wire: from here on the venue may know the order
ACCEPTED    the venue has it; not filled yet
PARTIAL     some of it filled, the rest still working
FILLED, CANCELLED, REJECTED, DENIED   ended. CANCELLED may hold fills (a part-filled IOC). DENIED never left this machine
UNRESOLVED  sent, outcome unknown: looked up, never resent blindly; blocks its instrument
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.errors import IllegalTransitionError
from ffe.market.models import Timeframe

# Fixed for ever: changing it would let one decision be ordered twice across versions.
CLIENT_ORDER_NAMESPACE = UUID("5f2b6a0e-8f5d-5c6c-9a39-6f1f0d8f7c11")


class OrderState(StrEnum):
    PLANNED = "PLANNED"
    RESERVED = "RESERVED"
    SUBMITTING = "SUBMITTING"
    ACCEPTED = "ACCEPTED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    UNRESOLVED = "UNRESOLVED"

    @property
    def final(self) -> bool:
        return not TRANSITIONS[self]


_OUTCOMES = frozenset(
    {
        OrderState.ACCEPTED,
        OrderState.PARTIAL,
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
    }
)
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.PLANNED: frozenset({OrderState.RESERVED, OrderState.DENIED}),
    OrderState.RESERVED: frozenset({OrderState.SUBMITTING, OrderState.DENIED}),
    # SUBMITTING -> DENIED: the request certainly never reached the venue (refused connection, DNS, TLS).
    OrderState.SUBMITTING: _OUTCOMES | {OrderState.DENIED, OrderState.UNRESOLVED},
    OrderState.ACCEPTED: frozenset(
        {
            OrderState.PARTIAL,
            OrderState.FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
            OrderState.UNRESOLVED,
        }
    ),
    OrderState.PARTIAL: frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.UNRESOLVED}),
    OrderState.UNRESOLVED: _OUTCOMES,
    OrderState.FILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.DENIED: frozenset(),
}


def check_transition(order_id: str, old: OrderState, new: OrderState) -> None:
    """Raises IllegalTransitionError unless the table allows `old -> new`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransitionError(f"order {order_id}: {old} -> {new} is not a transition")


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class Leg(StrEnum):
    """What the order is to its decision. Only an entry opens exposure; everything else can only take it away.

    entry, exit   what a model's decision asks for
    protection    the entry's stop or target, filled at the venue: nobody here sent it, reconciliation adopts it
    watched       a stop or target that the venue can't hold, sent by the exit watch when its price was reached
    repair        the close of a filled entry whose protection could not be had
    flatten       the kill switch closes what is held
    """

    ENTRY = "entry"
    EXIT = "exit"
    PROTECTION = "protection"
    WATCHED = "watched"
    REPAIR = "repair"
    FLATTEN = "flatten"

    @property
    def opens(self) -> bool:
        return self is Leg.ENTRY


def client_order_id(account: str, instrument: str, timeframe: Timeframe, bar_close: datetime, leg: Leg) -> str:
    """The one id of one decision's leg: a UUIDv5 of its key, so that a rerun, a second worker or a restart makes the same one."""
    key = "|".join((account, instrument, timeframe.value, rfc3339(bar_close), leg.value))
    return str(uuid5(CLIENT_ORDER_NAMESPACE, key))


class OrderTerms(BaseModel):
    """What an intent and the order made of it agree on: whose decision, what, which way, how much and at which prices."""

    model_config = ConfigDict(frozen=True)

    decision_id: str
    venue: str
    account: str
    instrument: str
    timeframe: Timeframe
    bar_close: datetime
    leg: Leg
    side: Side
    units: Decimal
    reference_price: Decimal
    price_bound: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    reserve_currency: str
    reserve_amount: Decimal
    cancel_first: tuple[str, ...] = ()
    trailing_distance: Decimal | None = None


class Intent(OrderTerms):
    """A sized, checked order before it exists anywhere. Its key (account, instrument, timeframe, bar_close, leg) is unique in the ledger."""

    confidence: int

    @property
    def client_order_id(self) -> str:
        return client_order_id(self.account, self.instrument, self.timeframe, self.bar_close, self.leg)


class Fill(BaseModel):
    """One execution. `units` is positive base units; `fee` is in the quote currency at Coinbase, the home currency at OANDA."""

    model_config = ConfigDict(frozen=True)

    venue_fill_id: str
    units: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    time: datetime


class Order(OrderTerms):
    """What the ledger holds of an order, as of its newest event.

    `submitted_at` is the newest moment at which a request for it may have gone to the wire; None means never sent.
    `dead_protection` counts protection orders of this entry that stopped working; `watched`: we watch its exit ourselves.
    """

    id: str
    client_order_id: str
    state: OrderState
    reason: str | None
    venue_order_id: str | None
    checkpoint: str | None
    filled_units: Decimal
    average_price: Decimal | None
    fees: Decimal
    created_at: datetime
    updated_at: datetime
    protection_ids: tuple[str, ...] = ()
    submitted_at: datetime | None = None
    dead_protection: int = 0
    watched: bool = False
