"""Choosing the moment and moving bars by whole New York weeks."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hours import NEW_YORK
from simulator.retime import covered, default_moment, shift_weeks, shifted


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def minutes(start: str, count: int) -> np.ndarray:
    return at(start) + 60 * np.arange(count)


def test_a_moment_is_covered_when_fresh_and_long_enough():
    times = minutes("2018-04-04T12:00:00Z", 300)
    moments = np.array([at(f"2018-04-04T{clock}Z") for clock in ("15:18:59", "15:19:00", "17:01:00", "17:01:01")])
    assert covered(times, moments).tolist() == [False, True, False, False]


def test_the_default_moment_leaves_an_hour_ahead_and_takes_the_latest():
    times = minutes("2018-04-04T09:00:00Z", 400)
    assert default_moment({"A": times}, 60) == at("2018-04-04T14:50:20Z")


def test_the_moment_most_instruments_cover_wins_over_the_longer_history():
    long, short = minutes("2018-04-02T00:00:00Z", 4 * 1440), minutes("2018-04-03T12:00:00Z", 480)
    moment = default_moment({"A": long, "B": short}, 60)
    assert at("2018-04-03T15:20:00Z") < moment < at("2018-04-03T20:00:00Z")


def test_fridays_weekends_and_nights_are_never_the_default_moment():
    times = minutes("2018-04-05T21:00:00Z", 3 * 1440)  # Thursday evening to Sunday evening
    assert default_moment({"A": times}, 60) == times[-1] + 60 + 20


def test_too_little_data_starts_after_its_last_boundary():
    times = minutes("2018-04-04T14:00:00Z", 62)
    assert default_moment({"A": times}, 60) == at("2018-04-04T15:00:20Z")


def test_bars_that_cover_the_moment_stay():
    times = minutes("2018-04-04T09:00:00Z", 400)
    assert shift_weeks(times, at("2018-04-04T15:00:20Z"), forex=False) == 0


def test_the_same_weekday_with_most_history_is_chosen():
    times = minutes("2012-02-01T00:00:00Z", 29 * 1440)
    moment = at("2018-04-04T15:00:20Z")
    weeks = shift_weeks(times, moment, forex=False)
    moved, _ = shifted(times, weeks)
    newest = int(np.searchsorted(moved, moment)) - 1
    assert datetime.fromtimestamp(int(times[newest]), UTC).date().isoformat() == "2012-02-29"
    assert moment - moved[newest] < 60


def test_on_a_closed_saturday_forex_is_moved_to_end_on_friday():
    times = minutes("2018-04-06T12:00:00Z", 9 * 60)  # Friday, until the close at 21:00 UTC
    weeks = shift_weeks(times, at("2018-07-14T12:00:00Z"), forex=True)
    assert shifted(times, weeks)[0][-1] == at("2018-07-13T20:59:00Z")


def test_without_a_covering_shift_nothing_moves():
    times = minutes("2018-04-04T09:00:00Z", 400)
    assert shift_weeks(times, at("2018-04-08T15:00:20Z"), forex=False) == 0


def test_minutes_in_the_hour_skipped_in_march_are_dropped():
    times = minutes("2018-02-11T06:00:00Z", 180)  # Sunday 01:00 to 04:00 New York, four weeks before the change
    moved, rows = shifted(times, 4)
    assert moved.size == 120
    assert rows.tolist() == [*range(60), *range(120, 180)]
    assert np.diff(moved).tolist() == [60] * 119


def test_the_hour_repeated_in_november_keeps_its_first_occurrence():
    times = minutes("2018-11-04T05:00:00Z", 180)  # 01:00 EDT to 03:00 EST: 01:00-02:00 happens twice
    moved, rows = shifted(times, 1)
    assert moved.size == 120
    assert rows.tolist() == [*range(60), *range(120, 180)]


@settings(max_examples=50)
@given(st.integers(0, 5200), st.integers(-700, 700).filter(lambda weeks: weeks != 0))
def test_weekday_and_local_time_survive_any_shift(day, weeks):
    times = minutes("2010-01-01T00:00:00Z", 1) + day * 86400 + 60 * np.arange(0, 1440, 7)
    moved, rows = shifted(times, weeks)
    before = [datetime.fromtimestamp(int(t), NEW_YORK).replace(tzinfo=None) for t in times[rows]]
    after = [datetime.fromtimestamp(int(t), NEW_YORK).replace(tzinfo=None) for t in moved]
    assert [b + timedelta(weeks=weeks) for b in before] == after
    assert (np.diff(moved) > 0).all()


def test_no_shift_returns_every_row():
    times = minutes("2018-04-04T09:00:00Z", 5)
    moved, rows = shifted(times, 0)
    assert (moved.tolist(), rows.tolist()) == (times.tolist(), [0, 1, 2, 3, 4])
