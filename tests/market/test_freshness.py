"""Every threshold from both sides, counted from the close and over market time only."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.calendar import AlwaysOpen, Calendar, ForexWeek
from ffe.market.freshness import check_freshness
from ffe.market.holidays import closed, early_close
from ffe.market.models import Timeframe
from ffe.market.quality import Freshness
from ffe.settings import FreshnessSettings

LIMITS = FreshnessSettings()
FOREX, CRYPTO = ForexWeek(), AlwaysOpen()
WEDNESDAY = datetime(2026, 7, 8, 12, 0, tzinfo=UTC)
MINUTES = {"1m": 15, "5m": 15, "15m": 30, "30m": 60, "1h": 120}
SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def judge(close: str, timeframe: Timeframe, now: str, calendar: Calendar = FOREX) -> Freshness:
    return check_freshness(utc(close), timeframe, utc(now), calendar, LIMITS)


def around(close: str, timeframe: Timeframe, threshold: str, calendar: Calendar = FOREX) -> list[bool]:
    """Fresh one second before the threshold, on it, one second after it?"""
    moments = [utc(threshold) + step for step in (-SECOND, 0 * SECOND, SECOND)]
    return [check_freshness(utc(close), timeframe, now, calendar, LIMITS).fresh for now in moments]


@pytest.mark.parametrize("calendar", [FOREX, CRYPTO], ids=["forex", "crypto"])
@pytest.mark.parametrize(("name", "minutes"), MINUTES.items())
def test_a_bar_is_fresh_up_to_its_limit_and_stale_one_second_later(name: str, minutes: int, calendar: Calendar) -> None:
    timeframe, limit = Timeframe(name), timedelta(minutes=minutes)
    verdicts = [
        check_freshness(WEDNESDAY, timeframe, WEDNESDAY + limit + step, calendar, LIMITS)
        for step in (-SECOND, 0 * SECOND, SECOND)
    ]
    assert [verdict.fresh for verdict in verdicts] == [True, True, False]
    assert [verdict.age_seconds for verdict in verdicts] == [minutes * 60 - 1, minutes * 60, minutes * 60 + 1]
    assert {verdict.limit_seconds for verdict in verdicts} == {minutes * 60.0}


@pytest.mark.parametrize(
    ("close", "threshold", "calendar"),
    [
        ("2026-07-08T12:00", "2026-07-08T18:00", CRYPTO),  # 120 min after the close expected at 16:00
        ("2026-07-08T12:00", "2026-07-08T18:00", FOREX),
        ("2026-07-04T00:00", "2026-07-04T06:00", CRYPTO),
        ("2026-07-04T00:00", "2026-07-06T02:00", FOREX),  # a weekend: the next 4h bar closes on Monday 00:00
        ("2026-03-07T00:00", "2026-03-09T02:00", FOREX),  # daylight saving begins on that Sunday
        ("2026-10-31T00:00", "2026-11-02T02:00", FOREX),  # and ends
        ("2026-12-24T20:00", "2026-12-28T02:00", FOREX),  # Christmas Day is a Friday
        ("2027-01-01T00:00", "2027-01-04T02:00", FOREX),
    ],
)
def test_a_4h_bar_is_fresh_up_to_two_hours_past_the_next_expected_close(
    close: str, threshold: str, calendar: Calendar
) -> None:
    assert around(close, Timeframe.H4, threshold, calendar) == [True, True, False]


@pytest.mark.parametrize(
    ("close", "threshold", "calendar"),
    [
        ("2026-07-07T00:00", "2026-07-09T00:00", CRYPTO),
        ("2026-07-07T00:00", "2026-07-09T00:00", FOREX),
        ("2026-07-04T00:00", "2026-07-06T00:00", CRYPTO),
        ("2026-07-04T00:00", "2026-07-07T00:00", FOREX),  # Friday's bar; Sunday's closes on Monday, Monday's on Tuesday
        ("2026-03-07T00:00", "2026-03-10T00:00", FOREX),
        ("2026-10-31T00:00", "2026-11-03T00:00", FOREX),
        ("2026-12-25T00:00", "2026-12-29T00:00", FOREX),
    ],
)
def test_a_1d_bar_is_fresh_until_the_second_one_after_it_is_complete(
    close: str, threshold: str, calendar: Calendar
) -> None:
    assert around(close, Timeframe.D1, threshold, calendar) == [True, False, False]


def test_a_stale_message_names_the_rule_the_age_and_the_limit_in_minutes() -> None:
    verdict = check_freshness(WEDNESDAY, Timeframe.M5, WEDNESDAY + timedelta(seconds=3138), CRYPTO, LIMITS)
    assert verdict.message == "Stale market data detected: newest 5m bar closed 52.3 min ago, limit 15.0 min"


def test_one_second_over_the_limit_does_not_read_as_equal_to_it() -> None:
    verdict = check_freshness(WEDNESDAY, Timeframe.M5, WEDNESDAY + timedelta(minutes=15, seconds=1), CRYPTO, LIMITS)
    assert "closed 15.02 min ago, limit 15.00 min" in verdict.message


def test_a_fresh_message_does_not_claim_staleness() -> None:
    verdict = check_freshness(WEDNESDAY, Timeframe.M5, WEDNESDAY + timedelta(minutes=2), CRYPTO, LIMITS)
    assert verdict.message == "newest 5m bar closed 2.0 min ago, limit 15.0 min"


def test_the_limits_are_settings() -> None:
    tight = FreshnessSettings(minutes_5m=3)
    assert not check_freshness(WEDNESDAY, Timeframe.M5, WEDNESDAY + timedelta(minutes=4), CRYPTO, tight).fresh


@pytest.mark.parametrize("timeframe", list(Timeframe))
@pytest.mark.parametrize("calendar", [FOREX, CRYPTO], ids=["forex", "crypto"])
def test_a_bar_that_closes_in_the_future_is_never_fresh(timeframe: Timeframe, calendar: Calendar) -> None:
    assert check_freshness(WEDNESDAY + 5 * SECOND, timeframe, WEDNESDAY, calendar, LIMITS).fresh
    verdict = check_freshness(WEDNESDAY + 6 * SECOND, timeframe, WEDNESDAY, calendar, LIMITS)
    assert not verdict.fresh
    assert verdict.age_seconds == -6
    assert "0.1 min in the future" in verdict.message


@pytest.mark.parametrize(
    ("now", "fresh"),
    [
        ("2026-07-05T21:00:00", True),  # Sunday open: Friday's last bar is not yet old
        ("2026-07-05T21:15:00", True),
        ("2026-07-05T21:15:01", False),
        ("2026-07-04T12:00:00", True),  # closed: the market-hours gate speaks, not this one
    ],
)
def test_fridays_last_bar_ages_only_while_the_market_is_open(now: str, fresh: bool) -> None:
    assert judge("2026-07-03T21:00", Timeframe.M5, now).fresh is fresh


def test_a_feed_that_died_on_thursday_is_stale_on_sunday() -> None:
    verdict = judge("2026-07-02T21:00", Timeframe.M5, "2026-07-05T21:01")
    assert not verdict.fresh
    assert "(1441.0 min of open market)" in verdict.message


@pytest.mark.parametrize(("name", "minutes"), MINUTES.items())
@pytest.mark.parametrize(
    ("close", "opens"),
    [
        ("2026-07-03T21:00", "2026-07-05T21:00"),
        ("2026-03-06T22:00", "2026-03-08T21:00"),
        ("2026-10-30T21:00", "2026-11-01T22:00"),
        ("2026-12-24T22:00", "2026-12-27T22:00"),
        ("2026-12-31T22:00", "2027-01-03T22:00"),
        ("2024-12-24T22:00", "2024-12-25T22:00"),
    ],
    ids=["summer", "march", "november", "christmas", "new year", "christmas midweek"],
)
def test_the_last_bar_before_a_closure_is_fresh_up_to_its_limit_after_the_market_opens_again(
    close: str, opens: str, name: str, minutes: int
) -> None:
    threshold = utc(opens) + timedelta(minutes=minutes)
    assert around(close, Timeframe(name), threshold.isoformat()[:19]) == [True, True, False]
    assert check_freshness(utc(close), Timeframe(name), threshold, FOREX, LIMITS).age_seconds == minutes * 60


@pytest.mark.parametrize(
    ("close", "now", "age", "fresh"),
    [
        ("2026-07-03T20:45", "2026-07-03T21:00:00", 900, True),  # exactly at Friday's close
        ("2026-07-03T20:45", "2026-07-05T20:59:59", 900, True),  # and no older before Sunday's open
        ("2026-07-03T20:45", "2026-07-05T21:00:01", 901, False),
        ("2026-07-03T20:40", "2026-07-03T21:00:00", 1200, False),  # stale at the close is stale all weekend
        ("2026-07-03T20:40", "2026-07-05T12:00:00", 1200, False),
        ("2026-07-05T21:05", "2026-07-05T21:20:00", 900, True),  # the first bar after the open
        ("2026-07-05T21:05", "2026-07-05T21:20:01", 901, False),
    ],
)
def test_fridays_close_stops_the_age_and_sundays_open_goes_on_with_it(
    close: str, now: str, age: float, fresh: bool
) -> None:
    verdict = judge(close, Timeframe.M5, now)
    assert (verdict.age_seconds, verdict.fresh) == (age, fresh)


def test_on_the_afternoon_of_an_eve_a_silent_feed_grows_stale() -> None:
    """No bar is expected after 14:00 New York, and none is no reason to trade on an old one."""
    assert around("2026-12-24T19:00", Timeframe.M5, "2026-12-24T19:15") == [True, True, False]


def test_a_day_that_a_person_closed_does_not_age_a_bar() -> None:
    shut = ForexWeek([closed(date(2026, 7, 8)), early_close(datetime(2026, 7, 10, 13))])
    assert around("2026-07-07T21:00", Timeframe.H1, "2026-07-08T23:00", shut) == [True, True, False]
    assert around("2026-07-10T17:00", Timeframe.H1, "2026-07-12T23:00", shut) == [True, True, False]


@pytest.mark.parametrize(
    ("close", "now", "calendar", "fresh"),
    [
        ("2026-07-08T12:00", "2026-07-08T15:59:59", CRYPTO, True),  # nothing newer can exist
        ("2026-07-08T12:00", "2026-07-08T17:59:59", CRYPTO, True),
        ("2026-07-08T12:00", "2026-07-08T18:00:00", CRYPTO, True),  # 120 min after the close expected at 16:00
        ("2026-07-08T12:00", "2026-07-08T18:00:01", CRYPTO, False),
        ("2026-07-08T12:00", "2026-07-08T18:00:01", FOREX, False),
        ("2026-07-08T08:00", "2026-07-08T14:00:01", FOREX, False),
        ("2026-07-04T00:00", "2026-07-06T02:00:00", FOREX, True),  # Friday's last 4h bar, the next closes Monday 00:00
        ("2026-07-04T00:00", "2026-07-06T02:00:01", FOREX, False),
        ("2026-07-03T20:00", "2026-07-05T22:00:00", FOREX, True),  # Friday's last hour has been missing for one hour
        ("2015-12-24T20:00", "2015-12-27T23:00:00", FOREX, True),  # over Christmas
    ],
)
def test_a_4h_bar_is_held_against_the_close_the_calendar_expects(
    close: str, now: str, calendar: Calendar, fresh: bool
) -> None:
    assert judge(close, Timeframe.H4, now, calendar).fresh is fresh


def test_a_4h_age_and_its_limit_are_comparable() -> None:
    verdict = judge("2026-07-08T12:00", Timeframe.H4, "2026-07-08T18:30", CRYPTO)
    assert (verdict.age_seconds, verdict.limit_seconds) == (6.5 * 3600, 6 * 3600)
    assert verdict.message == "Stale market data detected: newest 4h bar closed 390.0 min ago, limit 360.0 min"


@pytest.mark.parametrize(
    ("close", "now", "calendar", "fresh"),
    [
        ("2026-07-08T00:00", "2026-07-08T23:59", CRYPTO, True),
        ("2026-07-07T00:00", "2026-07-08T23:59", CRYPTO, True),  # the one before
        ("2026-07-06T00:00", "2026-07-08T00:00", CRYPTO, False),
        ("2026-07-04T00:00", "2026-07-06T10:00", FOREX, True),  # Friday's bar on Monday; Sunday's is the last
        ("2026-07-03T00:00", "2026-07-06T10:00", FOREX, False),
    ],
)
def test_a_1d_bar_must_be_the_last_expected_one_or_the_one_before(
    close: str, now: str, calendar: Calendar, fresh: bool
) -> None:
    verdict = judge(close, Timeframe.D1, now, calendar)
    assert verdict.fresh is fresh
    assert verdict.limit_seconds is None
    assert ("Stale market data detected" in verdict.message) is not fresh


def test_a_check_takes_less_than_a_millisecond() -> None:
    for timeframe in Timeframe:
        check_freshness(WEDNESDAY, timeframe, WEDNESDAY, FOREX, LIMITS)
        rounds = []
        for _ in range(20):
            began = time.perf_counter()
            check_freshness(WEDNESDAY, timeframe, WEDNESDAY + timedelta(minutes=7), FOREX, LIMITS)
            rounds.append(time.perf_counter() - began)
        assert min(rounds) < 0.001


@given(
    now=st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    timeframe=st.sampled_from(list(Timeframe)),
    calendar=st.sampled_from([FOREX, CRYPTO]),
)
def test_the_bar_that_the_calendar_expects_last_is_always_fresh(
    now: datetime, timeframe: Timeframe, calendar: Calendar
) -> None:
    close = calendar.last_expected_close(timeframe, now)
    # Around the two eves the market is open for hours of which nothing is expected: a bar may well grow old there.
    quiet = (now.month == 12 and now.day >= 24) or (now.month == 1 and now.day <= 5)
    assert quiet or check_freshness(close, timeframe, now, calendar, LIMITS).fresh


MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
LATER = st.timedeltas(timedelta(0), timedelta(days=9))


@given(
    close=MOMENTS,
    first=LATER,
    second=LATER,
    timeframe=st.sampled_from(list(Timeframe)),
    calendar=st.sampled_from([FOREX, CRYPTO]),
)
def test_age_never_falls_and_a_stale_bar_is_never_fresh_again(
    close: datetime, first: timedelta, second: timedelta, timeframe: Timeframe, calendar: Calendar
) -> None:
    before = check_freshness(close, timeframe, close + first, calendar, LIMITS)
    after = check_freshness(close, timeframe, close + first + second, calendar, LIMITS)
    assert 0 <= before.age_seconds <= after.age_seconds
    assert before.fresh or not after.fresh


@given(now=MOMENTS, earlier=LATER, timeframe=st.sampled_from(list(Timeframe)))
def test_of_two_bars_the_older_one_is_never_the_fresher(
    now: datetime, earlier: timedelta, timeframe: Timeframe
) -> None:
    newer = check_freshness(now - timedelta(hours=1), timeframe, now, FOREX, LIMITS)
    older = check_freshness(now - timedelta(hours=1) - earlier, timeframe, now, FOREX, LIMITS)
    assert newer.age_seconds <= older.age_seconds
    assert newer.fresh or not older.fresh


@given(close=MOMENTS, name=st.sampled_from(list(MINUTES)), calendar=st.sampled_from([FOREX, CRYPTO]))
def test_every_limit_is_met_to_the_second_whatever_closure_lies_between(
    close: datetime, name: str, calendar: Calendar
) -> None:
    close, limit = close.replace(microsecond=0), MINUTES[name] * 60
    threshold = aged(calendar, close, limit)
    assert around(close.isoformat()[:19], Timeframe(name), threshold.isoformat()[:19], calendar)[:2] == [True, True]
    assert not check_freshness(close, Timeframe(name), aged(calendar, close, limit + 1), calendar, LIMITS).fresh


def aged(calendar: Calendar, start: datetime, seconds: int) -> datetime:
    """The first whole second by which the market has been open for so long since `start`."""
    low, high = 0, 20 * 86400
    while low < high:
        middle = (low + high) // 2
        if calendar.open_seconds(start, start + middle * SECOND) >= seconds:
            high = middle
        else:
            low = middle + 1
    return start + low * SECOND
