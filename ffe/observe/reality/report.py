"""A reality check in words: lines for a terminal or a log, rows for a table, one document for machines."""

from collections.abc import Sequence
from typing import Any

from ffe.clock import rfc3339
from ffe.observe.reality.history import Point
from ffe.observe.reality.models import Holds, Invariant, Reality
from ffe.orders.findings import Trouble

# Type of the incident of an invariant that held until now.
TROUBLE = "InvariantBroken"


def document(reality: Reality, points: Sequence[Point]) -> dict[str, Any]:
    """`{at, mode, broken: [names], took_ms, invariants: [...], trend: [{at, broken, names}]}`, the trend oldest first."""
    past = [{"at": rfc3339(each.at), "broken": len(each.broken), "names": list(each.broken)} for each in points]
    return reality.document() | {"trend": past}


def table(reality: Reality) -> list[dict[str, str]]:
    """One row an invariant, the broken ones first."""
    ordered = sorted(reality.invariants, key=lambda each: not each.bad)
    return [{"invariant": each.name, "holds": each.holds.value, "detail": each.detail} for each in ordered]


def sentence(reality: Reality) -> str:
    """How many hold, and the names of those that do not."""
    applying = [each for each in reality.invariants if each.holds is not Holds.NOT_APPLICABLE]
    if reality.holds:
        return f"all {len(applying)} invariants hold"
    names = ", ".join(each.name for each in reality.broken)
    return f"{len(reality.broken)} of {len(applying)} invariants are broken: {names}"


def lines(reality: Reality) -> list[str]:
    """What breaks each broken invariant, row by row."""
    return [line for each in reality.broken for line in breakage(each)]


def breakage(invariant: Invariant) -> list[str]:
    """The invariant with its numbers, since when, and the first rows that break it."""
    since = "" if invariant.since is None else f" (since {rfc3339(invariant.since)})"
    said = [f"{invariant.name} is {invariant.holds.value}{since}: {invariant.detail}"]
    said += [f"  {', '.join(f'{key} {value}' for key, value in row.items())}" for row in invariant.rows]
    left = invariant.count - len(invariant.rows)
    return [*said, f"  and {left} more"] if left > 0 else said


def troubles(news: Sequence[Invariant]) -> list[Trouble]:
    """What deserves an incident: one for each newly broken invariant, with what breaks it."""
    return [Trouble(type=TROUBLE, message="\n".join(breakage(each)), instrument=None, order_id=None) for each in news]
