"""What reconciliation keeps: how far it has read each account, units that are not ours, and money that moved without a trade."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlmodel import Session, col, select

from ffe.ledger.account_tables import AdjustmentRow, CashEventRow, CursorRow
from ffe.ledger.models import Adjustment, Cursor
from ffe.ledger.order_tables import OrderRow
from ffe.ledger.rows import insert_once, locked, record_of, records_of
from ffe.venues.models import CashEvent

# `at` of a cursor that came out of a backup: what the venue did since then, our own orders included, has not been read.
UNREAD = datetime(1970, 1, 1, tzinfo=UTC)


def unread(session: Session, venue: str, account: str) -> bool:
    """Whether the ledger was restored from a backup and the account has not been reconciled since."""
    row = session.get(CursorRow, (venue, account))
    return row is not None and row.at == UNREAD


def cursor(session: Session, venue: str, account: str) -> Cursor | None:
    row = session.get(CursorRow, (venue, account))
    return None if row is None else record_of(Cursor, row)


def begin_cursor(session: Session, venue: str, account: str, checkpoint: str, *, at: datetime) -> Cursor:
    """Without totals: nothing was compared yet."""
    begun = Cursor(venue=venue, account=account, checkpoint=checkpoint, totals={}, at=at)
    insert_once(session, CursorRow(**begun.model_dump()))
    return record_of(Cursor, locked(session, CursorRow, venue, account))


def move_cursor(
    session: Session, venue: str, account: str, checkpoint: str, *, totals: dict[str, Decimal], at: datetime
) -> None:
    """Nothing is written when neither checkpoint nor totals are news, and the account was read before."""
    new = Cursor(venue=venue, account=account, checkpoint=checkpoint, totals=totals, at=at)
    if insert_once(session, CursorRow(**new.model_dump())):
        return
    row = locked(session, CursorRow, venue, account)
    if row.at == UNREAD or record_of(Cursor, row).model_copy(update={"at": at}) != new:
        row.checkpoint, row.totals, row.at = checkpoint, dict(totals), at


def first_checkpoint(session: Session, venue: str, account: str) -> str | None:
    """Of the account's oldest order that has one: where reconciliation begins when it has no cursor yet."""
    query = select(OrderRow.checkpoint).where(
        OrderRow.venue == venue, OrderRow.account == account, col(OrderRow.checkpoint).is_not(None)
    )
    return session.exec(query.order_by(col(OrderRow.created_at)).limit(1)).first()


def adjust(session: Session, adjustment: Adjustment) -> bool:
    """Once by id; False when it is known."""
    return insert_once(session, AdjustmentRow(**adjustment.model_dump()))


def adjustments(session: Session, venue: str, account: str) -> list[Adjustment]:
    """Oldest first."""
    query = select(AdjustmentRow).where(AdjustmentRow.venue == venue, AdjustmentRow.account == account)
    rows = session.exec(query.order_by(col(AdjustmentRow.time), col(AdjustmentRow.id))).all()
    return records_of(Adjustment, rows)


def record_cash(session: Session, venue: str, account: str, event: CashEvent) -> bool:
    """Once by the venue's id; False when it is known."""
    return insert_once(session, CashEventRow(venue=venue, account=account, **event.model_dump()))


def cash_events(session: Session, venue: str, account: str, limit: int) -> list[CashEvent]:
    """Newest first."""
    query = select(CashEventRow).where(CashEventRow.venue == venue, CashEventRow.account == account)
    rows = session.exec(query.order_by(col(CashEventRow.time).desc(), col(CashEventRow.id).desc()).limit(limit)).all()
    return [CashEvent.model_validate(row, from_attributes=True) for row in rows]
