"""Every kind of fault: its options, at which side of the commit it can stand, how often it fires unless told, and what it does."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from ffe.clock import parse_time
from simulator import faults_bars as bars
from simulator import faults_replies as replies
from simulator import faults_state as state
from simulator.faults_replies import Act

BEFORE, AFTER = "before", "after"
EITHER = (BEFORE, AFTER)
LATER = (AFTER, BEFORE)
REQUIRED = object()
STATUSES = (500, 502, 503, 504)
_LONGEST = 3600.0


@dataclass(frozen=True)
class Option:
    """`read` turns the JSON value into ours, or raises ValueError saying what it must be."""

    read: Callable[[Any], Any]
    default: Any = REQUIRED


@dataclass(frozen=True)
class Kind:
    """`when` lists the allowed sides of the commit, the default first; `ends`: two such faults cannot meet in one request."""

    act: Act
    options: Mapping[str, Option] = field(default_factory=dict)
    when: tuple[str, ...] = (BEFORE,)
    count: int | None = 1
    route: str | None = None
    ends: bool = False
    wire: bool = False


def number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not plain or not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {value!r}")
        return float(value)

    return read


def whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
        return value

    return read


def one_of(*choices: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or value not in choices:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}, not {value!r}")
        return value

    return read


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be text, not {value!r}")
    return value


def decimal(pattern: str) -> Callable[[Any], Decimal]:
    def read(value: Any) -> Decimal:
        if isinstance(value, bool | float) or re.fullmatch(pattern, str(value)) is None:
            raise ValueError(f"must be a decimal number as text, not {value!r}")
        return Decimal(value)

    return read


def percent(value: Any) -> Decimal:
    """Above -100: no price is zero or less."""
    read = decimal(r"[+-]?[0-9]+(\.[0-9]+)?")(value)
    if not Decimal(-100) < read <= Decimal(1000):
        raise ValueError(f"must be above -100 and at most 1000, not {value!r}")
    return read


def units(value: Any) -> str:
    return str(decimal(r"[0-9]+(\.[0-9]+)?")(value))


def moment(value: Any) -> datetime:
    try:
        return parse_time(text(value))
    except ValueError as error:
        raise ValueError(f"must be an RFC 3339 time, not {value!r}") from error


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_HOLD = {"seconds": Option(number(0.0, _LONGEST), 60.0)}
_SPEED = {"bytes_per_second": Option(number(0.1, 1e6), 100.0)}
_MINUTES = {"minutes": Option(whole(1, 1_000_000), 60)}


def _wire(when: tuple[str, ...] = (AFTER,), options: Mapping[str, Option] = MappingProxyType({})) -> Kind:
    return Kind(replies.on_the_wire, options, when, ends=True, wire=True)


def _reply(act: Act, **options: Option) -> Kind:
    return Kind(act, options, EITHER, ends=True)


def _bars(flaw: bars.Flaw, options: Mapping[str, Option] = MappingProxyType({})) -> Kind:
    return Kind(replies.rewriting(bars.flawed(flaw)), options, (AFTER,), route="*.candles")


KINDS: Mapping[str, Kind] = {
    "delay": Kind(replies.delay, {"seconds": Option(number(0.0, _LONGEST))}, EITHER),
    "rate_limit": _reply(
        replies.replacing(replies.rate_limit), retry_after=Option(optional(whole(0, int(_LONGEST))), 1)
    ),
    "server_error": _reply(
        replies.replacing(replies.server_error),
        status=Option(one_of(*STATUSES), 503),
        body=Option(one_of("json", "html"), "json"),
    ),
    "forbidden": Kind(replies.replacing(replies.forbidden), ends=True),
    "html": _reply(replies.replacing(replies.html)),
    "empty": _reply(replies.replacing(replies.empty), status=Option(one_of(200, 201), 201)),
    "maintenance": Kind(
        replies.replacing(replies.maintenance),
        {"from": Option(moment), "until": Option(moment)},
        count=None,
        ends=True,
    ),
    "ok_for_created": Kind(replies.ok_for_created, when=(AFTER,)),
    "extra_field": Kind(
        replies.rewriting(replies.extra_field),
        {"name": Option(text, "newField"), "value": Option(lambda value: value, "new")},
        (AFTER,),
    ),
    "unknown_enum": Kind(
        replies.rewriting(replies.unknown_enum),
        {"field": Option(optional(text), None), "value": Option(text, "SOMETHING_NEW")},
        (AFTER,),
    ),
    "reset": _wire(EITHER),
    "close": _wire(EITHER),
    "lost_reply": _wire(LATER, _HOLD),
    "bad_status_line": _wire(LATER),
    "drip": _wire(options=_SPEED),
    "slow_header": _wire(options=_SPEED),
    "stall": _wire(options=_HOLD),
    "truncated": _wire(),
    "revoke_key": Kind(state.revoke_key, count=None),
    "clock_offset": Kind(state.clock_offset, {"seconds": Option(number(-1e6, 1e6))}, count=None, route="coinbase.*"),
    "halt": Kind(state.under(state.halted), {"instrument": Option(optional(text), None)}),
    "thin_book": Kind(state.under(state.thin_book), {"instrument": Option(text), "units": Option(units)}),
    "order_cancelled": Kind(state.under(state.order_cancelled), {"reason": Option(text)}, route="oanda.orders.create"),
    "async_reject": Kind(
        state.async_reject,
        {"reason": Option(text, "REJECT_REASON_UNSPECIFIED")},
        (AFTER,),
        route="coinbase.orders.create",
    ),
    "price_jump": Kind(state.price_jump, {"instrument": Option(text), "percent": Option(percent)}, EITHER),
    "stale_bars": _bars(bars.stale, _MINUTES),
    "missing_bars": _bars(bars.missing, {"bars": Option(whole(1, 1_000_000), 3)}),
    "duplicate_bars": _bars(bars.duplicate),
    "unordered_bars": _bars(bars.unordered),
    "crossed_bars": _bars(bars.crossed),
    "future_bars": _bars(bars.future, _MINUTES),
    "nan_bars": _bars(bars.nan),
}
