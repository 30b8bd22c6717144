"""Column types that come back as they went in, on SQLite and PostgreSQL alike.

SQLite has no decimal, no timestamp and no JSON of its own: money is TEXT there (its NUMERIC is a float), times are
naive UTC text that sorts, JSON is text. `Json` is JSONB on PostgreSQL, which reorders keys; `OrderedJson` keeps them, for
the answer schema whose key order is part of the prompt.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from ffe.money import decimal, plain
from ffe.text import storable


class PlainText(TypeDecorator[str]):
    """Text of any origin. NUL and lone surrogates, which PostgreSQL refuses, become U+FFFD; enums are stored by value."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else storable(str(value))


class ExactDecimal(TypeDecorator[Decimal]):
    """Decimal, digit for digit: plain text on SQLite, unbounded NUMERIC on PostgreSQL. Refuses float, NaN and infinity."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        number = decimal(value)
        return number if dialect.name == "postgresql" else plain(number)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        del dialect
        return None if value is None else decimal(value)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in, aware UTC out, to the microsecond. A naive datetime is refused: it would be a guess at a zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no UTC offset")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """JSON of anything pydantic can make JSON of; a Decimal becomes its text. NaN is refused, None is NULL."""

    impl = Text
    cache_ok = True
    on_postgresql: type[JSON] = JSONB

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(
            self.on_postgresql(none_as_null=True) if dialect.name == "postgresql" else Text()
        )

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        text = json.dumps(_cleaned(to_jsonable_python(value)), allow_nan=False, ensure_ascii=False)
        return json.loads(text) if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return value if dialect.name == "postgresql" else json.loads(value)


class OrderedJson(Json):
    cache_ok = True
    on_postgresql = JSON


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {storable(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return storable(value) if isinstance(value, str) else value
