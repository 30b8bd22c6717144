"""The account half of the schema: the kill switch, reconciliation's cursor, adjustments, cash, differences and equity marks."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from ffe.ledger.tables import LedgerRow, amount, document, moment, text


class KillSwitchRow(LedgerRow, table=True):
    """Append-only, like the events of an order: the newest line is the switch (triggers of the second migration)."""

    __tablename__ = "kill_switch"

    id: int | None = Field(default=None, primary_key=True)
    state: str = text()
    reason: str = text()
    by: str = text()
    at: datetime = moment()


class CursorRow(LedgerRow, table=True):
    __tablename__ = "cursor"

    venue: str = text(primary_key=True)
    account: str = text(primary_key=True)
    checkpoint: str = text()
    totals: dict[str, Any] = document()
    at: datetime = moment()


class AdjustmentRow(LedgerRow, table=True):
    __tablename__ = "adjustment"
    __table_args__ = (Index(None, "venue", "account", "instrument"),)

    id: str = text(primary_key=True)
    venue: str = text()
    account: str = text()
    instrument: str = text()
    units: Decimal = amount()
    price: Decimal | None = amount()
    cause: str = text()
    time: datetime = moment()


class CashEventRow(LedgerRow, table=True):
    __tablename__ = "cash_event"
    __table_args__ = (UniqueConstraint("venue", "account", "venue_id"),)

    id: int | None = Field(default=None, primary_key=True)
    venue: str = text()
    account: str = text()
    venue_id: str = text()
    cause: str = text()
    currency: str = text()
    amount: Decimal = amount()
    instrument: str | None = text()
    time: datetime = moment()


class DifferenceRow(LedgerRow, table=True):
    """`id` is a pure function of what is different, so the same thing seen again finds its row."""

    __tablename__ = "difference"
    __table_args__ = (Index(None, "venue", "account", "settled_at"),)

    id: str = text(primary_key=True)
    venue: str = text()
    account: str = text()
    instrument: str | None = text()
    kind: str = text()
    key: str = text()
    message: str = text()
    venue_says: str = text()
    ledger_says: str = text()
    found_at: datetime = moment(index=True)
    settled_at: datetime | None = moment(default=None)
    settled_how: str | None = text(default=None)


class EquityMarkRow(LedgerRow, table=True):
    """`epoch` counts the resumes by a person before this mark: drawdown begins again after one."""

    __tablename__ = "equity_mark"
    __table_args__ = (Index(None, "venue", "account", "epoch", "at"),)

    id: int | None = Field(default=None, primary_key=True)
    venue: str = text()
    account: str = text()
    currency: str = text()
    equity: Decimal = amount()
    at: datetime = moment()
    epoch: int
