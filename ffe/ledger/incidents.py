"""Incidents: the same failure within an hour is counted on its first row instead of piling up, and adds its run to that row's attempts."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack
from uuid import uuid4

from pydantic_core import to_jsonable_python
from sqlalchemy import or_
from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.models import Incident
from ffe.ledger.order_tables import IncidentRow, OrderEventRow, OrderRow, ReservationRow
from ffe.ledger.rows import newest, record_of, records_of, values_of
from ffe.ledger.tables import DecisionRow
from ffe.orders.models import OrderState

WINDOW = timedelta(hours=1)
# Runs that one row names; the count goes on. An hour has sixty runs of what runs every minute.
MOST_RUNS = 100
MOST_ORDERS = 10
SHORTEST_PREFIX = 6
KEY_PREFIX = "incident-"
OPEN = [state.value for state in OrderState if not state.final]
# Ids and addresses: any of them is the same failure. Then every other number.
_IDS = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b0x[0-9a-f]+\b|\b(?=[a-f]*\d)[0-9a-f]{12,}\b")


class Evidence(TypedDict, total=False):
    """What an incident may say of itself, as `ffe.ledger.models.Incident` describes it."""

    cycle_id: str | None
    order_id: str | None
    request: str | None
    response: str | None
    name: str | None
    run_id: str | None
    flow_run_id: str | None
    batch_id: str | None
    reproduce: str | None
    parameters: dict[str, Any] | None
    holds: dict[str, Any] | None
    id: str
    count: int


def fingerprint(kind: str, instrument: str | None, message: str) -> str:
    """sha256 over type, instrument and the message with every id and number made `#`: ids and prices differ, the failure is one."""
    shape = re.sub(r"\d+", "#", _IDS.sub("#", message))
    return hashlib.sha256("\n".join((kind, instrument or "", shape)).encode("utf-8", "replace")).hexdigest()


def record_incident(
    session: Session,
    *,
    type: str,  # noqa: A002 - the field's name in the record
    message: str,
    traceback: str,
    at: datetime,
    instrument: str | None = None,
    attempts: Sequence[Any] = (),
    **evidence: Unpack[Evidence],
) -> Incident:
    """Of a failure that is counted on an earlier row only its attempts are added to that row, as far as it names fewer than MOST_RUNS."""
    mark = fingerprint(type, instrument, message)
    row = _recent(session, mark, at)
    if row is None:
        evidence.setdefault("id", uuid4().hex)
        row = IncidentRow(
            fingerprint=mark,
            type=type,
            message=message,
            traceback=traceback,
            instrument=instrument,
            attempts=list(attempts),
            created_at=at,
            last_at=at,
            **evidence,
        )
        session.add(row)
    else:
        row.count, row.last_at = row.count + evidence.get("count", 1), max(row.last_at, at)
        row.attempts = [*row.attempts, *attempts][:MOST_RUNS]
    session.flush()
    session.refresh(row)
    return record_of(Incident, row)


def _recent(session: Session, mark: str, at: datetime) -> IncidentRow | None:
    query = select(IncidentRow).where(IncidentRow.fingerprint == mark, IncidentRow.created_at > at - WINDOW)
    return session.exec(query.order_by(col(IncidentRow.created_at).desc()).limit(1).with_for_update()).first()


def incidents(session: Session, limit: int) -> list[Incident]:
    return records_of(Incident, newest(session, IncidentRow, IncidentRow.created_at, limit))


def incident(session: Session, text: str) -> Incident | None:
    """By id or a start of it of 6 or more characters; by the key of its artifact or the id of its run, the newest that has it. None: none.

    Raises:
        LedgerError: several ids start so.
    """
    if len(text) < SHORTEST_PREFIX:
        return None
    query = select(IncidentRow).where(col(IncidentRow.id).startswith(text, autoescape=True)).limit(3)
    rows = session.exec(query).all()
    if len(rows) > 1:
        raise LedgerError(f"{text!r} fits several incidents: {', '.join(sorted(row.id for row in rows))}")
    if not rows:
        newest_first = select(IncidentRow).where(_named(text)).order_by(col(IncidentRow.created_at).desc())
        rows = session.exec(newest_first.limit(1)).all()
    return record_of(Incident, rows[0]) if rows else None


def _named(text: str) -> Any:
    mark = text.removeprefix(KEY_PREFIX)
    of_run = or_(col(IncidentRow.run_id) == text, col(IncidentRow.flow_run_id) == text)
    if mark == text or len(mark) < SHORTEST_PREFIX:
        return of_run
    return or_(of_run, col(IncidentRow.fingerprint).startswith(mark, autoescape=True))


def artifact_key(kind: str, instrument: str | None, message: str) -> str:
    """Key of the artifact that tells of every occurrence of one failure."""
    return f"{KEY_PREFIX}{fingerprint(kind, instrument, message)[:16]}"


def runs_with_incidents(session: Session, since: datetime) -> set[str]:
    """Ids of the runs, task runs and flow runs, that an incident seen since then names."""
    columns = select(IncidentRow.run_id, IncidentRow.flow_run_id, IncidentRow.attempts)
    rows = session.exec(columns.where(IncidentRow.last_at >= since)).all()
    named = {str(each.get("run")) for _, _, attempts in rows for each in attempts if isinstance(each, dict)}
    return named | {run for task, flow, _ in rows for run in (task, flow) if run is not None}


def touched(session: Session, *, order_id: str | None, cycle_id: str | None, instrument: str | None) -> dict[str, Any]:
    """Orders that a failure may have touched, with history and reservation: the named one (by its id or client order id), else those of the cycle.

    With an instrument, only of it, and whatever of it was still open.
    """
    query = select(OrderRow)
    if order_id is not None:
        query = query.where(or_(col(OrderRow.id) == order_id, col(OrderRow.client_order_id) == order_id))
    else:
        of_cycle = col(OrderRow.decision_id).in_(select(DecisionRow.id).where(DecisionRow.cycle_id == cycle_id))
        mine = of_cycle if instrument is None else or_(of_cycle, col(OrderRow.state).in_(OPEN))
        query = query.where(mine)
        query = query if instrument is None else query.where(OrderRow.instrument == instrument)
    rows = session.exec(query.order_by(col(OrderRow.created_at).desc()).limit(MOST_ORDERS)).all()
    return {"orders": [_order(session, row) for row in rows]} if rows else {}


def _order(session: Session, row: OrderRow) -> dict[str, Any]:
    events = select(OrderEventRow).where(OrderEventRow.order_id == row.id).order_by(col(OrderEventRow.id))
    reservation = session.get(ReservationRow, row.id)
    found = values_of(row) | {
        "events": [values_of(each) for each in session.exec(events).all()],
        "reservation": None if reservation is None else values_of(reservation),
    }
    document: dict[str, Any] = to_jsonable_python(found)
    return document
