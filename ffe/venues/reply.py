"""Fields of a venue's reply, read strictly: what is missing, of another type or unheard of is an error, never a default."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe.clock import parse_time
from ffe.errors import UnknownNameError, VenueReadError
from ffe.market.models import parse_instrument
from ffe.money import decimal


def malformed(what: str, reply: Any) -> VenueReadError:
    return VenueReadError(f"unreadable reply: {what}", transient=False, response=str(reply)[:4000])


def need(reply: Any, key: str) -> Any:
    """The value under `key`; `null` counts as missing."""
    if not isinstance(reply, dict) or reply.get(key) is None:
        raise malformed(f"{key} is missing", reply)
    return reply[key]


def text(reply: Any, key: str) -> str:
    value = need(reply, key)
    if not isinstance(value, str) or not value:
        raise malformed(f"{key} is {value!r}, not text", reply)
    return value


def number(reply: Any, key: str) -> Decimal:
    """Exact Decimal; a JSON float is refused, because it is no longer the number the venue meant."""
    try:
        return decimal(need(reply, key))
    except ValueError as error:
        raise malformed(f"{key}: {error}", reply) from error


def integer(reply: Any, key: str) -> int:
    value = number(reply, key)
    if value != value.to_integral_value():
        raise malformed(f"{key} is {value}, not a whole number", reply)
    return int(value)


def flag(reply: Any, key: str) -> bool:
    value = need(reply, key)
    if not isinstance(value, bool):
        raise malformed(f"{key} is {value!r}, not true or false", reply)
    return value


def moment(reply: Any, key: str) -> datetime:
    try:
        return parse_time(text(reply, key))
    except ValueError as error:
        raise malformed(f"{key}: {error}", reply) from error


def entries(reply: Any, key: str) -> list[dict[str, Any]]:
    """A list of objects, possibly empty."""
    value = need(reply, key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise malformed(f"{key} is not a list of objects", reply)
    return value


def optional_entry(reply: dict[str, Any], key: str) -> dict[str, Any] | None:
    """An object that may be absent; present but of another type is an error."""
    value = reply.get(key)
    if value is not None and not isinstance(value, dict):
        raise malformed(f"{key} is not an object", reply)
    return value


def limit(reply: Any, key: str) -> Decimal | None:
    """An upper limit, where venues write 0 for none."""
    value = number(reply, key)
    return None if value == 0 else value


def canonical(name: str) -> str:
    """Our symbol of a venue's instrument; its own name when it is none of ours, so that a strange position is still shown."""
    try:
        return parse_instrument(name).symbol
    except UnknownNameError:
        return name


def first_text(reply: dict[str, Any], *keys: str) -> str | None:
    """The first of `keys` that holds a non-empty text."""
    return next(_texts(reply, keys), None)


def _texts(reply: dict[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        value = reply.get(key)
        if isinstance(value, str) and value:
            yield value
