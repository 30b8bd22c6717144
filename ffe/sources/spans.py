"""Half-open spans of time and what can be done with lists of them.

A span (start, end) holds every moment of [start, end). Every list that is returned is sorted, without overlaps, and spans that touch
are one.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]


def joined(spans: Iterable[Span], within: timedelta = timedelta(0)) -> list[Span]:
    """The spans as one list; two that are at most `within` apart become one. Empty spans are dropped."""
    result: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if result and start - result[-1][1] <= within:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def inside(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    """The parts of `spans` that lie in [start, end)."""
    return joined((max(first, start), min(last, end)) for first, last in spans)


def outside(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    """`spans` without [start, end)."""
    parts = [part for first, last in spans for part in ((first, min(last, start)), (max(first, end), last))]
    return joined(parts)


def missing(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    """The parts of [start, end) that lie in none of `spans`."""
    result = [(start, end)]
    for first, last in spans:
        result = outside(result, first, last)
    return joined(result)
