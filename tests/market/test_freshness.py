"""Every threshold from both sides, counted from the close and over market time only."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.calendar import AlwaysOpen, Calendar, ForexWeek
from ffe.market.freshness import check_freshness
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


@pytest.mark.parametrize(
    ("close", "opens"),
    [("2026-03-06T22:00", "2026-03-08T21:00"), ("2026-10-30T21:00", "2026-11-01T22:00")],
    ids=["march", "november"],
)
def test_the_weekends_on_which_the_clocks_change_are_no_exception(close: str, opens: str) -> None:
    limit = timedelta(minutes=30)
    ages = [
        check_freshness(utc(close), Timeframe.M15, utc(opens) + limit + step, FOREX, LIMITS)
        for step in (-SECOND, 0 * SECOND, SECOND)
    ]
    assert [age.fresh for age in ages] == [True, True, False]
    assert ages[1].age_seconds == 1800


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


@given(age=st.integers(0, 40_000), timeframe=st.sampled_from(list(Timeframe)))
def test_growing_older_never_makes_a_bar_fresh_again(age: int, timeframe: Timeframe) -> None:
    now = WEDNESDAY + timedelta(seconds=age)
    before = check_freshness(WEDNESDAY, timeframe, now, FOREX, LIMITS)
    after = check_freshness(WEDNESDAY, timeframe, now + timedelta(minutes=1), FOREX, LIMITS)
    assert before.fresh or not after.fresh
