"""How a backup writes down a row, and what it says of a table: the same for SQLite and PostgreSQL, so that one restores into the other.

An archive is a zip: `manifest.json`, `tables/<name>.jsonl` with one JSON array for each row, and with `--with-bars` the batch files under
their own paths. Amounts are text, digit for digit; times RFC 3339 to the microsecond; documents are JSON as the database holds it.

A table's `sha256` is the sum, modulo 2**256, of the sha256 of its rows in canonical form: databases hand rows out in different orders, and
JSONB neither keeps the order of keys nor tells 1e16 from 10000000000000000. Documents whose key order counts are taken as they are. It
finds what was damaged or lost; it is no signature.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Boolean, Float, Integer, TableClause, Text, column, table
from sqlalchemy.types import TypeEngine

from ffe.clock import parse_time, rfc3339
from ffe.ledger.types import ExactDecimal, Json, OrderedJson, PlainText, UtcDateTime
from ffe.money import decimal, plain

FORMAT = 1
MANIFEST = "manifest.json"
_MODULUS = 2**256

# What a column is called in a manifest, and its type. Order counts: OrderedJson is a Json too.
KINDS: dict[str, type[TypeEngine[Any]]] = {
    "ordered": OrderedJson,
    "json": Json,
    "amount": ExactDecimal,
    "moment": UtcDateTime,
    "text": PlainText,
    "bool": Boolean,
    "float": Float,
    "int": Integer,
}
Columns = Mapping[str, str]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableSummary(_Frozen):
    """`columns` by name, in the order of a row's values."""

    rows: int
    sha256: str
    columns: dict[str, str]


class Manifest(_Frozen):
    """`revision` is the schema's; `bars` are the ids of the batches whose files are in the archive."""

    format: int
    version: str
    revision: str
    taken_at: datetime
    tables: dict[str, TableSummary]
    bars: tuple[str, ...] = ()


def kind_of(type_: TypeEngine[Any]) -> str:
    """Name of a column's type in a manifest. Raises LookupError for a type that no backup can write down."""
    for kind, known in KINDS.items():
        if isinstance(type_, known):
            return kind
    if isinstance(type_, Text):
        return "text"
    raise LookupError(f"no backup writes down a column of type {type_!r}")


def bare(name: str, columns: Columns) -> TableClause:
    """The table with these columns and no other, whatever today's model of it has."""
    return table(name, *(column(key, KINDS[kind]()) for key, kind in columns.items()))


def encoded(columns: Columns, row: Sequence[Any]) -> str:
    """A row as the archive has it: one line of JSON."""
    values = [_outward(kind, value) for kind, value in zip(columns.values(), row, strict=True)]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decoded(columns: Columns, line: str) -> tuple[Any, ...]:
    """The row of a line. Raises ValueError when it is not one."""
    values = json.loads(line)
    if not isinstance(values, list):
        raise ValueError("a row is a JSON array")
    return tuple(_inward(kind, value) for kind, value in zip(columns.values(), values, strict=True))


def _outward(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "amount":
        return plain(value)
    return rfc3339(value) if kind == "moment" else value


def _inward(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "amount":
        return decimal(value)
    return parse_time(value) if kind == "moment" else value


class TableDigest:
    """Counts rows and sums their digests."""

    def __init__(self, columns: Columns) -> None:
        self._columns, self.rows, self._sum = dict(columns), 0, 0

    def add(self, row: Sequence[Any]) -> None:
        values = [_canonical(kind, value) for kind, value in zip(self._columns.values(), row, strict=True)]
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(text.encode()).digest())) % _MODULUS
        self.rows += 1

    def add_all(self, rows: Iterable[Sequence[Any]]) -> "TableDigest":
        for row in rows:
            self.add(row)
        return self

    def summary(self) -> TableSummary:
        return TableSummary(rows=self.rows, sha256=f"{self._sum:064x}", columns=self._columns)


def _canonical(kind: str, value: Any) -> Any:
    if kind == "amount" and value is not None:
        # PostgreSQL has no negative zero.
        return plain(abs(value) if value == 0 else value)
    return _sorted(value) if kind == "json" else _outward(kind, value)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
