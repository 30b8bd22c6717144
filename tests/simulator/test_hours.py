"""The forex week in New York time, over arrays, against the plain rule for one moment."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hours import NEW_YORK, forex_open, from_new_york, last_open, new_york, weekday

MINUTE_2000, MINUTE_2037 = 15_778_080, 35_232_480


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def plain_rule(moment: datetime) -> bool:
    local = moment.astimezone(NEW_YORK)
    if (
        local.weekday() == 5
        or (local.weekday() == 4 and local.hour >= 17)
        or (local.weekday() == 6 and local.hour < 17)
    ):
        return False
    trading_date = (local.replace(tzinfo=None) + timedelta(hours=7)).date()
    if (trading_date.month, trading_date.day) in {(12, 25), (1, 1)}:
        return False
    return not (local.hour == 17 and local.minute < 5)


@given(st.lists(st.integers(MINUTE_2000, MINUTE_2037), min_size=1, max_size=50))
def test_the_array_rule_is_the_plain_rule(minutes):
    times = np.array(minutes) * 60
    expected = [plain_rule(datetime.fromtimestamp(int(time), UTC)) for time in times]
    assert forex_open(times).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-06T21:59:00Z", True),  # Friday before the March change: closes at 22:00 UTC
        ("2026-03-06T22:00:00Z", False),
        ("2026-03-08T21:04:00Z", False),  # Sunday of the change: opens at 21:00 UTC, after the pause
        ("2026-03-08T21:05:00Z", True),
        ("2026-10-30T20:59:00Z", True),
        ("2026-10-30T21:00:00Z", False),
        ("2026-11-01T21:59:00Z", False),
        ("2026-11-01T22:05:00Z", True),
        ("2026-12-24T21:59:00Z", True),
        ("2026-12-24T22:30:00Z", False),
        ("2026-12-25T12:00:00Z", False),
        ("2026-12-23T22:02:00Z", False),  # rollover
    ],
)
def test_known_edges_of_the_week(text, expected):
    assert forex_open(np.array([seconds(text)])).tolist() == [expected]


@given(st.lists(st.integers(MINUTE_2000, MINUTE_2037), min_size=1, max_size=50))
def test_local_time_comes_back_except_the_repeated_hour(minutes):
    times = np.array(minutes) * 60
    back, exists = from_new_york(new_york(times))
    assert exists.all()
    assert set((times - back).tolist()) <= {0, 3600}


def test_the_hour_skipped_in_march_does_not_exist():
    skipped = seconds("2026-03-08T02:30:00Z")  # as a local time
    _, exists = from_new_york(np.array([skipped - 3600, skipped, skipped + 3600]))
    assert exists.tolist() == [True, False, True]


def test_weekday_counts_from_monday():
    assert weekday(np.array([seconds("2018-04-02T00:00:00Z"), seconds("2018-04-08T23:59:00Z")])).tolist() == [0, 6]


def test_on_a_saturday_the_last_open_forex_minute_is_fridays_last():
    saturday = seconds("2018-04-07T12:00:00Z")
    assert last_open(saturday, forex=True) == seconds("2018-04-06T20:59:00Z")
    assert last_open(saturday, forex=False) == saturday


def test_at_an_open_moment_the_last_open_minute_is_now():
    wednesday = seconds("2018-04-04T15:30:20Z")
    assert last_open(wednesday, forex=True) == wednesday


def test_new_years_day_on_a_monday_reaches_back_to_friday():
    assert last_open(seconds("2024-01-01T15:00:00Z"), forex=True) == seconds("2023-12-29T21:59:00Z")
