"""When New York trades: the spot forex week and New York local time, over whole arrays of epoch seconds.

A forex trading day begins at 17:00 New York, so seven hours added to New York local time give its date: the week is then simply
Monday to Friday, right across daylight saving. 25 December and 1 January are closed. The venue pauses for the first five
minutes of every trading day (the rollover).
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEW_YORK = ZoneInfo("America/New_York")
HOUR, DAY, WEEK = 3600, 86400, 604800
ROLLOVER = 300
_TRADING_DAY = 7 * HOUR
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_CLOSED_DATES = (1225, 101)  # month and day


def new_york(times: Ints) -> Ints:
    """New York local seconds (epoch seconds plus the UTC offset then in force) of UTC epoch seconds."""
    hours, where = np.unique(times // HOUR, return_inverse=True)
    offsets = [_offset(datetime.fromtimestamp(int(hour) * HOUR, UTC).astimezone(NEW_YORK)) for hour in hours]
    return times + np.array(offsets, dtype=np.int64)[where]


def from_new_york(local: Ints) -> tuple[Ints, Mask]:
    """UTC epoch seconds of New York local seconds, and which of them exist at all (the hour skipped in March does not).

    An ambiguous local time (the hour repeated in November) is taken as its first occurrence.
    """
    hours, where = np.unique(local // HOUR, return_inverse=True)
    naive = [datetime.fromtimestamp(int(hour) * HOUR, UTC).replace(tzinfo=NEW_YORK) for hour in hours]
    utc = local - np.array([_offset(moment) for moment in naive], dtype=np.int64)[where]
    return utc, new_york(utc) == local


def weekday(local: Ints) -> Ints:
    """Monday 0 to Sunday 6 of local seconds."""
    return (local // DAY + _EPOCH_WEEKDAY) % 7


def forex_open(times: Ints) -> Mask:
    """Which of these UTC epoch seconds lie in the forex week, outside closed dates and the rollover pause."""
    trading = new_york(times) + _TRADING_DAY
    return (weekday(trading) < 5) & ~_closed_date(trading // DAY) & (trading % DAY >= ROLLOVER)


def last_open(time: int, *, forex: bool) -> int:
    """The newest whole minute at or before `time` at which the market was open; `time` itself for a market that never closes."""
    if not forex or forex_open(np.array([time]))[0]:
        return time
    minutes = np.arange(time // 60 * 60, time - 5 * DAY, -60)
    return int(minutes[np.argmax(forex_open(minutes))])


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None  # NEW_YORK always knows
    return int(offset.total_seconds())


def _closed_date(days: Ints) -> Mask:
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_of, day_of = months.astype(np.int64) % 12 + 1, (dates - months).astype(np.int64) + 1
    return np.isin(month_of * 100 + day_of, _CLOSED_DATES)
