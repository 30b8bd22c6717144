"""How often the APIs that we call are called, how long that takes and how often it fails, counted per process and kept by the ledger.

A process counts in memory: a row in the ledger for each call would be a write beside every order. It hands its counts over at the end
of each cycle and when its engine closes, so one that is killed loses those of one cycle at most. Counting is no reason to fail: what
the ledger can't take now is kept for the next time, and nothing here raises.

What counts as an error is a refusal (4xx, 5xx), no answer in time, no connection, an answer that can't be read. A 404 to a read is
an answer: that is how a venue says that it has no such order.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ffe.clock import SystemClock
from ffe.errors import LedgerError
from ffe.ledger.models import ApiUsage

_LOG = logging.getLogger(__name__)


class UsageLedger(Protocol):
    """The part of the ledger that takes the counts."""

    def add_api_usage(self, usage: Sequence[ApiUsage]) -> None: ...


@dataclass
class _Count:
    calls: int = 0
    errors: int = 0
    seconds: float = 0.0

    def add(self, calls: int, errors: int, seconds: float) -> None:
        self.calls, self.errors, self.seconds = self.calls + calls, self.errors + errors, self.seconds + seconds


class ApiMeter:
    """Calls by source since the last flush. Safe to share between threads."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def add(self, source: str, seconds: float, *, error: bool) -> None:
        """One call of `source`, over after `seconds`."""
        self._add(source, 1, int(error), seconds)

    @contextmanager
    def timed(self, source: str) -> Iterator[None]:
        """Counts the block as one call; one that raises is an error."""
        started, error = time.perf_counter(), True
        try:
            yield
            error = False
        finally:
            self.add(source, time.perf_counter() - started, error=error)

    def flush(self, ledger: UsageLedger, at: datetime | None = None) -> None:
        """Hands the counts over, as calls of the UTC hour of `at` (now, when left out). Never raises."""
        moment = SystemClock().now() if at is None else at
        hour = moment.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            ledger.add_api_usage(
                [
                    ApiUsage(source=source, hour=hour, calls=count.calls, errors=count.errors, seconds=count.seconds)
                    for source, count in counts.items()
                ]
            )
        except LedgerError as error:
            _LOG.warning("counts of API calls are kept for later: %s", error)
            for source, count in counts.items():
                self._add(source, count.calls, count.errors, count.seconds)

    def _add(self, source: str, calls: int, errors: int, seconds: float) -> None:
        with self._lock:
            self._counts.setdefault(source, _Count()).add(calls, errors, seconds)


METER = ApiMeter()
"""The meter of this process: whoever calls an API counts here, the engine hands over."""
