"""How long each stage of a cycle took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """`timings` in milliseconds by stage, in the order in which they ended."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - started) * 1000)

    def add(self, name: str, milliseconds: float) -> None:
        self.timings[name] = round(self.timings.get(name, 0.0) + milliseconds, 1)
