"""Spot forex, trading day by trading day, in epoch seconds: when each session runs, and in which part of it bars are expected.

A trading day D (Monday to Friday) runs from 17:00 New York on D-1 to 17:00 on D, so daylight saving moves it in UTC and not in New
York. Expected is the session without the daily rollover 17:00-17:05 and without what the holiday table calls thin: venues may print
nothing then. Days are worked out once and remembered.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from ffe.market.holidays import DAY_TURN, NEW_YORK, Holiday, HolidayKind, new_york

ROLLOVER_SECONDS = 300.0

Span = tuple[float, float]


class TradingDays:
    """Safe to share between threads: two that work out the same day get the same answer."""

    def __init__(self, holidays: Iterable[Holiday]) -> None:
        self._holidays: dict[date, list[Holiday]] = {}
        for holiday in holidays:
            self._holidays.setdefault(holiday.day, []).append(holiday)
        self._known: dict[date, tuple[Span | None, Span | None]] = {}

    def sessions(self, start: datetime, end: datetime) -> list[Span]:
        """Open time of the days that could touch [start, end], ascending, not cut to it."""
        return [span for day in _days(start, end) if (span := self._spans(day)[0]) is not None]

    def traded(self, start: datetime, end: datetime) -> list[Span]:
        """The same, without the time in which nothing is expected."""
        return [span for day in _days(start, end) if (span := self._spans(day)[1]) is not None]

    def _spans(self, day: date) -> tuple[Span | None, Span | None]:
        spans = self._known.get(day)
        if spans is None:
            spans = self._known[day] = self._work_out(day)
        return spans

    def _work_out(self, day: date) -> tuple[Span | None, Span | None]:
        if day.weekday() >= 5:
            return None, None
        week = new_york(day - timedelta(days=1), DAY_TURN), new_york(day, DAY_TURN)
        holidays = self._holidays.get(day, [])
        session = _cut(week, [holiday for holiday in holidays if not holiday.thin])
        if session is None:
            return None, None
        return session, _cut((max(session[0], week[0] + ROLLOVER_SECONDS), session[1]), holidays)


def _cut(span: Span, holidays: list[Holiday]) -> Span | None:
    """What the holidays leave of it; None when that is nothing."""
    opens, closes = span
    for holiday in holidays:
        if holiday.kind is HolidayKind.LATE_OPEN:
            opens = max(opens, holiday.moment)
        elif holiday.kind is HolidayKind.EARLY_CLOSE:
            closes = min(closes, holiday.moment)
        else:
            return None
    return (opens, closes) if opens < closes else None


def _days(start: datetime, end: datetime) -> list[date]:
    """Trading days that could touch [start, end]."""
    first = start.astimezone(NEW_YORK).date()
    count = (end.astimezone(NEW_YORK).date() - first).days + 2
    return [first + timedelta(days=step) for step in range(count)]
