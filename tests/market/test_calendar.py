"""The forex week in New York time, daylight saving included, and what it expects of a feed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ffe.market.calendar import CALENDARS, AlwaysOpen, Calendar, ForexWeek, calendar_for, lookback_start, market_hours
from ffe.market.holidays import Holiday, HolidayKind, closed, early_close
from ffe.market.models import Timeframe, parse_instrument

NEW_YORK = ZoneInfo("America/New_York")
FOREX, CRYPTO = ForexWeek(), AlwaysOpen()
MOMENTS = st.datetimes(datetime(2012, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))
TIMEFRAMES = st.sampled_from(list(Timeframe))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(calendar: Calendar, timeframe: Timeframe, start: str, end: str) -> list[str]:
    return [str(moment)[:16] for moment in calendar.expected_opens(timeframe, utc(start), utc(end))]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-06T21:59", True),  # Friday before daylight saving: closes 22:00 UTC
        ("2026-03-06T22:00", False),
        ("2026-03-08T20:59", False),  # Sunday on which it begins: opens 21:00 UTC
        ("2026-03-08T21:00", True),
        ("2026-10-30T20:59", True),
        ("2026-10-30T21:00", False),
        ("2026-11-01T21:59", False),  # Sunday on which it ends: opens 22:00 UTC
        ("2026-11-01T22:00", True),
        ("2026-07-04T12:00", False),  # Saturday
        ("2026-07-08T12:00", True),  # Wednesday
        ("2026-07-08T21:02", True),  # the daily rollover is open time, though optional
        ("2024-12-24T21:59", True),
        ("2024-12-24T22:00", False),  # Christmas: from the eve at 17:00 New York
        ("2024-12-25T21:59", False),
        ("2024-12-25T22:00", True),
        ("2024-12-31T22:00", False),
        ("2025-01-01T21:59", False),
        ("2025-01-01T22:00", True),
    ],
)
def test_forex_is_open_by_the_new_york_week(moment: str, expected: bool) -> None:
    assert FOREX.is_open(utc(moment)) is expected


def test_crypto_is_always_open() -> None:
    assert CRYPTO.is_open(utc("2026-07-04T12:00"))


def test_the_next_open_of_a_closed_market_is_sunday_or_the_end_of_a_holiday() -> None:
    assert FOREX.next_open(utc("2026-07-04T12:00")) == utc("2026-07-05T21:00")
    assert FOREX.next_open(utc("2024-12-25T03:00")) == utc("2024-12-25T22:00")
    assert FOREX.next_open(utc("2026-07-08T12:00")) == utc("2026-07-08T12:00")
    assert CRYPTO.next_open(utc("2026-07-04T12:00")) == utc("2026-07-04T12:00")


def test_a_weekend_expects_no_bars_between_friday_close_and_sunday_open() -> None:
    expected = opens(FOREX, Timeframe.M30, "2026-07-03T20:00", "2026-07-05T22:30")
    assert expected == [
        "2026-07-03T20:00",
        "2026-07-03T20:30",
        "2026-07-05T21:00",
        "2026-07-05T21:30",
        "2026-07-05T22:00",
    ]


def test_bars_inside_the_daily_rollover_are_not_expected() -> None:
    assert opens(FOREX, Timeframe.M5, "2026-07-08T20:55", "2026-07-08T21:10") == [
        "2026-07-08T20:55",
        "2026-07-08T21:05",
    ]
    assert len(opens(FOREX, Timeframe.M1, "2026-07-08T20:55", "2026-07-08T21:10")) == 10
    assert opens(FOREX, Timeframe.M15, "2026-07-08T21:00", "2026-07-08T21:15") == ["2026-07-08T21:00"]


def test_a_long_bar_is_expected_when_the_market_trades_for_half_an_hour_of_it() -> None:
    assert opens(FOREX, Timeframe.H4, "2026-07-03T16:00", "2026-07-06T01:00") == [
        "2026-07-03T16:00",
        "2026-07-03T20:00",
        "2026-07-05T20:00",
        "2026-07-06T00:00",
    ]
    assert opens(FOREX, Timeframe.D1, "2026-07-03T00:00", "2026-07-07T00:00") == [
        "2026-07-03T00:00",
        "2026-07-05T00:00",
        "2026-07-06T00:00",
    ]


def test_the_afternoon_of_christmas_eve_is_open_but_nothing_is_expected_of_it() -> None:
    assert opens(FOREX, Timeframe.H1, "2015-12-24T17:00", "2015-12-25T23:00") == [
        "2015-12-24T17:00",
        "2015-12-24T18:00",
    ]
    assert FOREX.is_open(utc("2015-12-24T20:00"))


def test_after_a_sunday_christmas_bars_are_expected_from_monday_18_00_on() -> None:
    assert opens(FOREX, Timeframe.H1, "2016-12-23T21:00", "2016-12-27T00:30") == [
        "2016-12-23T21:00",
        "2016-12-26T23:00",
        "2016-12-27T00:00",
    ]
    assert FOREX.is_open(utc("2016-12-26T12:00"))


def test_crypto_expects_every_aligned_bar() -> None:
    assert opens(CRYPTO, Timeframe.H4, "2026-07-04T01:00", "2026-07-04T12:00") == [
        "2026-07-04T04:00",
        "2026-07-04T08:00",
    ]


def test_the_last_expected_close_looks_back_over_the_weekend() -> None:
    sunday = utc("2026-07-05T21:03")
    assert FOREX.last_expected_close(Timeframe.M5, sunday) == utc("2026-07-03T21:00")
    assert FOREX.last_expected_close(Timeframe.H4, sunday) == utc("2026-07-04T00:00")
    assert FOREX.last_expected_close(Timeframe.D1, utc("2026-07-06T05:00")) == utc("2026-07-06T00:00")
    assert CRYPTO.last_expected_close(Timeframe.M15, utc("2026-07-05T21:03")) == utc("2026-07-05T21:00")


def test_the_next_expected_close_looks_ahead_over_a_closure() -> None:
    assert FOREX.next_expected_close(Timeframe.H4, utc("2026-07-04T00:00")) == utc("2026-07-06T00:00")
    assert FOREX.next_expected_close(Timeframe.H4, utc("2015-12-24T20:00")) == utc("2015-12-28T00:00")
    assert CRYPTO.next_expected_close(Timeframe.H4, utc("2026-07-04T00:00")) == utc("2026-07-04T04:00")
    assert CRYPTO.next_expected_close(Timeframe.H4, utc("2026-07-04T00:01")) == utc("2026-07-04T08:00")


def test_a_weekend_holds_no_open_seconds() -> None:
    assert FOREX.open_seconds(utc("2026-07-03T20:50"), utc("2026-07-05T21:10")) == 1200
    assert FOREX.open_seconds(utc("2026-07-04T00:00"), utc("2026-07-05T00:00")) == 0
    assert FOREX.open_seconds(utc("2026-07-08T12:00"), utc("2026-07-08T11:00")) == 0
    assert CRYPTO.open_seconds(utc("2026-07-08T12:00"), utc("2026-07-08T11:00")) == 0


def test_a_bar_on_saturday_does_not_touch_open_time() -> None:
    bars = np.array(["2026-07-03T20:55", "2026-07-03T21:00", "2026-07-04T12:00", "2026-07-05T21:00"], "datetime64[us]")
    assert FOREX.opened(Timeframe.M5, bars).tolist() == [True, False, False, True]
    assert FOREX.opened(Timeframe.M5, bars[:0]).tolist() == []
    assert CRYPTO.opened(Timeframe.M5, bars).all()


def test_each_instrument_has_the_calendar_of_its_market() -> None:
    assert calendar_for(parse_instrument("EURUSD")).name == "forex-week"
    assert calendar_for(parse_instrument("BTCUSD")).name == "always-open"
    assert {name: calendar.name for name, calendar in CALENDARS.items()} == {name: name for name in CALENDARS}


def test_a_lookback_reaches_over_the_weekend_to_enough_bars() -> None:
    monday = utc("2026-07-06T01:00")
    assert lookback_start(FOREX, Timeframe.H1, 4, monday) == utc("2026-07-05T21:00")
    assert lookback_start(FOREX, Timeframe.H1, 6, monday) == utc("2026-07-03T19:00")
    assert lookback_start(CRYPTO, Timeframe.H1, 6, monday) == utc("2026-07-05T19:00")


def test_what_a_person_closes_is_shut_for_bars_and_for_trading() -> None:
    calendar = ForexWeek([closed(date(2026, 7, 8)), early_close(datetime(2026, 7, 9, 13))])
    assert not calendar.is_open(utc("2026-07-07T21:00"))  # Tuesday 17:00 New York: the closed day begins
    assert calendar.next_open(utc("2026-07-08T12:00")) == utc("2026-07-08T21:00")
    assert calendar.is_open(utc("2026-07-09T16:59"))
    assert not calendar.is_open(utc("2026-07-09T17:00"))
    assert calendar.open_seconds(utc("2026-07-07T21:00"), utc("2026-07-09T21:00")) == 20 * 3600
    assert opens(calendar, Timeframe.H4, "2026-07-07T16:00", "2026-07-10T00:00") == [
        "2026-07-07T16:00",
        "2026-07-07T20:00",
        "2026-07-08T20:00",
        "2026-07-09T00:00",
        "2026-07-09T04:00",
        "2026-07-09T08:00",
        "2026-07-09T12:00",
        "2026-07-09T16:00",
        "2026-07-09T20:00",
    ]


def test_several_words_about_one_day_add_up() -> None:
    late = Holiday(date(2026, 7, 8), HolidayKind.LATE_OPEN, time(19))
    early = early_close(datetime(2026, 7, 8, 13))
    assert ForexWeek([late, early]).open_seconds(utc("2026-07-07T21:00"), utc("2026-07-08T21:00")) == 18 * 3600
    everything = ForexWeek([late, early, closed(date(2026, 7, 8))])
    assert everything.open_seconds(utc("2026-07-07T21:00"), utc("2026-07-08T21:00")) == 0
    nothing_left = Holiday(date(2026, 7, 8), HolidayKind.EARLY_CLOSE, time(18))  # on the evening before the late open
    assert not ForexWeek([late, nothing_left]).is_open(utc("2026-07-07T21:30"))


def test_a_closure_of_weeks_still_has_a_next_open() -> None:
    days = [date(2026, 7, 6) + timedelta(days=step) for step in range(30)]
    calendar = ForexWeek(closed(day) for day in days if day.weekday() < 5)
    assert calendar.next_open(utc("2026-07-04T12:00")) == utc("2026-08-04T21:00")
    assert calendar.last_expected_close(Timeframe.M5, utc("2026-08-04T21:00")) == utc("2026-07-03T21:00")


def test_a_name_carries_the_whole_calendar() -> None:
    days = (closed(date(2026, 7, 8)), early_close(datetime(2026, 7, 9, 13)))
    calendar = calendar_for(parse_instrument("EURUSD"), days)
    assert calendar.name == "forex-week 2026-07-08/closed 2026-07-09/early-close/13:00"
    again = CALENDARS[calendar.name]
    assert again.name == calendar.name
    assert not again.is_open(utc("2026-07-09T17:00"))
    assert calendar_for(parse_instrument("EURUSD"), days[::-1]).name == calendar.name
    assert calendar_for(parse_instrument("BTCUSD"), days).name == "always-open"


@pytest.mark.parametrize("name", ["lunar", "forex-week ", "forex-week 2026-07-08", "always-open 2026-07-08/closed"])
def test_a_name_that_no_calendar_has_is_refused(name: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        CALENDARS[name]


def test_market_hours_say_it_all_at_once() -> None:
    saturday = utc("2026-07-04T12:00")
    hours = market_hours(parse_instrument("EURUSD"), Timeframe.M30, saturday, since=utc("2026-07-03T20:00"))
    assert (hours.open_now, hours.next_open) == (False, utc("2026-07-05T21:00"))
    assert hours.last_expected_close == utc("2026-07-03T21:00")
    assert hours.expected_opens.tolist() == [datetime(2026, 7, 3, 20), datetime(2026, 7, 3, 20, 30)]


def test_market_hours_count_the_running_bar_and_none_without_a_beginning() -> None:
    now = utc("2026-07-08T12:07")
    hours = market_hours(parse_instrument("BTCUSD"), Timeframe.M5, now, since=utc("2026-07-08T12:00"))
    assert (hours.open_now, hours.next_open, hours.last_expected_close) == (True, now, utc("2026-07-08T12:05"))
    assert hours.expected_opens.tolist() == [datetime(2026, 7, 8, 12, 0), datetime(2026, 7, 8, 12, 5)]
    assert market_hours(parse_instrument("BTCUSD"), Timeframe.M5, now).expected_opens.size == 0


def test_market_hours_know_the_days_that_a_person_added() -> None:
    hours = market_hours(
        parse_instrument("EURUSD"), Timeframe.H1, utc("2026-07-08T12:00"), added=(closed(date(2026, 7, 8)),)
    )
    assert not hours.open_now


@pytest.mark.parametrize(
    ("friday", "sunday", "hours"),
    [("2026-03-06T22:00", "2026-03-08T21:00", 47), ("2026-10-30T21:00", "2026-11-01T22:00", 49)],
    ids=["march", "november"],
)
@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_a_weekend_on_which_the_clocks_change_is_an_hour_shorter_or_longer(
    friday: str, sunday: str, hours: int, timeframe: Timeframe
) -> None:
    closes, reopens = utc(friday), utc(sunday)
    assert reopens - closes == timedelta(hours=hours)
    assert FOREX.next_open(closes) == reopens
    assert FOREX.open_seconds(closes - timedelta(hours=1), reopens + timedelta(hours=1)) == 7200
    inside = FOREX.expected_opens(timeframe, closes, reopens - timeframe.duration + timedelta(microseconds=1))
    assert inside.size == 0


@given(
    at=MOMENTS,
    back=st.integers(0, 24 * 9),
    timeframe=TIMEFRAMES,
    symbol=st.sampled_from(["EURUSD", "BTCUSD"]),
    days=st.lists(st.dates(date(2012, 1, 2), date(2030, 12, 30)).filter(lambda day: day.weekday() < 5), max_size=4),
)
def test_market_hours_never_contradict_themselves(
    at: datetime, back: int, timeframe: Timeframe, symbol: str, days: list[date]
) -> None:
    instrument, added = parse_instrument(symbol), tuple(closed(day) for day in days)
    calendar = calendar_for(instrument, added)
    hours = market_hours(instrument, timeframe, at, at - timedelta(hours=back), added=added)
    assert (hours.next_open == at) is hours.open_now
    assert calendar.is_open(hours.next_open)
    assert calendar.open_seconds(at, hours.next_open) == 0
    assert hours.last_expected_close <= at
    assert calendar.opened(timeframe, hours.expected_opens).all()
    complete = hours.expected_opens + np.timedelta64(timeframe.seconds, "s") <= np.datetime64(at.replace(tzinfo=None))
    if complete.any():
        newest = hours.expected_opens[complete][-1].item().replace(tzinfo=UTC)
        assert newest + timeframe.duration == hours.last_expected_close


@given(moment=MOMENTS, timeframe=TIMEFRAMES, day=st.dates(date(2012, 1, 2), date(2030, 12, 30)))
def test_a_holiday_only_ever_takes_time_away(moment: datetime, timeframe: Timeframe, day: date) -> None:
    assume(day.weekday() < 5)
    start = datetime.combine(day, time(), tzinfo=UTC) - timedelta(days=4)
    end = start + timedelta(days=8)
    shut = ForexWeek([closed(day)])
    assert set(shut.expected_opens(timeframe, start, end)) <= set(FOREX.expected_opens(timeframe, start, end))
    assert shut.open_seconds(start, end) <= FOREX.open_seconds(start, end)
    assert FOREX.is_open(moment) or not shut.is_open(moment)


@given(end=MOMENTS, bars=st.integers(1, 300), timeframe=TIMEFRAMES)
def test_a_lookback_holds_exactly_the_bars_asked_for(end: datetime, bars: int, timeframe: Timeframe) -> None:
    start = lookback_start(FOREX, timeframe, bars, end)
    assert FOREX.expected_opens(timeframe, start, end).size == bars


@given(moment=MOMENTS)
def test_an_open_forex_market_is_never_on_a_new_york_weekend(moment: datetime) -> None:
    local = moment.astimezone(NEW_YORK)
    weekend = (
        local.weekday() == 5
        or (local.weekday() == 4 and local.hour >= 17)
        or (local.weekday() == 6 and local.hour < 17)
    )
    holiday = (local + timedelta(hours=7)).date()  # the trading day turns at 17:00
    closed = weekend or (holiday.month, holiday.day) in {(12, 25), (1, 1)}
    assert FOREX.is_open(moment) is not closed


@given(moment=MOMENTS)
def test_the_next_open_is_open_and_nothing_before_it_is(moment: datetime) -> None:
    ahead = FOREX.next_open(moment)
    assert ahead >= moment
    assert FOREX.is_open(ahead)
    assert FOREX.open_seconds(moment, ahead) == 0


@given(moment=MOMENTS, timeframe=TIMEFRAMES, calendar=st.sampled_from([FOREX, CRYPTO]))
def test_the_last_expected_close_is_the_newest_one_that_is_not_ahead(
    moment: datetime, timeframe: Timeframe, calendar: Calendar
) -> None:
    close = calendar.last_expected_close(timeframe, moment)
    assert close <= moment
    assert calendar.expected_opens(timeframe, close, moment - timeframe.duration + timedelta(microseconds=1)).size == 0
    assert calendar.next_expected_close(timeframe, close - timeframe.duration) == close


@given(start=MOMENTS, hours=st.integers(0, 24 * 12), timeframe=TIMEFRAMES)
def test_expected_opens_are_aligned_ascending_inside_the_range_and_in_open_hours(
    start: datetime, hours: int, timeframe: Timeframe
) -> None:
    end = start + timedelta(hours=hours)
    found = FOREX.expected_opens(timeframe, start, end)
    seconds = found.astype(np.int64) // 1_000_000
    assert (seconds % timeframe.seconds == 0).all()
    assert (np.diff(seconds) > 0).all()
    assert ((seconds >= start.timestamp()) & (seconds < end.timestamp())).all()
    assert FOREX.opened(timeframe, found).all()


@given(start=MOMENTS, first=st.integers(0, 10_000), second=st.integers(0, 10_000))
def test_open_seconds_add_up(start: datetime, first: int, second: int) -> None:
    middle, end = start + timedelta(minutes=first), start + timedelta(minutes=first + second)
    total = FOREX.open_seconds(start, middle) + FOREX.open_seconds(middle, end)
    assert total == pytest.approx(FOREX.open_seconds(start, end), abs=1e-5)
