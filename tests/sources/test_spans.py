"""Spans behave as the sets of moments that they stand for."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ffe.sources.spans import Span, inside, joined, missing, outside

START = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 40)
PAIRS = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=8)


def spans(pairs: list[tuple[int, int]]) -> list[Span]:
    return [(START + timedelta(minutes=first), START + timedelta(minutes=last)) for first, last in pairs]


def minutes(found: list[Span]) -> set[int]:
    return {
        minute
        for first, last in found
        for minute in range((first - START) // timedelta(minutes=1), (last - START) // timedelta(minutes=1))
    }


def tidy(found: list[Span]) -> bool:
    """Sorted, none empty, none touching the next."""
    return all(first < last for first, last in found) and all(a[1] < b[0] for a, b in pairwise(found))


@given(pairs=PAIRS, first=MOMENTS, last=MOMENTS)
def test_span_arithmetic_is_set_arithmetic(pairs: list[tuple[int, int]], first: int, last: int) -> None:
    every, window = spans(pairs), spans([(first, last)])[0]
    all_minutes, wanted = minutes(every), minutes([window])
    for found, expected in (
        (joined(every), all_minutes),
        (inside(every, *window), all_minutes & wanted),
        (missing(every, *window), wanted - all_minutes),
    ):
        assert minutes(found) == expected
        assert tidy(found)


@given(pairs=PAIRS, first=MOMENTS, length=st.integers(0, 20))
def test_what_is_taken_out_is_gone_and_the_rest_stays(pairs: list[tuple[int, int]], first: int, length: int) -> None:
    every, window = spans(pairs), spans([(first, first + length)])[0]
    found = outside(every, *window)
    assert minutes(found) == minutes(every) - minutes([window])
    assert minutes(joined([*found, *inside(every, *window)])) == minutes(every)


def test_spans_within_a_distance_become_one() -> None:
    apart = spans([(0, 5), (8, 10), (20, 21)])
    assert joined(apart, within=timedelta(minutes=3)) == spans([(0, 10), (20, 21)])
    assert joined(apart, within=timedelta(minutes=2)) == apart
