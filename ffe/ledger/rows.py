"""What every noun of the ledger needs: insert once, lock one, turn a row into its frozen record."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import class_mapper
from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.tables import LedgerRow

Row = TypeVar("Row", bound=LedgerRow)
Record = TypeVar("Record", bound=BaseModel)

# Enough for any sum of amounts with 18 decimals; Decimal's default of 28 digits would round the last ones.
_DIGITS = 60


def insert_once(session: Session, row: LedgerRow) -> bool:
    """Inserts unless a unique key is taken; False when it is. Decided by the database, so two processes can't both win."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    table = LedgerRow.metadata.tables[str(row.__tablename__)]
    values = {name: value for name, value in values_of(row).items() if not (name == "id" and value is None)}
    insert = dialect.insert(table).values(**values).on_conflict_do_nothing()
    return session.connection().execute(insert.returning(*table.primary_key.columns)).first() is not None


def values_of(row: LedgerRow) -> dict[str, Any]:
    """Column values as they are: a row is not validated, so pydantic's own dump would complain of them."""
    return {attribute.key: getattr(row, attribute.key) for attribute in class_mapper(type(row)).column_attrs}


def locked(session: Session, table: type[Row], *key: Any, shared: bool = False) -> Row:
    """The row of a primary key, held until the transaction ends and read afresh.

    `shared` keeps writers out and lets other readers in: it waits only for a transaction that holds the row for itself.

    Raises:
        LedgerError: no such row.
    """
    lock: Any = {"read": True} if shared else True
    row = session.get(table, key[0] if len(key) == 1 else key, with_for_update=lock, populate_existing=True)
    if row is None:
        raise LedgerError(f"the ledger has no {table.__tablename__} {'/'.join(map(str, key))}")
    return row


def record_of(model: type[Record], row: LedgerRow) -> Record:
    return model.model_validate(row, from_attributes=True)


def records_of(model: type[Record], rows: Iterable[LedgerRow]) -> list[Record]:
    return [record_of(model, row) for row in rows]


def newest(session: Session, table: type[Row], moment: Any, limit: int) -> Sequence[Row]:
    return session.exec(select(table).order_by(col(moment).desc()).limit(limit)).all()


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    with localcontext(prec=_DIGITS):
        return sum(values, Decimal(0))
