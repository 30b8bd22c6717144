"""Equity over time, for daily loss and drawdown: a mark whenever it changed, and a new epoch whenever a person resumed trading."""

from datetime import datetime
from decimal import Decimal

from sqlmodel import Session, col, select

from ffe.ledger.account_tables import EquityMarkRow
from ffe.ledger.kill_switch import resumes
from ffe.ledger.models import EquityMark
from ffe.ledger.rows import records_of


def mark_equity(session: Session, venue: str, account: str, currency: str, *, equity: Decimal, at: datetime) -> None:
    """Appends, unless the newest mark of this epoch says the same."""
    epoch = resumes(session)
    query = select(EquityMarkRow).where(EquityMarkRow.venue == venue, EquityMarkRow.account == account)
    newest = session.exec(query.order_by(col(EquityMarkRow.id).desc()).limit(1)).first()
    if newest is not None and (newest.epoch, newest.currency, newest.equity) == (epoch, currency, equity):
        return
    session.add(EquityMarkRow(venue=venue, account=account, currency=currency, equity=equity, at=at, epoch=epoch))


def equity_marks(session: Session, venue: str, account: str, since: datetime) -> list[EquityMark]:
    """Of the current epoch, from `since` on, oldest first: what was lost before a person resumed is not counted again."""
    query = select(EquityMarkRow).where(
        EquityMarkRow.venue == venue,
        EquityMarkRow.account == account,
        EquityMarkRow.epoch == resumes(session),
        EquityMarkRow.at >= since,
    )
    rows = session.exec(query.order_by(col(EquityMarkRow.at), col(EquityMarkRow.id))).all()
    return records_of(EquityMark, rows)
