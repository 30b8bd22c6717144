"""What a run of grading did, and what the grades on record amount to, for pages and tables."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Action, Author
from ffe.feedback.models import Calibration, Grade
from ffe.market.models import Timeframe
from ffe.orders.findings import Trouble


class MarketGrades(BaseModel):
    """`graded` now; `pending`: their horizon is not over; `missing`: it is, and their bars are not there.

    `problem` says what went wrong, with the bars or with all of it.
    """

    model_config = ConfigDict(frozen=True)

    instrument: str
    timeframe: Timeframe
    graded: int = 0
    pending: int = 0
    missing: int = 0
    problem: str | None = None

    @property
    def trouble(self) -> Trouble | None:
        """The incident of bars that could not be had; None when there is no problem."""
        if self.problem is None:
            return None
        text = f"{self.missing} decisions on {self.instrument} {self.timeframe.value} can't be graded: {self.problem}"
        return Trouble(type="BarsMissing", message=text, instrument=self.instrument, order_id=None)


class GradingReport(BaseModel):
    """What one run did. `calibrations` are the new ones; `problem` says why they could not be fitted."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    markets: tuple[MarketGrades, ...]
    calibrations: tuple[Calibration, ...] = ()
    problem: str | None = None

    @property
    def failed(self) -> bool:
        return self.problem is not None or any(market.problem is not None for market in self.markets)


class AuthorGrades(BaseModel):
    """Grades of one author and action: share that paid, and means of net return and regret as fractions of the entry price."""

    model_config = ConfigDict(frozen=True)

    decided_by: Author
    action: Action
    count: int
    paid: float
    net_return: float
    regret: float


def by_author(grades: Sequence[Grade]) -> list[AuthorGrades]:
    """One row for each author and action that has a grade, in order of their names."""
    groups: defaultdict[tuple[Author, Action], list[Grade]] = defaultdict(list)
    for grade in grades:
        groups[grade.decided_by, grade.action].append(grade)
    return [
        AuthorGrades(
            decided_by=author,
            action=action,
            count=len(group),
            paid=fmean(grade.paid for grade in group),
            net_return=fmean(grade.net_return for grade in group),
            regret=fmean(grade.regret for grade in group),
        )
        for (author, action), group in sorted(groups.items())
    ]
