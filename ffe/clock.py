"""The only place that reads the wall clock. Everything else is handed a `Clock`, so a recorded Wednesday is a Wednesday."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Timezone-aware UTC time."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class OffsetClock:
    """Starts at `start` when it is made and runs on at normal speed, unmoved by changes of the wall clock."""

    def __init__(self, start: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._start, self._monotonic, self._origin = start.astimezone(UTC), monotonic, monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._monotonic() - self._origin)


class FixedClock:
    """Stands still until it is told to move: for tests and replay."""

    def __init__(self, at: datetime) -> None:
        self.at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, step: timedelta) -> None:
        self.at += step


def parse_time(text: str) -> datetime:
    """UTC time from RFC 3339 text; nine fraction digits are cut to six.

    Raises:
        ValueError: not RFC 3339, or without an offset.
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return parsed.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """`2018-04-04T15:30:00Z`; microseconds only when there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
