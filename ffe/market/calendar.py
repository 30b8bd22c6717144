"""When a market is open and which bars it should have printed: crypto always, spot forex by the New York week.

Own rule, because both published calendar packages are wrong for spot forex. Its sessions are in `trading_days`, the days that differ
in `holidays`. Time in which a venue may print nothing although the market is nominally open is *thin*: bars there are neither expected
nor wrong. That is the daily rollover 17:00-17:05 and what the holiday table says of the days around the two holidays.

A calendar has a name and a name has one calendar, so that a check stored as plain JSON, or sent to another process, carries it whole:
`forex-week`, or with days that a person added `forex-week 2026-04-03/closed 2026-11-27/early-close/13:00`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ffe.market.holidays import HOLIDAYS, Holiday
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.market.trading_days import Span, TradingDays

# A bar is expected when the market trades for half of it, or for half an hour of it: a 4h bar that holds Friday's last hour exists.
_ENOUGH_SECONDS = 1800.0
_WEEK = timedelta(days=7)

Seconds = npt.NDArray[np.float64]
Opens = npt.NDArray[np.datetime64]


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
        """For each bar open, whether the market is open, be it thin time, during any part of that bar."""
        ...

    def expected_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Opens:
        """Opens in [start, end) of the UTC-aligned bars that should exist, ascending `datetime64[us]`.

        A bar should exist when the market trades, outside thin time, for at least half of it or 30 minutes of it.
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
    """Spot forex: Sunday 17:00 to Friday 17:00 New York, less the holiday table and the holidays that a person `added` to it."""

    def __init__(self, added: Iterable[Holiday] = ()) -> None:
        self.added = tuple(sorted(set(added), key=lambda holiday: holiday.code))
        self.name = " ".join(("forex-week", *(holiday.code for holiday in self.added)))
        self._days = TradingDays((*HOLIDAYS, *self.added))

    def is_open(self, at: datetime) -> bool:
        moment = at.timestamp()
        return any(opens <= moment < closes for opens, closes in self._days.sessions(at, at))

    def next_open(self, at: datetime) -> datetime:
        moment, reach = at.timestamp(), _WEEK
        while True:
            ahead = [opens for opens, closes in self._days.sessions(at, at + reach) if closes > moment]
            if ahead:
                return datetime.fromtimestamp(max(moment, ahead[0]), UTC)
            reach *= 4

    def open_seconds(self, start: datetime, end: datetime) -> float:
        first, last = start.timestamp(), end.timestamp()
        spans = self._days.sessions(start, end)
        return sum((max(0.0, min(last, closes) - max(first, opens)) for opens, closes in spans), 0.0)

    def opened(self, timeframe: Timeframe, opens: Opens) -> npt.NDArray[np.bool_]:
        if opens.size == 0:
            return np.zeros(0, dtype=np.bool_)
        spans = self._days.sessions(_to_datetime(opens.min()), _to_datetime(opens.max()) + timeframe.duration)
        seconds = opens.astype("datetime64[us]").astype(np.float64) / 1_000_000
        return _overlap(spans, seconds, timeframe.seconds) > 0

    def expected_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Opens:
        grid = _grid(timeframe, start, end)
        traded = _overlap(self._days.traded(start, end + timeframe.duration), grid, timeframe.seconds)
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


class Calendars(dict[str, Calendar]):
    """Calendars by name. One with days that a person added is made when its name is first asked for."""

    def __missing__(self, name: str) -> Calendar:
        """Raises KeyError for a name that no calendar has."""
        week, *codes = name.split(" ")
        if week != "forex-week" or not codes:
            raise KeyError(name)
        return _forex(tuple(Holiday.of_code(code) for code in codes))


_ALWAYS, _FOREX = AlwaysOpen(), ForexWeek()
CALENDARS = Calendars({_ALWAYS.name: _ALWAYS, _FOREX.name: _FOREX})


def calendar_for(instrument: Instrument, added: tuple[Holiday, ...] = ()) -> Calendar:
    """The calendar of the instrument's market; `added` are a person's own days, `Settings.calendar.holidays`. Crypto has none."""
    if instrument.asset_class is not AssetClass.FOREX:
        return _ALWAYS
    return _forex(added) if added else _FOREX


@lru_cache(maxsize=16)
def _forex(added: tuple[Holiday, ...]) -> Calendar:
    return ForexWeek(added)


@dataclass(frozen=True, eq=False)
class MarketHours:
    """A market at one moment, UTC. `expected_opens` is ascending `datetime64[us]`."""

    open_now: bool
    next_open: datetime
    last_expected_close: datetime
    expected_opens: Opens


def market_hours(
    instrument: Instrument,
    timeframe: Timeframe,
    at: datetime,
    since: datetime | None = None,
    *,
    added: tuple[Holiday, ...] = (),
) -> MarketHours:
    """Open at `at`? If not, when next (`at` itself while it is open)? Which bars of `timeframe` should there be?

    `last_expected_close` is that of the newest expected bar that is complete at `at`. `expected_opens` are the opens in [since, at),
    the bar that is still running included; none without `since`.
    """
    calendar = calendar_for(instrument, added)
    return MarketHours(
        open_now=calendar.is_open(at),
        next_open=calendar.next_open(at),
        last_expected_close=calendar.last_expected_close(timeframe, at),
        expected_opens=calendar.expected_opens(timeframe, at if since is None else since, at),
    )


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


def _overlap(spans: list[Span], opens: Seconds, seconds: int) -> Seconds:
    """Seconds of each bar that lie in `spans`: differences of the piecewise linear sum of span time."""
    if not spans:
        return np.zeros(opens.size)
    edges = np.array(spans).ravel()
    total = np.concatenate([[0.0], np.cumsum(np.diff(edges) * (np.arange(edges.size - 1) % 2 == 0))])
    gained: Seconds = np.interp(opens + seconds, edges, total) - np.interp(opens, edges, total)
    return gained
