"""Every money column is an exact decimal: by its type in the database, and in the newest rows by what is stored.

SQLite keeps money as plain text; a number that came in as a float shows as an exponent or as something that is no number. PostgreSQL
keeps unbounded NUMERIC; a float's NaN or infinity would be one there too.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Numeric,
    String,
    Table,
    and_,
    cast,
    func,
    inspect,
    literal_column,
    or_,
    select,
    type_coerce,
)
from sqlmodel import Session

from ffe.ledger.schema import METADATA
from ffe.ledger.types import ExactDecimal
from ffe.observe.reality.case import Case, Check, Finding
from ffe.observe.reality.models import Row

NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


def exact_money(case: Case) -> Finding:
    """No float in any column of money, by type and by content of the newest rows of every table."""
    rows: list[Row] = []
    tables = {table: amounts for table in METADATA.sorted_tables if (amounts := _amounts(table))}
    with case.engine.ledger.database.read() as session:
        sqlite = session.get_bind().dialect.name == "sqlite"
        stored = inspect(session.connection()).get_multi_columns(filter_names=[table.name for table in tables])
        types = {(name, each["name"]): each["type"] for (_, name), found in stored.items() for each in found}
        for table, amounts in tables.items():
            rows += _wrong_types(types, amounts, sqlite=sqlite)
            rows += _inexact(session, table, amounts, case.window.most, sqlite=sqlite)
    count = sum(len(amounts) for amounts in tables.values())
    looked = f"{count} columns of money, by type and in the newest {case.window.most} rows,"
    return Finding(looked, "hold something else than exact decimals", rows)


def _amounts(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, ExactDecimal)]


def _wrong_types(types: dict[tuple[str, str], Any], amounts: list[Column[Any]], *, sqlite: bool) -> Iterator[Row]:
    for column in amounts:
        found = types.get((column.table.name, column.name))
        exact = isinstance(found, Numeric) and found.asdecimal and found.precision is None
        if not (isinstance(found, String) if sqlite else exact):
            yield {"column": f"{column.table.name}.{column.name}", "why": f"its type is {found!r}"}


def _inexact(session: Session, table: Table, amounts: list[Column[Any]], most: int, *, sqlite: bool) -> Iterator[Row]:
    """Rows of the newest `most` with an amount that is no plain decimal. PostgreSQL has no order of arrival: those of the last keys."""
    keys: list[ColumnElement[Any]] = [literal_column("rowid")] if sqlite else [*table.primary_key.columns]
    names = [cast(key, String).label(f"key{at}") for at, key in enumerate(keys)]
    texts = [(type_coerce(each, String) if sqlite else cast(each, String)).label(f"of_{each.name}") for each in amounts]
    recent = select(*names, *texts).order_by(*(key.desc() for key in keys)).limit(most).subquery()
    bad = {each.name: _bad(recent.c[f"of_{each.name}"], sqlite=sqlite) for each in amounts}
    flags = [flag.label(f"bad_{name}") for name, flag in bad.items()]
    query = select(recent, *flags).where(or_(*bad.values())).limit(most)
    for row in session.connection().execute(query).mappings():
        for name in (name for name in bad if row[f"bad_{name}"]):
            place = " ".join(row[f"key{at}"] for at in range(len(keys)))
            yield {"column": f"{table.name}.{name}", "row": place, "why": f"it holds {row[f'of_{name}']!r}"}


def _bad(value: ColumnElement[str], *, sqlite: bool) -> ColumnElement[bool]:
    """NULL where there is no amount, which is not bad."""
    if not sqlite:
        return value.in_(NO_NUMBERS)
    return and_(value.is_not(None), or_(func.typeof(value) != "text", value.op("GLOB")("*[^-0-9.]*"), value == ""))


CHECKS = (Check("exact-money", exact_money),)
