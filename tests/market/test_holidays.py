"""The dated table against the rules it was made from and what real bars show, and the notation for a person's own days."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.calendar import ForexWeek
from ffe.market.holidays import HOLIDAYS, Holiday, HolidayKind, closed, early_close, trading_day
from ffe.market.models import Timeframe

YEARS = range(2012, 2031)
CLOSED, EARLY, LATE = HolidayKind.CLOSED, HolidayKind.EARLY_CLOSE, HolidayKind.LATE_OPEN
WEEKDAYS = st.dates(date(2012, 1, 1), date(2030, 12, 31)).filter(lambda day: day.weekday() < 5)
MINUTES = st.times().map(lambda at: at.replace(second=0, microsecond=0))


def rows(day: date) -> list[tuple[HolidayKind, time | None, bool]]:
    return [(row.kind, row.at, row.thin) for row in HOLIDAYS if row.day == day]


@pytest.mark.parametrize("holiday", [*(date(year, 12, 25) for year in YEARS), *(date(year, 1, 1) for year in YEARS)])
def test_every_christmas_and_new_year_stands_in_the_table(holiday: date) -> None:
    if holiday.weekday() < 5:
        assert rows(holiday) == [(CLOSED, None, False)]
    elif holiday.weekday() == 6:
        assert rows(holiday + timedelta(days=1)) == [(CLOSED, None, True)]
        assert rows(holiday + timedelta(days=2)) == [(LATE, time(18), True)]


@pytest.mark.parametrize("eve", [date(year, 12, day) for year in YEARS for day in (24, 31)])
def test_every_eve_is_thin_from_14_00_on(eve: date) -> None:
    assert rows(eve) == ([(EARLY, time(14), True)] if eve.weekday() < 5 else [])


# Open of the last 1h bar before and of the first one after, in UTC: every closure in two years of OANDA's EUR-USD that is no plain
# weekend (EUR-USD_1h_bidask_2015_2016.csv; its other holes, 2015-08-20 and 2016-12-12, are missing bars).
CLOSURES = [
    ("2015-03-06T21:00", "2015-03-08T21:00"),
    ("2015-10-30T20:00", "2015-11-01T22:00"),
    ("2015-12-24T18:00", "2015-12-27T22:00"),
    ("2015-12-31T18:00", "2016-01-03T22:00"),
    ("2016-03-11T21:00", "2016-03-13T21:00"),
    ("2016-11-04T20:00", "2016-11-06T22:00"),
    ("2016-12-23T21:00", "2016-12-26T23:00"),
]


@pytest.mark.parametrize(("last", "first"), CLOSURES)
def test_no_bar_is_expected_in_a_closure_of_the_real_feed_and_both_its_edges_are(last: str, first: str) -> None:
    opens = [datetime.fromisoformat(text) for text in (last, first)]
    start, end = (opened.replace(tzinfo=UTC) for opened in opens)
    assert ForexWeek().expected_opens(Timeframe.H1, start, end + timedelta(hours=1)).tolist() == opens


def test_no_bar_is_expected_where_the_real_feed_begins_late_and_ends_early() -> None:
    """Its first bar is of 2015-01-01 22:00, its last one of Friday 2016-12-30 18:00."""
    begin, end = datetime(2015, 1, 1, tzinfo=UTC), datetime(2016, 12, 31, tzinfo=UTC)
    expected = ForexWeek().expected_opens(Timeframe.H1, begin, end)
    assert expected[[0, -1]].tolist() == [datetime(2015, 1, 1, 22), datetime(2016, 12, 30, 18)]


def test_the_table_is_dated_ascending_complete_and_says_why() -> None:
    days = [row.day for row in HOLIDAYS]
    assert days == sorted(set(days))
    assert (days[0], days[-1]) == (date(2012, 1, 2), date(2031, 1, 1))
    assert all(row.reason and row.reason != "set by a person" for row in HOLIDAYS)


@given(day=WEEKDAYS, kind=st.sampled_from(HolidayKind), at=MINUTES, thin=st.booleans())
def test_a_code_comes_back_as_the_holiday_it_was(day: date, kind: HolidayKind, at: time, thin: bool) -> None:
    holiday = Holiday(day, kind, None if kind is CLOSED else at, thin)
    assert Holiday.of_code(holiday.code) == holiday


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "not DAY/KIND"),
        ("2026-12-24", "not DAY/KIND"),
        ("soon/closed", "not DAY/KIND"),
        ("2026-12-24/shut", "'shut' is not a valid HolidayKind"),
        ("2026-12-24/early-close/noon", "not DAY/KIND"),
        ("2026-12-24/early-close/13:00/14:00", "not DAY/KIND"),
        ("2026-12-24/early-close", "a New York time is for early-close and late-open"),
        ("2026-12-24/closed/14:00", "a New York time is for early-close and late-open"),
        ("2026-12-26/closed", "2026-12-26 is a Saturday"),
    ],
)
def test_what_is_no_code_is_refused_with_the_reason(code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Holiday.of_code(code)


def test_a_day_without_trading_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="2026-07-05 is a Sunday"):
        closed(date(2026, 7, 5))
    with pytest.raises(ValueError, match="2026-07-04 is a Saturday"):
        early_close(datetime(2026, 7, 3, 18))


def test_an_early_close_is_new_york_time_without_an_offset() -> None:
    assert early_close(datetime(2026, 11, 27, 13, 0, 30)) == Holiday(date(2026, 11, 27), EARLY, time(13))
    with pytest.raises(ValueError, match="UTC offset"):
        early_close(datetime(2026, 11, 27, 13, tzinfo=UTC))


def test_a_time_after_17_00_is_on_the_evening_that_begins_the_trading_day() -> None:
    evening = early_close(datetime(2026, 12, 22, 18))
    assert evening.day == date(2026, 12, 23)
    assert evening.moment == datetime(2026, 12, 22, 23, tzinfo=UTC).timestamp()
    assert trading_day(datetime(2026, 12, 22, 16, 59)) == date(2026, 12, 22)
    assert closed(date(2026, 12, 23)).moment == datetime(2026, 12, 23, 22, tzinfo=UTC).timestamp()
