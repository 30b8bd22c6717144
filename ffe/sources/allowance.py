"""What one fetch may take: its time and its share of a daily budget, handed down to the source that sends the request.

A context variable, because the chain does not talk to the source itself: the store's `Incremental` stands in between.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# Where nobody set one: a source that is used by itself.
DEFAULT_SECONDS = 30.0


@dataclass(frozen=True)
class Allowance:
    """`until` is a `time.monotonic` moment; `share` the part of a day's requests after which this caller stops."""

    until: float
    share: float = 1.0

    @property
    def seconds(self) -> float:
        """What is left; below zero when it is over."""
        return self.until - time.monotonic()


_CURRENT: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowed(allowance: Allowance) -> Iterator[None]:
    """`allowance` for everything that this thread asks inside the block."""
    token = _CURRENT.set(allowance)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Allowance:
    """The allowance of the fetch under way; a fresh one where there is none."""
    return _CURRENT.get() or Allowance(time.monotonic() + DEFAULT_SECONDS)
