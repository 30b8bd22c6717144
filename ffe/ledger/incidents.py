"""Incidents: the same failure within an hour is counted on its first row instead of piling up."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlmodel import Session, col, select

from ffe.ledger.models import Incident
from ffe.ledger.order_tables import IncidentRow
from ffe.ledger.rows import newest, record_of, records_of

WINDOW = timedelta(hours=1)


def fingerprint(kind: str, instrument: str | None, message: str) -> str:
    """sha256 over type, instrument and the message with every number made `#`: ids and prices differ, the failure is one."""
    shape = re.sub(r"\d+", "#", message)
    return hashlib.sha256("\n".join((kind, instrument or "", shape)).encode("utf-8", "replace")).hexdigest()


def record_incident(
    session: Session,
    *,
    type: str,  # noqa: A002 - the field's name in the record
    message: str,
    traceback: str,
    at: datetime,
    cycle_id: str | None,
    instrument: str | None,
    order_id: str | None,
    request: str | None,
    response: str | None,
    attempts: Sequence[Any],
) -> Incident:
    mark = fingerprint(type, instrument, message)
    row = _recent(session, mark, at)
    if row is None:
        row = IncidentRow(
            id=uuid4().hex,
            fingerprint=mark,
            type=type,
            message=message,
            traceback=traceback,
            cycle_id=cycle_id,
            instrument=instrument,
            order_id=order_id,
            request=request,
            response=response,
            attempts=list(attempts),
            created_at=at,
            last_at=at,
        )
        session.add(row)
    else:
        row.count, row.last_at = row.count + 1, at
    session.flush()
    session.refresh(row)
    return record_of(Incident, row)


def _recent(session: Session, mark: str, at: datetime) -> IncidentRow | None:
    query = select(IncidentRow).where(IncidentRow.fingerprint == mark, IncidentRow.created_at > at - WINDOW)
    return session.exec(query.order_by(col(IncidentRow.created_at).desc()).limit(1).with_for_update()).first()


def incidents(session: Session, limit: int) -> list[Incident]:
    return records_of(Incident, newest(session, IncidentRow, IncidentRow.created_at, limit))
