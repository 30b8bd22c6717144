"""Reservations: balance set aside under the order's own id, so that two intents can't spend it twice.

The check and the row are one transaction behind one lock per account (SQLite: the whole file), and the sum is taken in
Decimal here: SQLite would add text as floats. Money that fills have spent since the balance was read is still missing from that
reading, so `reserve` counts those reservations too when it is told when the reading was made.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, select

from ffe.errors import InsufficientAvailableError
from ffe.ledger.models import Reservation
from ffe.ledger.order_tables import AccountRow, OrderRow, ReservationRow
from ffe.ledger.rows import exact_sum, insert_once, locked, records_of
from ffe.money import plain


def lock_account(session: Session, venue: str, account: str) -> None:
    """Everything that weighs an account's money or units against each other queues up here until the transaction ends."""
    insert_once(session, AccountRow(venue=venue, account=account))
    locked(session, AccountRow, venue, account)


def held(session: Session, venue: str, account: str, currency: str, read_at: datetime | None = None) -> Decimal:
    """Sum of open reservations, plus those that fills used up after `read_at`."""
    missing: ColumnElement[bool] = col(ReservationRow.released_at).is_(None)
    if read_at is not None:
        missing = or_(missing, and_(col(ReservationRow.used), col(ReservationRow.released_at) > read_at))
    query = select(ReservationRow).where(
        ReservationRow.venue == venue, ReservationRow.account == account, ReservationRow.currency == currency, missing
    )
    return exact_sum(row.amount for row in session.exec(query).all())


def take(
    session: Session,
    order: OrderRow,
    *,
    currency: str,
    amount: Decimal,
    available: Decimal,
    at: datetime,
    read_at: datetime | None,
) -> None:
    """Sets `amount` aside for an order; order and account are locked. An amount of zero (a close) always fits.

    Raises:
        InsufficientAvailableError: open reservations and `amount` exceed `available`; nothing is written.
    """
    taken = held(session, order.venue, order.account, currency, read_at)
    if amount > 0 and exact_sum((taken, amount)) > available:
        free = exact_sum((available, -taken))
        raise InsufficientAvailableError(
            f"{plain(amount)} {currency} needed, {plain(free)} {currency} free "
            f"({plain(available)} available less {plain(taken)} reserved)"
        )
    place: dict[str, Any] = {"order_id": order.id, "venue": order.venue, "account": order.account, "currency": currency}
    session.add(ReservationRow(**place, amount=amount, created_at=at))
    session.flush()


def release(session: Session, order_id: str, at: datetime, *, used: bool) -> None:
    """Gives back what the order holds, once; `used` when fills spent it."""
    row = session.get(ReservationRow, order_id)
    if row is not None and row.released_at is None:
        row.released_at, row.used = at, used
        session.flush()


def open_reservations(session: Session) -> list[Reservation]:
    query = select(ReservationRow).where(col(ReservationRow.released_at).is_(None))
    return records_of(Reservation, session.exec(query.order_by(col(ReservationRow.created_at))).all())
