"""The money half of the schema: accounts, orders, their events, reservations, fills, positions and incidents."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from ffe.ledger.tables import LedgerRow, amount, document, moment, ordered_document, text


class AccountRow(LedgerRow, table=True):
    """Nothing but a row to lock: on PostgreSQL two reservations on one account queue up behind it."""

    __tablename__ = "account"

    venue: str = text(primary_key=True)
    account: str = text(primary_key=True)


class OrderRow(LedgerRow, table=True):
    """One order. Its first unique key is the decision's leg: a bar decided twice finds the row that is already there."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("account", "instrument", "timeframe", "bar_close", "leg"),
        UniqueConstraint("client_order_id"),
        Index(None, "venue", "account", "state"),
    )

    id: str = text(primary_key=True)
    client_order_id: str = text()
    decision_id: str = text(foreign_key="decision.id", index=True)
    venue: str = text()
    account: str = text()
    instrument: str = text()
    timeframe: str = text()
    bar_close: datetime = moment()
    leg: str = text()
    side: str = text()
    units: Decimal = amount()
    reference_price: Decimal = amount()
    price_bound: Decimal | None = amount()
    stop_loss: Decimal | None = amount()
    take_profit: Decimal | None = amount()
    reserve_currency: str = text()
    reserve_amount: Decimal = amount()
    confidence: int
    cancel_first: list[str] = document()
    state: str = text()
    reason: str | None = text(default=None)
    venue_order_id: str | None = text(default=None)
    checkpoint: str | None = text(default=None)
    filled_units: Decimal = amount(default=Decimal(0))
    average_price: Decimal | None = amount(default=None)
    fees: Decimal = amount(default=Decimal(0))
    protection_ids: list[str] = document(default_factory=list)
    submitted_at: datetime | None = moment(default=None)
    trailing_distance: Decimal | None = amount(default=None)
    dead_protection: int = 0
    watched: bool = False
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()


class OrderEventRow(LedgerRow, table=True):
    """Append-only: the database itself refuses to change or delete a line (triggers of the first migration)."""

    __tablename__ = "order_event"

    id: int | None = Field(default=None, primary_key=True)
    order_id: str = text(foreign_key="orders.id", index=True)
    at: datetime = moment()
    from_state: str | None = text()
    to_state: str = text()
    reason: str | None = text()
    detail: dict[str, Any] | None = document()


class ReservationRow(LedgerRow, table=True):
    __tablename__ = "reservation"
    __table_args__ = (Index(None, "venue", "account", "currency", "released_at"),)

    order_id: str = text(primary_key=True, foreign_key="orders.id")
    venue: str = text()
    account: str = text()
    currency: str = text()
    amount: Decimal = amount()
    created_at: datetime = moment()
    released_at: datetime | None = moment(default=None)
    used: bool = False


class FillRow(LedgerRow, table=True):
    __tablename__ = "fill"
    __table_args__ = (UniqueConstraint("venue", "account", "venue_fill_id"),)

    id: int | None = Field(default=None, primary_key=True)
    order_id: str = text(foreign_key="orders.id", index=True)
    venue: str = text()
    account: str = text()
    instrument: str = text()
    side: str = text()
    venue_fill_id: str = text()
    units: Decimal = amount()
    price: Decimal = amount()
    fee: Decimal = amount()
    fee_currency: str = text()
    time: datetime = moment()
    booked_at: datetime = moment()


class PositionRow(LedgerRow, table=True):
    __tablename__ = "position"

    venue: str = text(primary_key=True)
    account: str = text(primary_key=True)
    instrument: str = text(primary_key=True)
    units: Decimal = amount()
    average_price: Decimal | None = amount()
    realised: Decimal = amount()
    updated_at: datetime = moment()


class IncidentRow(LedgerRow, table=True):
    """No foreign keys: a failure is recorded even when what it is about was never committed."""

    __tablename__ = "incident"
    __table_args__ = (Index(None, "fingerprint", "created_at"),)

    id: str = text(primary_key=True)
    fingerprint: str = text()
    type: str = text()
    message: str = text()
    traceback: str = text()
    cycle_id: str | None = text(index=True)
    instrument: str | None = text()
    order_id: str | None = text()
    request: str | None = text()
    response: str | None = text()
    attempts: list[Any] = document()
    name: str | None = text()
    run_id: str | None = text()
    flow_run_id: str | None = text()
    batch_id: str | None = text()
    reproduce: str | None = text()
    parameters: dict[str, Any] | None = ordered_document(default=None)
    holds: dict[str, Any] | None = ordered_document(default=None)
    created_at: datetime = moment(index=True)
    last_at: datetime = moment()
    count: int = 1
