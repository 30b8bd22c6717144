"""What the ledger alone knows, as frozen records: cycles, positions, incidents, reservations and order events."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from ffe.orders.models import OrderState


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Cycle(_Record):
    """One run over some instruments. `finished_at` None: still running, or it died."""

    id: str
    mode: str
    timeframe: str
    started_at: datetime
    finished_at: datetime | None = None
    summary: dict[str, Any] | None = None


class OrderEvent(_Record):
    """One line of an order's append-only history. Equal states mean news without a change of state (a fill, a resend)."""

    order_id: str
    at: datetime
    from_state: OrderState | None
    to_state: OrderState
    reason: str | None
    detail: dict[str, Any] | None


class Reservation(_Record):
    """Balance set aside for one order; open until `released_at`. `used` tells money spent by fills from money given back."""

    order_id: str
    venue: str
    account: str
    currency: str
    amount: Decimal
    created_at: datetime
    released_at: datetime | None
    used: bool


class Position(_Record):
    """Booked from fills. `units` signed, negative is short; `realised` in the quote currency, before fees."""

    venue: str
    account: str
    instrument: str
    units: Decimal
    average_price: Decimal | None
    realised: Decimal
    updated_at: datetime


class Incident(_Record):
    """A failure worth reading. `count` says how often it came within an hour of `created_at`; `attempts` are the retries."""

    id: str
    type: str
    message: str
    traceback: str
    cycle_id: str | None
    instrument: str | None
    order_id: str | None
    request: str | None
    response: str | None
    attempts: list[Any]
    created_at: datetime
    last_at: datetime
    count: int
