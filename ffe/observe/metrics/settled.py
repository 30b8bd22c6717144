"""A total over all time that reads old rows once. What is young is read again at every scrape, since it may still change.

A counter has to be the same whoever serves it, and after a restart, so it can't be counted in memory; and reading a hundred thousand
rows for each scrape would be waste. A row older than `SETTLES` never changes any more in what is counted of it: a cycle is over by
then, a decision never changes. A total in memory therefore never falls, and a new process begins at the same one or a higher.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlmodel import Session

T = TypeVar("T")

SETTLES = timedelta(hours=2)
BEGINNING, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Settled(Generic[T]):
    """`read` counts [since, until); `add` adds a later stretch to an earlier one. Safe to share between threads."""

    def __init__(self, read: Callable[[Session, datetime, datetime], T], add: Callable[[T, T], T]) -> None:
        self._read, self._add = read, add
        self._old: tuple[T, datetime] | None = None
        self._lock = threading.Lock()

    def total(self, session: Session, now: datetime) -> T:
        """Of everything up to now, and of what clocks that run ahead of ours have dated later."""
        with self._lock:
            old, until = self._old or (self._read(session, BEGINNING, BEGINNING), BEGINNING)
            settled = now - SETTLES
            if settled < until:
                # The clock was set back, as a simulator's is that starts again: what comes now may lie before what is settled.
                old, until = self._read(session, BEGINNING, BEGINNING), BEGINNING
            old, until = self._add(old, self._read(session, until, settled)), settled
            self._old = old, until
        return self._add(old, self._read(session, until, END))
