"""The days on which spot forex keeps other hours than its week: a dated table, and the notation in which a person adds to it.

A day here is a *trading day*, which begins at 17:00 New York of the evening before: `2026-12-25/closed` is shut from the 24th 17:00 to
the 25th 17:00. A *thin* entry is time in which brokers differ: the market may print bars there, and none is expected. Everything else
shuts the market.

Where the rows come from. Closed: 25 December and 1 January. Early close of the eves: the 1h bars of OANDA end at 14:00 on 2015-12-24
and 2015-12-31, and on Friday 2016-12-30. After a holiday on a Sunday: those bars begin again on Monday 2016-12-26 18:00. What they
show of one year is thin in all years. Holidays of one country (Good Friday, Thanksgiving) miss no bar there and have no row. Outside
the years of the table the week alone counts: bars that then do not come are missing bars, which stops the trade.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Self
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
DAY_TURN = time(17)


class HolidayKind(StrEnum):
    CLOSED = "closed"
    EARLY_CLOSE = "early-close"
    LATE_OPEN = "late-open"


@dataclass(frozen=True)
class Holiday:
    """One exception. `at` is New York time, None for a closed day; a time of 17:00 or later is on the evening that begins the day."""

    day: date
    kind: HolidayKind
    at: time | None = None
    thin: bool = False
    reason: str = "set by a person"

    def __post_init__(self) -> None:
        if self.day.weekday() >= 5:
            raise ValueError(f"{self.day} is a {self.day:%A}: no forex trading day; Sunday evening belongs to Monday")
        if (self.at is None) is not (self.kind is HolidayKind.CLOSED):
            raise ValueError(
                f"{self.day} {self.kind.value}: a New York time is for early-close and late-open, and only there"
            )

    @property
    def moment(self) -> float:
        """Epoch seconds of `at`; of the day's end where there is none."""
        at = self.at or DAY_TURN
        evening_before = self.at is not None and self.at >= DAY_TURN
        return new_york(self.day - timedelta(days=1) if evening_before else self.day, at)

    @property
    def code(self) -> str:
        """`2026-12-24/early-close/14:00/thin`: what a calendar's name carries. Without the reason."""
        at = () if self.at is None else (f"{self.at:%H:%M}",)
        return "/".join((self.day.isoformat(), self.kind.value, *at, *(("thin",) if self.thin else ())))

    @classmethod
    def of_code(cls, code: str, reason: str = "set by a person") -> Self:
        """Raises ValueError when it is not a `code`."""
        try:
            day, kind, *rest = code.split("/")
            thin = rest[-1:] == ["thin"]
            times: list[time | None] = [time.fromisoformat(text) for text in (rest[:-1] if thin else rest)]
            (at,) = times or [None]
            parsed = date.fromisoformat(day), HolidayKind(kind), at, thin, reason
        except ValueError as error:
            raise ValueError(f"{code!r} is not DAY/KIND[/HH:MM][/thin]: {error}") from error
        return cls(*parsed)


def closed(day: date) -> Holiday:
    """Raises ValueError on a weekend."""
    return Holiday(day, HolidayKind.CLOSED)


def early_close(local: datetime) -> Holiday:
    """From naive New York time, to the minute. Raises ValueError for an aware one, and when the market is shut then by its week."""
    if local.tzinfo is not None:
        raise ValueError(f"{local.isoformat()} has a UTC offset; an early close is in New York time, without one")
    return Holiday(trading_day(local), HolidayKind.EARLY_CLOSE, local.time().replace(second=0, microsecond=0))


def trading_day(local: datetime) -> date:
    """The trading day that New York time `local` lies in."""
    return local.date() + timedelta(days=1) if local.time() >= DAY_TURN else local.date()


def new_york(day: date, at: time) -> float:
    """Epoch seconds of New York time."""
    return datetime.combine(day, at, tzinfo=NEW_YORK).timestamp()


_ROWS = """
2012-01-02/closed/thin Monday after New Year's Day on a Sunday
2012-01-03/late-open/18:00/thin feed begins again on Monday evening
2012-12-24/early-close/14:00/thin Christmas Eve
2012-12-25/closed Christmas Day
2012-12-31/early-close/14:00/thin New Year's Eve
2013-01-01/closed New Year's Day
2013-12-24/early-close/14:00/thin Christmas Eve
2013-12-25/closed Christmas Day
2013-12-31/early-close/14:00/thin New Year's Eve
2014-01-01/closed New Year's Day
2014-12-24/early-close/14:00/thin Christmas Eve
2014-12-25/closed Christmas Day
2014-12-31/early-close/14:00/thin New Year's Eve
2015-01-01/closed New Year's Day
2015-12-24/early-close/14:00/thin Christmas Eve
2015-12-25/closed Christmas Day
2015-12-31/early-close/14:00/thin New Year's Eve
2016-01-01/closed New Year's Day
2016-12-26/closed/thin Monday after Christmas Day on a Sunday
2016-12-27/late-open/18:00/thin feed begins again on Monday evening
2016-12-30/early-close/14:00/thin last trading day of 2016
2017-01-02/closed/thin Monday after New Year's Day on a Sunday
2017-01-03/late-open/18:00/thin feed begins again on Monday evening
2017-12-25/closed Christmas Day
2018-01-01/closed New Year's Day
2018-12-24/early-close/14:00/thin Christmas Eve
2018-12-25/closed Christmas Day
2018-12-31/early-close/14:00/thin New Year's Eve
2019-01-01/closed New Year's Day
2019-12-24/early-close/14:00/thin Christmas Eve
2019-12-25/closed Christmas Day
2019-12-31/early-close/14:00/thin New Year's Eve
2020-01-01/closed New Year's Day
2020-12-24/early-close/14:00/thin Christmas Eve
2020-12-25/closed Christmas Day
2020-12-31/early-close/14:00/thin New Year's Eve
2021-01-01/closed New Year's Day
2021-12-24/early-close/14:00/thin Christmas Eve
2021-12-31/early-close/14:00/thin New Year's Eve
2022-12-26/closed/thin Monday after Christmas Day on a Sunday
2022-12-27/late-open/18:00/thin feed begins again on Monday evening
2023-01-02/closed/thin Monday after New Year's Day on a Sunday
2023-01-03/late-open/18:00/thin feed begins again on Monday evening
2023-12-25/closed Christmas Day
2024-01-01/closed New Year's Day
2024-12-24/early-close/14:00/thin Christmas Eve
2024-12-25/closed Christmas Day
2024-12-31/early-close/14:00/thin New Year's Eve
2025-01-01/closed New Year's Day
2025-12-24/early-close/14:00/thin Christmas Eve
2025-12-25/closed Christmas Day
2025-12-31/early-close/14:00/thin New Year's Eve
2026-01-01/closed New Year's Day
2026-12-24/early-close/14:00/thin Christmas Eve
2026-12-25/closed Christmas Day
2026-12-31/early-close/14:00/thin New Year's Eve
2027-01-01/closed New Year's Day
2027-12-24/early-close/14:00/thin Christmas Eve
2027-12-31/early-close/14:00/thin New Year's Eve
2028-12-25/closed Christmas Day
2029-01-01/closed New Year's Day
2029-12-24/early-close/14:00/thin Christmas Eve
2029-12-25/closed Christmas Day
2029-12-31/early-close/14:00/thin New Year's Eve
2030-01-01/closed New Year's Day
2030-12-24/early-close/14:00/thin Christmas Eve
2030-12-25/closed Christmas Day
2030-12-31/early-close/14:00/thin New Year's Eve
2031-01-01/closed New Year's Day
"""


def _table() -> tuple[Holiday, ...]:
    rows = (row.split(" ", 1) for row in _ROWS.strip().splitlines())
    return tuple(Holiday.of_code(code, reason) for code, reason in rows)


HOLIDAYS = _table()
