"""Simulator records as JSON text and back: frozen dataclasses of str, int, bool, Decimal, datetime and plain JSON values.

Decimals are kept as text and times as RFC 3339, so what is read back equals what was written, digit for digit.
"""

import json
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from ffe.clock import parse_time, rfc3339

T = TypeVar("T")


def encode(row: Any) -> str:
    """Compact JSON text of a dataclass instance, or of a plain dict."""
    plain_row = row if isinstance(row, dict) else {field.name: getattr(row, field.name) for field in fields(row)}
    return json.dumps(plain_row, separators=(",", ":"), default=_scalar)


def decode(kind: type[T], text: str) -> T:
    """The `kind` instance that `encode` wrote. Raises TypeError for a field that `kind` lacks."""
    body = json.loads(text)
    if kind is dict:
        return cast("T", body)
    hashable: Any = kind
    hints = _hints(hashable)
    return kind(**{name: _revive(hints[name], value) for name, value in body.items()})


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} has no JSON form here")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _revive(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    options = [option for option in get_args(hint) if option is not NoneType]
    target = hint if isinstance(hint, type) or get_origin(hint) is tuple else options[0]
    if target is Decimal:
        return Decimal(value)
    if target is datetime:
        return parse_time(value)
    return tuple(value) if get_origin(target) is tuple else value
