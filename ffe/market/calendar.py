"""When a market is open and which bars it should have printed: crypto always, spot forex by the New York week.

Own rule, because both published calendar packages are wrong for spot forex. A forex trading day D (Monday to Friday) runs from
17:00 New York on D-1 to 17:00 on D, so daylight saving moves it in UTC and not in New York. The days of 25 December and 1 January
are closed. Time in which a venue may print nothing although the market is nominally open is *optional*: bars there are neither
expected nor wrong. That is the daily rollover 17:00-17:05, the afternoon of the two eves (OANDA's 2015 bars end at 14:00), and the
Monday trading day after a holiday that fell on a Sunday (OANDA's 2016 bars begin again on Monday 18:00).
"""

import math
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ffe.market.models import AssetClass, Instrument, Timeframe

NEW_YORK = ZoneInfo("America/New_York")
DAY_TURN = time(17)
ROLLOVER = timedelta(minutes=5)
HOLIDAYS = frozenset({(12, 25), (1, 1)})
EVES = frozenset({(12, 24), (12, 31)})
EVE_CLOSE = time(14)
# A bar is expected when the market trades for half of it, or for half an hour of it: a 4h bar that holds Friday's last hour exists.
_ENOUGH_SECONDS = 1800.0

Seconds = npt.NDArray[np.float64]
Opens = npt.NDArray[np.datetime64]
Span = tuple[float, float]


class Calendar(Protocol):
    """Every moment is timezone-aware; every answer is UTC."""

    name: str

    def is_open(self, at: datetime) -> bool: ...

    def next_open(self, at: datetime) -> datetime:
        """`at` itself while the market is open, else the next opening."""
        ...

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """Market time between the two; 0.0 when `end` is not after `start`."""
        ...

    def opened(self, timeframe: Timeframe, opens: Opens) -> npt.NDArray[np.bool_]:
        """For each bar open, whether the market is open, be it optional time, during any part of that bar."""
        ...

    def expected_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Opens:
        """Opens in [start, end) of the UTC-aligned bars that should exist, ascending `datetime64[us]`.

        A bar should exist when the market trades, outside optional time, for at least half of it or 30 minutes of it.
        """
        ...

    def last_expected_close(self, timeframe: Timeframe, at: datetime) -> datetime:
        """Close of the newest expected bar that is complete at `at`."""
        ...

    def next_expected_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        """Close of the first expected bar that opens at or after `after`."""
        ...


class AlwaysOpen:
    """Crypto: every bar is expected, for ever."""

    name = "always-open"

    def is_open(self, at: datetime) -> bool:
        del at
        return True

    def next_open(self, at: datetime) -> datetime:
        return at.astimezone(UTC)

    def open_seconds(self, start: datetime, end: datetime) -> float:
        return max(0.0, (end - start).total_seconds())

    def opened(self, timeframe: Timeframe, opens: Opens) -> npt.NDArray[np.bool_]:
        del timeframe
        return np.ones(opens.size, dtype=np.bool_)

    def expected_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Opens:
        return _to_opens(_grid(timeframe, start, end))

    def last_expected_close(self, timeframe: Timeframe, at: datetime) -> datetime:
        return timeframe.floor(at)

    def next_expected_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        return timeframe.floor(after + timeframe.duration - timedelta(microseconds=1)) + timeframe.duration


class ForexWeek:
    """Spot forex: Sunday 17:00 to Friday 17:00 New York, without the closed days."""

    name = "forex-week"

    def is_open(self, at: datetime) -> bool:
        moment = at.timestamp()
        return any(opens <= moment < closes for opens, closes in _sessions(at, at))

    def next_open(self, at: datetime) -> datetime:
        moment = at.timestamp()
        ahead = (span for span in _sessions(at, at + timedelta(days=7)) if span[1] > moment)
        return datetime.fromtimestamp(max(moment, next(ahead)[0]), UTC)

    def open_seconds(self, start: datetime, end: datetime) -> float:
        first, last = start.timestamp(), end.timestamp()
        return sum(max(0.0, min(last, closes) - max(first, opens)) for opens, closes in _sessions(start, end))

    def opened(self, timeframe: Timeframe, opens: Opens) -> npt.NDArray[np.bool_]:
        if opens.size == 0:
            return np.zeros(0, dtype=np.bool_)
        spans = _sessions(_to_datetime(opens.min()), _to_datetime(opens.max()) + timeframe.duration)
        seconds = opens.astype("datetime64[us]").astype(np.float64) / 1_000_000
        return _overlap(spans, seconds, timeframe.seconds) > 0

    def expected_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Opens:
        grid = _grid(timeframe, start, end)
        traded = _overlap(_traded(start, end + timeframe.duration), grid, timeframe.seconds)
        return _to_opens(grid[traded >= min(timeframe.seconds / 2, _ENOUGH_SECONDS)])

    def last_expected_close(self, timeframe: Timeframe, at: datetime) -> datetime:
        end = timeframe.floor(at)
        span = timeframe.duration
        while True:
            opens = self.expected_opens(timeframe, end - span, end)
            if opens.size:
                return _to_datetime(opens[-1]) + timeframe.duration
            span *= 4

    def next_expected_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        span = 2 * timeframe.duration
        while True:
            opens = self.expected_opens(timeframe, after, after + span)
            if opens.size:
                return _to_datetime(opens[0]) + timeframe.duration
            span *= 4


_ALWAYS, _FOREX = AlwaysOpen(), ForexWeek()
CALENDARS: dict[str, Calendar] = {_ALWAYS.name: _ALWAYS, _FOREX.name: _FOREX}


def calendar_for(instrument: Instrument) -> Calendar:
    return _FOREX if instrument.asset_class is AssetClass.FOREX else _ALWAYS


def lookback_start(calendar: Calendar, timeframe: Timeframe, bars: int, end: datetime) -> datetime:
    """Open of the oldest of the newest `bars` expected bars (at least one) that open before `end`."""
    span = bars * timeframe.duration
    while True:
        opens = calendar.expected_opens(timeframe, end - span, end)
        if opens.size >= bars:
            return _to_datetime(opens[-bars])
        span *= 2


def _grid(timeframe: Timeframe, start: datetime, end: datetime) -> Seconds:
    step = timeframe.seconds
    first = math.ceil(start.timestamp() / step) * step
    return np.arange(first, end.timestamp(), step, dtype=np.float64)


def _to_opens(seconds: Seconds) -> Opens:
    return (seconds * 1_000_000).astype(np.int64).astype("datetime64[us]")


def _to_datetime(moment: Any) -> datetime:
    return datetime.fromtimestamp(int(moment.astype("datetime64[us]").astype(np.int64)) / 1_000_000, UTC)


@lru_cache(maxsize=4096)
def _session(day: date) -> Span | None:
    """Open and close of trading day `day` in epoch seconds; None when it is closed."""
    if day.weekday() >= 5 or (day.month, day.day) in HOLIDAYS:
        return None
    return _new_york(day - timedelta(days=1), DAY_TURN), _new_york(day, DAY_TURN)


@lru_cache(maxsize=4096)
def _traded_part(day: date) -> Span | None:
    """The session without its optional time; None when nothing is left."""
    session = _session(day)
    before = day - timedelta(days=1)
    if session is None or (before.weekday() == 6 and (before.month, before.day) in HOLIDAYS):
        return None
    closes = _new_york(day, EVE_CLOSE) if (day.month, day.day) in EVES else session[1]
    return session[0] + ROLLOVER.total_seconds(), closes


def _new_york(day: date, at: time) -> float:
    return datetime.combine(day, at, tzinfo=NEW_YORK).timestamp()


def _days(start: datetime, end: datetime) -> list[date]:
    """Trading days that could touch [start, end]."""
    first = start.astimezone(NEW_YORK).date()
    count = (end.astimezone(NEW_YORK).date() - first).days + 2
    return [first + timedelta(days=step) for step in range(count)]


def _sessions(start: datetime, end: datetime) -> list[Span]:
    return [span for day in _days(start, end) if (span := _session(day)) is not None]


def _traded(start: datetime, end: datetime) -> list[Span]:
    return [span for day in _days(start, end) if (span := _traded_part(day)) is not None]


def _overlap(spans: list[Span], opens: Seconds, seconds: int) -> Seconds:
    """Seconds of each bar that lie in `spans`: differences of the piecewise linear sum of span time."""
    if not spans:
        return np.zeros(opens.size)
    edges = np.array(spans).ravel()
    total = np.concatenate([[0.0], np.cumsum(np.diff(edges) * (np.arange(edges.size - 1) % 2 == 0))])
    gained: Seconds = np.interp(opens + seconds, edges, total) - np.interp(opens, edges, total)
    return gained
