"""What a reality check says: every standing invariant by name, whether it holds, the numbers behind it and the rows that break it.

Fail closed: what could not be looked at is `unknown` and counts as broken. `not-applicable` counts for nothing and says why.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

# Of the rows that break an invariant so many are kept; `count` says how many there are.
ROWS_KEPT = 20

Row = dict[str, str]


class Holds(StrEnum):
    YES = "yes"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


BAD = frozenset({Holds.BROKEN, Holds.UNKNOWN})


class Invariant(BaseModel):
    """One rule and what was found. `count` rows break it, `rows` has the first of them; `since` is when it was first seen broken."""

    model_config = ConfigDict(frozen=True)

    name: str
    holds: Holds
    detail: str
    count: int = 0
    rows: tuple[Row, ...] = ()
    since: datetime | None = None

    @property
    def bad(self) -> bool:
        return self.holds in BAD


class Reality(BaseModel):
    """One run of every check. `took_ms` includes what the venues needed to answer."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    mode: str
    took_ms: float
    invariants: tuple[Invariant, ...]

    @property
    def broken(self) -> tuple[Invariant, ...]:
        """Broken or unknown."""
        return tuple(each for each in self.invariants if each.bad)

    @property
    def holds(self) -> bool:
        return not self.broken

    def document(self) -> dict[str, Any]:
        """JSON of it, with the names of what is broken beside."""
        said = self.model_dump(mode="json")
        return {"at": said.pop("at"), "mode": said.pop("mode"), "broken": [each.name for each in self.broken]} | said
