"""Which faults are set and which of them fire: by route, after `skip` matches, with a probability, at most `count` times.

A draw is a hash of the run's seed, the fault's place in the list and how many requests it has seen: the same file and seed give the same
faults for the same requests, and a fault that is added at the end changes nothing for the others.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from simulator.faults_exchange import Request
from simulator.faults_routes import path_pattern


@dataclass(frozen=True)
class Fault:
    """One entry of a faults file, checked. `options` are those of its kind; `ends`: it decides alone what is answered."""

    kind: str
    route: str | None = None
    venue: str | None = None
    method: str | None = None
    path: str | None = None
    when: str = "before"
    count: int | None = 1
    probability: float = 1.0
    skip: int = 0
    ends: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def after(self) -> bool:
        return self.when == "after"

    def matches(self, request: Request, now: datetime) -> bool:
        """Whether this is one of its requests; a maintenance window only while the venue's clock is inside."""
        start, until = self.options.get("from"), self.options.get("until")
        if (start is not None and now < start) or (until is not None and now >= until):
            return False
        return (
            (self.route is None or fnmatchcase(request.route, self.route))
            and self.venue in (None, request.venue)
            and self.method in (None, request.method)
            and (self.path is None or path_pattern(self.path).fullmatch(request.path) is not None)
        )


@dataclass
class Tally:
    """One fault at work: how many requests it has seen and how often it fired."""

    fault: Fault
    entry: Mapping[str, Any]
    seed: str
    seen: int = 0
    fired: int = 0

    @property
    def left(self) -> int | None:
        return None if self.fault.count is None else self.fault.count - self.fired

    def fires(self) -> bool:
        self.seen += 1
        if self.seen <= self.fault.skip or self.left == 0 or self._draw() >= self.fault.probability:
            return False
        self.fired += 1
        return True

    def _draw(self) -> float:
        """In [0, 1)."""
        digest = sha256(f"{self.seed}/{self.seen}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48


class Faults:
    """The faults of one simulator. Empty until `set`."""

    def __init__(self) -> None:
        self.seed, self._tallies = 0, list[Tally]()

    def __bool__(self) -> bool:
        return any(tally.left != 0 for tally in self._tallies)

    def set(self, faults: Sequence[tuple[Fault, Mapping[str, Any]]], seed: int | None = None) -> None:
        """Replaces all of them, with their entries as they were given. Without `seed` one is drawn."""
        self.seed = secrets.randbelow(2**32) if seed is None else seed
        self._tallies = [Tally(fault, entry, f"{self.seed}/{place}") for place, (fault, entry) in enumerate(faults)]

    def firing(self, request: Request, now: datetime) -> list[Fault]:
        """What happens to this request, in the order of the list. Only one fault can end it; the next is kept for another request."""
        fired: list[Fault] = []
        for tally in self._tallies:
            ended = any(fault.ends for fault in fired)
            if tally.fault.matches(request, now) and not (ended and tally.fault.ends) and tally.fires():
                fired.append(tally.fault)
        return fired

    def report(self) -> dict[str, Any]:
        """JSON: the seed, and for each entry how many requests it saw, how often it fired and how often it still may (null: no limit)."""
        rows = [
            {**tally.entry, "seen": tally.seen, "fired": tally.fired, "left": tally.left} for tally in self._tallies
        ]
        return {"seed": self.seed, "faults": rows}
