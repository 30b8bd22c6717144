"""The running half of the schema: what standing checks found, and how the APIs that we call have answered."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index

from ffe.ledger.tables import LedgerRow, moment, ordered_document, text


class CheckRunRow(LedgerRow, table=True):
    """One run of a standing check (`reality-check`, `preflight`); `broken` counts what failed, the document has all of it."""

    __tablename__ = "check_run"
    __table_args__ = (Index(None, "kind", "at"),)

    id: str = text(primary_key=True)
    kind: str = text()
    at: datetime = moment()
    passed: bool
    broken: int = 0
    document: dict[str, Any] = ordered_document()


class ApiUsageRow(LedgerRow, table=True):
    """Calls of one API within one UTC hour, from every process; `seconds` is the sum of how long they took."""

    __tablename__ = "api_usage"

    source: str = text(primary_key=True)
    hour: datetime = moment(primary_key=True)
    calls: int = 0
    errors: int = 0
    seconds: float = 0.0
