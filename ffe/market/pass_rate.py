"""Share of quality reports that passed, by instrument and by UTC day."""

from collections.abc import Sequence
from datetime import date, timedelta
from math import floor

from pydantic import BaseModel, ConfigDict

from ffe.market.quality import QualityPoint

# A trend looks back this far, and never at more reports than these.
TREND_DAYS = 30
TREND_REPORTS = 20_000

_STEPS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"


class PassRate(BaseModel):
    """`days` runs from the first day with a report to the last, each with (passed, reports); a day without one has (0, 0)."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    passed: int
    reports: int
    days: tuple[tuple[date, int, int], ...]

    @property
    def share(self) -> float:
        return self.passed / self.reports

    @property
    def sparkline(self) -> str:
        """One character a day: a full block when everything passed and only then, the lowest when nothing did, a dot without a report."""
        return "".join(_NOTHING if not reports else _step(passed / reports) for _, passed, reports in self.days)


def pass_rates(history: Sequence[QualityPoint]) -> tuple[PassRate, ...]:
    """One for each instrument of `history`, by name."""
    names = sorted({point.instrument for point in history})
    return tuple(_rate(name, [point for point in history if point.instrument == name]) for name in names)


def _rate(instrument: str, points: Sequence[QualityPoint]) -> PassRate:
    first, last = (choose(point.checked_at.date() for point in points) for choose in (min, max))
    counts = {first + timedelta(days=step): [0, 0] for step in range((last - first).days + 1)}
    for point in points:
        counts[point.checked_at.date()][0] += point.passed
        counts[point.checked_at.date()][1] += 1
    return PassRate(
        instrument=instrument,
        passed=sum(point.passed for point in points),
        reports=len(points),
        days=tuple((day, passed, reports) for day, (passed, reports) in counts.items()),
    )


def _step(share: float) -> str:
    return _STEPS[floor(share * (len(_STEPS) - 1))]
