"""From a venue's words to a typed table: the one place where a printed number becomes a bar's number.

Nothing is repaired here. A value that is not a finite decimal number, or a missing field, ends the fetch with its name; duplicates
and disorder stay as they came, so that the quality suite sees them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa

from ffe.clock import parse_time, rfc3339
from ffe.errors import PermanentSourceError
from ffe.market.freshness import FUTURE_TOLERANCE
from ffe.market.models import Timeframe
from ffe.money import decimal

Row = Mapping[str, Any]
MOST_PLACES = 40
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
    return _parsed(_storable, value, path, record)


def moment(record: Any, *path: str) -> datetime:
    """UTC time of an RFC 3339 text; raises PermanentSourceError naming field and value."""
    return _parsed(parse_time, field(record, *path), path, record)


def epoch(record: Any, *path: str) -> datetime:
    """UTC time of printed whole Unix seconds; raises PermanentSourceError naming field and value."""
    return _parsed(lambda value: datetime.fromtimestamp(int(value), UTC), field(record, *path), path, record)


def complete(source: str, rows: Sequence[Row], timeframe: Timeframe, asked_at: datetime, now: datetime) -> list[Row]:
    """The rows of bars that were over when the source was asked; `now` is when its reply had come.

    Raises:
        PermanentSourceError: a bar opens after `now`: nobody can have seen it, and the times of the others can't be trusted either.
    """
    newest = max((row["time"] for row in rows), default=now)
    if newest > now + FUTURE_TOLERANCE:
        said = f"{source} prints a bar that opens at {rfc3339(newest)}, and it is {rfc3339(now)} by the clock here"
        raise PermanentSourceError(said)
    return [row for row in rows if row["time"] + timeframe.duration <= asked_at]


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


def _storable(value: Any) -> Decimal:
    """A number with more places than any price has ends the whole process inside Arrow, a zero with such an exponent too."""
    found = decimal(value)
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MOST_PLACES or found.adjusted() > MOST_PLACES:
        raise ValueError(f"more than {MOST_PLACES} places")
    return found


def _parsed(parse: Callable[[Any], Parsed], value: Any, path: tuple[str, ...], record: Any) -> Parsed:
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise PermanentSourceError(f"field {'.'.join(path)!r} is {value!r} in {_short(record)}: {error}") from error


def _short(record: Any) -> str:
    text = repr(record)
    return text if len(text) <= 200 else f"{text[:200]}..."
