"""Clocks: aware, in UTC, and unmoved by what they should not follow."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ffe.clock import FixedClock, OffsetClock, SystemClock, parse_time, rfc3339


def test_an_offset_clock_starts_where_it_is_told_and_runs_on() -> None:
    ticks = iter([100.0, 100.0, 107.5])
    clock = OffsetClock(datetime(2018, 4, 4, 15, 30, tzinfo=UTC), lambda: next(ticks))
    assert clock.now() == datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
    assert clock.now() == datetime(2018, 4, 4, 15, 30, 7, 500000, tzinfo=UTC)


def test_a_fixed_clock_stands_still_until_it_is_moved() -> None:
    clock = FixedClock(datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == datetime(2020, 1, 1, tzinfo=UTC)
    clock.advance(timedelta(minutes=5))
    assert clock.now() == datetime(2020, 1, 1, 0, 5, tzinfo=UTC)


def test_the_machines_clock_is_aware_and_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_nine_fraction_digits_and_other_offsets_are_read() -> None:
    assert parse_time("2018-04-04T17:30:00.123456789+02:00") == datetime(2018, 4, 4, 15, 30, 0, 123456, tzinfo=UTC)
    assert rfc3339(parse_time("2018-04-04T15:30:00Z")) == "2018-04-04T15:30:00Z"


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        parse_time("2018-04-04T15:30:00")
