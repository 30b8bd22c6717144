"""Differences between venue and ledger: opened when found, settled when gone or acknowledged. Nothing is deleted."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_
from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.account_tables import DifferenceRow
from ffe.ledger.reservations import lock_account
from ffe.ledger.rows import insert_once, locked, record_of, records_of
from ffe.orders.differences import Difference, DifferenceKind

GONE = "gone"
SHORTEST_PREFIX = 6


def observe(session: Session, venue: str, account: str, found: Sequence[Difference], at: datetime) -> list[Difference]:
    """Opens what is new and what came back, settles what is gone; the open ones of the account, oldest first.

    What a person accepted stays settled, and an event stays open until then. A second look at the same thing writes nothing.
    """
    lock_account(session, venue, account)
    for difference in found:
        _open(session, difference)
    seen = {difference.id for difference in found}
    for row in _open_rows(session, venue, account):
        if row.id not in seen and not DifferenceKind(row.kind).event:
            row.settled_at, row.settled_how = at, GONE
    session.flush()
    return records_of(Difference, _open_rows(session, venue, account))


def _open(session: Session, difference: Difference) -> None:
    if insert_once(session, DifferenceRow(**difference.model_dump())):
        return
    row = locked(session, DifferenceRow, difference.id)
    if row.settled_how == GONE:
        row.settled_at, row.settled_how, row.found_at = None, None, difference.found_at


def _open_rows(session: Session, venue: str, account: str) -> Sequence[DifferenceRow]:
    query = select(DifferenceRow).where(
        DifferenceRow.venue == venue, DifferenceRow.account == account, col(DifferenceRow.settled_at).is_(None)
    )
    return session.exec(query.order_by(col(DifferenceRow.found_at), col(DifferenceRow.id))).all()


def differences(session: Session, *, open_only: bool, limit: int) -> list[Difference]:
    """Of every account, oldest first; the newest `limit` of them."""
    query = select(DifferenceRow)
    if open_only:
        query = query.where(col(DifferenceRow.settled_at).is_(None))
    query = query.order_by(col(DifferenceRow.found_at).desc(), col(DifferenceRow.id).desc()).limit(limit)
    return records_of(Difference, reversed(session.exec(query).all()))


def blocking(session: Session, venue: str, account: str, instrument: str) -> list[Difference]:
    """Open differences of this instrument or of the whole account, oldest first."""
    concerns = or_(col(DifferenceRow.instrument) == instrument, col(DifferenceRow.instrument).is_(None))
    query = select(DifferenceRow).where(
        DifferenceRow.venue == venue,
        DifferenceRow.account == account,
        col(DifferenceRow.settled_at).is_(None),
        concerns,
    )
    rows = session.exec(query.order_by(col(DifferenceRow.found_at), col(DifferenceRow.id))).all()
    return records_of(Difference, rows)


def accept(session: Session, text: str, at: datetime, note: str) -> Difference:
    """Settles the difference of an id, or of a unique prefix of one. One that is settled already is returned as it stands.

    Raises:
        LedgerError: nothing has this id, or several begin with it.
    """
    row = locked(session, DifferenceRow, _id_of(session, text.strip()))
    if row.settled_at is None:
        row.settled_at, row.settled_how = at, f"accepted: {note}"
        session.flush()
    return record_of(Difference, row)


def _id_of(session: Session, text: str) -> str:
    if len(text) < SHORTEST_PREFIX:
        raise LedgerError(f"{text!r} is too short for a difference: {SHORTEST_PREFIX} characters or more")
    query = select(DifferenceRow.id).where(col(DifferenceRow.id).startswith(text, autoescape=True)).limit(3)
    ids = sorted(session.exec(query).all())
    if not ids:
        raise LedgerError(f"the ledger has no difference {text}")
    if len(ids) > 1:
        raise LedgerError(f"{text!r} fits several differences: {', '.join(ids)}")
    return ids[0]
