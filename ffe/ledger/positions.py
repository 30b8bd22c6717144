"""Positions as the fills on record make them."""

from sqlmodel import Session, col, select

from ffe.ledger.models import Position
from ffe.ledger.order_tables import PositionRow
from ffe.ledger.rows import records_of


def positions(session: Session) -> list[Position]:
    """Flat ones too: they carry what was realised."""
    query = select(PositionRow).order_by(col(PositionRow.venue), col(PositionRow.account), col(PositionRow.instrument))
    return records_of(Position, session.exec(query).all())
