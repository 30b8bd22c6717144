"""Runs of standing checks, and how the APIs that we call have answered, as functions of a session."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, type_coerce
from sqlmodel import Session, col, select

from ffe.ledger.models import ApiUsage, CheckRun
from ffe.ledger.operations_tables import ApiUsageRow, CheckRunRow
from ffe.ledger.rows import insert_once, locked, record_of, records_of

HOUR = timedelta(hours=1)


def record_check(
    session: Session, kind: str, at: datetime, *, passed: bool, broken: int, document: dict[str, Any]
) -> CheckRun:
    row = CheckRunRow(id=uuid4().hex, kind=kind, at=at, passed=passed, broken=broken, document=document)
    session.add(row)
    session.flush()
    return record_of(CheckRun, row)


def checks(
    session: Session, kind: str, limit: int, mode: str | None = None, until: datetime | None = None
) -> list[CheckRun]:
    """Newest first."""
    query = select(CheckRunRow).where(CheckRunRow.kind == kind)
    if mode is not None:
        query = query.where(type_coerce(col(CheckRunRow.document), JSON)["mode"].as_string() == mode)
    if until is not None:
        query = query.where(CheckRunRow.at <= until)
    return records_of(CheckRun, session.exec(query.order_by(col(CheckRunRow.at).desc()).limit(limit)).all())


def add_api_usage(session: Session, usage: Sequence[ApiUsage]) -> None:
    """Adds to what is there; two processes that add at once both count."""
    for each in sorted(usage, key=lambda one: (one.source, one.hour)):
        insert_once(session, ApiUsageRow(source=each.source, hour=each.hour))
        row = locked(session, ApiUsageRow, each.source, each.hour)
        row.calls += each.calls
        row.errors += each.errors
        row.seconds += each.seconds


def api_usage(session: Session, since: datetime) -> list[ApiUsage]:
    """Hours that had not ended at `since`, oldest first."""
    query = select(ApiUsageRow).where(ApiUsageRow.hour > since - HOUR)
    return records_of(ApiUsage, session.exec(query.order_by(col(ApiUsageRow.hour), col(ApiUsageRow.source))).all())
