"""Positions as the fills on record make them, and beside them the units that are not ours.

`units` are what our own orders made: only they may be closed by a decision. `external` is the sum of the adjustments, added up
when it is asked for.
"""

from collections import defaultdict
from decimal import Decimal

from sqlmodel import Session, select

from ffe.ledger.account_tables import AdjustmentRow
from ffe.ledger.models import Position
from ffe.ledger.order_tables import PositionRow
from ffe.ledger.rows import exact_sum, record_of
from ffe.money import ZERO

Key = tuple[str, str, str]


def positions(session: Session) -> list[Position]:
    """Flat ones too: they carry what was realised."""
    external = _external(session)
    booked = {
        (row.venue, row.account, row.instrument): record_of(Position, row)
        for row in session.exec(select(PositionRow)).all()
    }
    keys = sorted(booked.keys() | external.keys())
    return [_with(booked.get(key, _flat(key)), external.get(key, ZERO)) for key in keys]


def position(session: Session, venue: str, account: str, instrument: str) -> Position:
    """Flat when nothing was ever booked."""
    key = (venue, account, instrument)
    row = session.get(PositionRow, key)
    booked = _flat(key) if row is None else record_of(Position, row)
    return _with(booked, _external(session, key).get(key, ZERO))


def lock_position(session: Session, venue: str, account: str, instrument: str) -> PositionRow | None:
    """The row, held until the transaction ends; None when nothing was ever booked."""
    key = (venue, account, instrument)
    return session.get(PositionRow, key, with_for_update=True, populate_existing=True)


def _external(session: Session, only: Key | None = None) -> dict[Key, Decimal]:
    query = select(AdjustmentRow)
    if only is not None:
        venue, account, instrument = only
        query = query.where(
            AdjustmentRow.venue == venue, AdjustmentRow.account == account, AdjustmentRow.instrument == instrument
        )
    parts: defaultdict[Key, list[Decimal]] = defaultdict(list)
    for row in session.exec(query).all():
        parts[row.venue, row.account, row.instrument].append(row.units)
    return {key: exact_sum(units) for key, units in parts.items()}


def _flat(key: Key) -> Position:
    venue, account, instrument = key
    return Position(
        venue=venue,
        account=account,
        instrument=instrument,
        units=ZERO,
        average_price=None,
        realised=ZERO,
        updated_at=None,
    )


def _with(booked: Position, external: Decimal) -> Position:
    return booked.model_copy(update={"external": external})
