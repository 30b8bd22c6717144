"""From a venue's words to a typed table: the one place where a printed number becomes a bar's number.

Nothing is repaired here. A value that is not a finite decimal number, or a missing field, ends the fetch with its name; duplicates
and disorder stay as they came, so that the quality suite sees them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa

from ffe.clock import parse_time
from ffe.errors import PermanentSourceError
from ffe.money import decimal

Row = Mapping[str, Any]
Parsed = TypeVar("Parsed")


def field(record: Any, *path: str) -> Any:
    """`record[path[0]][path[1]]...`; raises PermanentSourceError naming the missing field."""
    value = record
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            raise PermanentSourceError(f"reply without field {'.'.join(path)!r}: {_short(record)}")
        value = value[name]
    return value


def number(record: Any, *path: str) -> Decimal:
    """Exact Decimal of a printed number; raises PermanentSourceError naming field and value."""
    value = field(record, *path)
    return _parsed(decimal, value, path, record)


def moment(record: Any, *path: str) -> datetime:
    """UTC time of an RFC 3339 text; raises PermanentSourceError naming field and value."""
    return _parsed(parse_time, field(record, *path), path, record)


def epoch(record: Any, *path: str) -> datetime:
    """UTC time of printed whole Unix seconds; raises PermanentSourceError naming field and value."""
    return _parsed(lambda value: datetime.fromtimestamp(int(value), UTC), field(record, *path), path, record)


def bar_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Table of `schema` from dicts keyed by column.

    Raises:
        PermanentSourceError: a number with more digits than decimal128(38, 18) holds; it is never rounded.
    """
    columns = []
    for column in schema:
        values = [row[column.name] for row in rows]
        try:
            columns.append(pa.array(values, type=column.type))
        except pa.ArrowException as error:
            raise PermanentSourceError(f"{column.name} does not fit {column.type}: {error}") from error
    return pa.table(columns, schema=schema)


def _parsed(parse: Callable[[Any], Parsed], value: Any, path: tuple[str, ...], record: Any) -> Parsed:
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise PermanentSourceError(f"field {'.'.join(path)!r} is {value!r} in {_short(record)}: {error}") from error


def _short(record: Any) -> str:
    text = repr(record)
    return text if len(text) <= 200 else f"{text[:200]}..."
