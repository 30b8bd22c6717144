"""The venue's own clock: it runs from a chosen moment, may be set, advanced, sped up or frozen.

It follows the monotonic clock, so a change of the machine's date never moves it, and it never goes backwards unless `set` is called.
The JWT checks of the Coinbase side are the one thing that needs the wall clock; PyJWT reads it for itself.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock


class SimClock:
    """Satisfies `ffe.clock.Clock`. Safe to use from several threads.

    Raises:
        ValueError: a start or a set moment without an offset, a negative step, a negative or infinite rate.
    """

    def __init__(self, start: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._rate = 1.0
        self._base, self._origin = _utc(start), monotonic()

    def now(self) -> datetime:
        with self._lock:
            return self._now()

    def set(self, moment: datetime) -> None:
        """Jump to `moment`, forwards or backwards, and run on from there."""
        with self._lock:
            self._base, self._origin = _utc(moment), self._monotonic()

    def advance(self, step: timedelta) -> None:
        """Jump forwards by `step`."""
        if step < timedelta(0):
            raise ValueError(f"a clock is advanced by a positive step, not by {step}")
        with self._lock:
            self._rebase()
            self._base += step

    @property
    def rate(self) -> float:
        """Simulated seconds per real second: 1 is normal, 0 is frozen."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not math.isfinite(rate) or rate < 0:
            raise ValueError(f"rate {rate!r} is not a finite number of at least 0")
        with self._lock:
            self._rebase()
            self._rate = rate

    def _now(self) -> datetime:
        return self._base + timedelta(seconds=(self._monotonic() - self._origin) * self._rate)

    def _rebase(self) -> None:
        moment = self._now()
        self._base, self._origin = moment, self._monotonic()


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no UTC offset")
    return moment.astimezone(UTC)
