"""What a reply of Alpha Vantage means. Every failure is HTTP 200: the keys and the words decide, in the order of venues.md section 3.

The text of a burst also speaks of 25 requests a day and of premium plans, so it is looked for before them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ffe.errors import NotOfferedError, PermanentSourceError, SourceError, TransientSourceError
from ffe.observe.masking import masked
from ffe.sources.rows import Row, number

_BURST = re.compile(r"per second|per-second|spreading out|burst pattern|calls per minute", re.IGNORECASE)
_PER_DAY = re.compile(r"(requests|calls) per day", re.IGNORECASE)
# Characters of a message that are looked at; the real ones have some 300.
_MOST_SAID = 16_384
_PLAN_WORDS = ("endpoint", "feature", "parameter value")
_UNKNOWN = "invalid api call"
_PRICES = {
    "open": ("1. open", "1a. open (USD)"),
    "high": ("2. high", "2a. high (USD)"),
    "low": ("3. low", "3a. low (USD)"),
    "close": ("4. close", "4a. close (USD)"),
}
_VOLUME = ("5. volume",)


class BurstError(TransientSourceError):
    """Too many requests a second or a minute: wait at least two seconds."""


class QuotaSpentError(PermanentSourceError):
    """No more requests today."""


class PlanError(NotOfferedError):
    """The key's plan does not have this function, or this value of a parameter."""


def read_rows(reply: Mapping[str, Any], *, volume: bool) -> list[Row]:
    """Bars of a reply, oldest first, `time` in UTC; the running bucket is still among them.

    Raises:
        SourceError: of the kind that the words stand for; a bar without a number, an unknown time zone.
    """
    _refuse_words(reply)
    series = [value for name, value in reply.items() if "Time Series" in name]
    if len(series) != 1 or not isinstance(series[0], Mapping) or not series[0]:
        raise TransientSourceError(f"alpha-vantage: a reply without a time series: {repr(dict(reply))[:200]}")
    zone = _zone(reply.get("Meta Data"))
    rows = [_row(text, bar, zone, volume=volume) for text, bar in series[0].items()]
    return sorted(rows, key=lambda row: row["time"])


def _refuse_words(reply: Mapping[str, Any]) -> None:
    if "Error Message" in reply:
        text = masked(str(reply["Error Message"])[:_MOST_SAID])
        kind: type[SourceError] = NotOfferedError if _UNKNOWN in text.lower() else PermanentSourceError
        raise kind(f"alpha-vantage: {text}")
    for name in ("Information", "Note"):
        if name in reply:
            text = masked(str(reply[name])[:_MOST_SAID])
            raise _meaning(text)(f"alpha-vantage: {text}")


def _meaning(text: str) -> type[SourceError]:
    words = text.lower()
    if _BURST.search(words):
        return BurstError
    if _PER_DAY.search(words):
        return QuotaSpentError
    if "premium" in words and any(word in words for word in _PLAN_WORDS):
        return PlanError
    return PermanentSourceError if "demo" in words else TransientSourceError


def _zone(meta: Any) -> ZoneInfo:
    """Time zone of the reply: `Meta Data` numbers its keys differently in each function, so the key is found by its end."""
    names = [value for key, value in meta.items() if key.endswith("Time Zone")] if isinstance(meta, Mapping) else []
    if len(names) != 1:
        raise PermanentSourceError(f"alpha-vantage: a reply without its time zone: {meta!r:.200}")
    try:
        return ZoneInfo(str(names[0]))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PermanentSourceError(f"alpha-vantage: unknown time zone {names[0]!r:.60}") from error


def _row(text: str, bar: Any, zone: ZoneInfo, *, volume: bool) -> Row:
    found = {"time": _utc(text, zone)} | {name: _first(bar, titles) for name, titles in _PRICES.items()}
    return found | {"volume": _first(bar, _VOLUME)} if volume else found


def _first(bar: Any, titles: tuple[str, ...]) -> Any:
    known = [title for title in titles if isinstance(bar, Mapping) and title in bar]
    return number(bar, known[0] if known else titles[0])


def _utc(text: str, zone: ZoneInfo) -> datetime:
    """A printed local time in UTC. One that the zone has twice, or never, is refused: it would be a guess."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise PermanentSourceError(f"alpha-vantage: {text!r:.60} is not a time") from error
    if local.tzinfo is not None:
        raise PermanentSourceError(f"alpha-vantage: {text!r} has an offset beside the time zone {zone.key}")
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise PermanentSourceError(f"alpha-vantage: {text!r} is not one moment in {zone.key}")
    return first.astimezone(UTC)
