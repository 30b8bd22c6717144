"""Is the newest bar young enough to trade on? Plain Python, before any other check, and again right before an order.

Age runs from the bar's close, never its open, and counts only time in which the market was open: on Sunday evening Friday's last
bar is minutes old, not two days. Up to 1h the limit is on that age. A complete 4h bar is legitimately up to four hours old, so
its limit runs from the close that the calendar expected next. 1d has no time limit: the bar has to be the last expected one or
the one before. A bar that closes in the future is never fresh.
"""

from datetime import datetime, timedelta

from ffe.market.calendar import Calendar
from ffe.market.models import Timeframe
from ffe.market.quality import Freshness
from ffe.settings import FreshnessSettings

# Clocks of venue and machine differ a little; more than this is a bar that nobody can have seen complete.
FUTURE_TOLERANCE = timedelta(seconds=5)


def check_freshness(
    bar_close: datetime, timeframe: Timeframe, now: datetime, calendar: Calendar, limits: FreshnessSettings
) -> Freshness:
    """Verdict on a bar that closed at `bar_close`. An age equal to the limit is fresh.

    `age_seconds` is market time since the close (negative for a future bar); `limit_seconds` is what that age is held against.
    """
    if bar_close > now + FUTURE_TOLERANCE:
        ahead = (bar_close - now).total_seconds()
        message = (
            f"newest {timeframe.value} bar closes {ahead / 60:.1f} min in the future, now is {now:%Y-%m-%dT%H:%M:%SZ}"
        )
        return Freshness(
            bar_close=bar_close,
            age_seconds=-ahead,
            limit_seconds=limits.limit_seconds(timeframe),
            fresh=False,
            message=message,
        )
    age = calendar.open_seconds(bar_close, now)
    allowed = _allowed_age(bar_close, timeframe, now, calendar, limits)
    fresh = age <= allowed
    return Freshness(
        bar_close=bar_close,
        age_seconds=age,
        limit_seconds=None if timeframe is Timeframe.D1 else allowed,
        fresh=fresh,
        message=_message(timeframe, max((now - bar_close).total_seconds(), 0.0), age, allowed, fresh=fresh),
    )


def _allowed_age(
    bar_close: datetime, timeframe: Timeframe, now: datetime, calendar: Calendar, limits: FreshnessSettings
) -> float:
    """Greatest market time since the close, in seconds, at which the bar is still fresh."""
    seconds = limits.limit_seconds(timeframe)
    if seconds is None:
        newest = calendar.last_expected_close(timeframe, now)
        before = calendar.last_expected_close(timeframe, newest - timedelta(seconds=1))
        return calendar.open_seconds(before, now)
    if timeframe.duration <= timedelta(hours=1):
        return seconds
    return seconds + calendar.open_seconds(bar_close, calendar.next_expected_close(timeframe, bar_close))


def _message(timeframe: Timeframe, elapsed: float, age: float, allowed: float, *, fresh: bool) -> str:
    # One second over the limit must not read as equal to it.
    digits = 2 if round(age / 60, 1) == round(allowed / 60, 1) else 1
    elapsed_minutes, age_minutes, limit_minutes = (f"{value / 60:.{digits}f} min" for value in (elapsed, age, allowed))
    market = "" if abs(elapsed - age) < 1 else f" ({age_minutes} of open market)"
    text = f"newest {timeframe.value} bar closed {elapsed_minutes} ago{market}, limit {limit_minutes}"
    return text if fresh else f"Stale market data detected: {text}"
