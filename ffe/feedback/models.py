"""What became of a decision, what the model's confidence has been worth, and how the model answers a fixed set of questions."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Action, Author
from ffe.market.models import Timeframe


class Exit(StrEnum):
    """What ended the trade that was graded: its target, its stop, or the horizon."""

    TARGET = "target"
    STOP = "stop"
    HORIZON = "horizon"


class Grade(BaseModel):
    """How a decision turned out at its horizon. Returns are fractions of the entry price; `net` ones are after `cost`.

    `long_return` and `short_return` are net, by the same rules, whatever was decided. `net_return` is that of the action, 0 for HOLD: doing
    nothing earns nothing. `paid`: a BUY or SELL earned more than nothing; a HOLD missed nothing. `regret` is what the best of the
    three would have earned more. `known_at` is the close of the last bar that was looked at. `stated`, `token` and `odds` are
    the decision's own, kept here for calibration. `opinion` is what the model itself said, whoever decided in the end.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    decision_id: str
    instrument: str
    timeframe: Timeframe
    bar_close: datetime
    action: Action
    decided_by: Author
    opinion: Action | None = None
    model_digest: str | None
    prompt_version: str | None
    horizon_bars: int
    known_at: datetime
    entry_price: Decimal
    exit_price: Decimal
    exit: Exit
    cost: float
    net_return: float
    long_return: float
    short_return: float
    paid: bool
    regret: float
    stated: float | None = None
    token: float | None = None
    odds: dict[str, float] | None = None
    graded_at: datetime

    def as_opinion(self) -> "Grade | None":
        """The grade of what the model itself said, before a gate spoke; None when it said nothing. `exit` stays that of the decision.

        Graded as decided, an entry that the risk gate refused would be a HOLD, and only the sure ones would ever be learned from.
        """
        if self.opinion is None:
            return None
        earned = earned_by(self.opinion, self.long_return, self.short_return)
        best = max(self.long_return, self.short_return)
        values = {
            "action": self.opinion,
            "decided_by": Author.MODEL,
            "net_return": earned,
            "paid": best <= 0 if self.opinion is Action.HOLD else earned > 0,
            "regret": max(best, 0.0) - earned,
        }
        return self.model_copy(update=values)


def earned_by(action: Action, long_return: float, short_return: float) -> float:
    """The net return of an action, 0 for HOLD."""
    return {Action.BUY: long_return, Action.SELL: short_return, Action.HOLD: 0.0}[action]


class PastSituation(BaseModel):
    """What the model said in a situation that was graded, and what it would have earned; `action` is its opinion, whoever decided."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    decision_id: str
    instrument: str
    timeframe: Timeframe
    bar_close: datetime
    action: Action
    known_at: datetime
    net_return: float
    long_return: float
    short_return: float
    situation: dict[str, float]


class Calibration(BaseModel):
    """From a stated confidence or a token probability to the share of such decisions that paid; made from grades known by `known_until`.

    `source` is `token` or `stated`, `method` `isotonic` or `temperature`; `parameters` are the method's own. `habit` is the model's mean
    log-probability of each action, which is taken off first. Scores before and after are on grades held out in time.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model_digest: str
    prompt_version: str
    source: str
    method: str
    parameters: dict[str, Any]
    habit: dict[str, float] | None
    grades: int
    known_until: datetime
    brier_before: float
    brier_after: float
    ece_before: float
    ece_after: float
    fitted_at: datetime


class ModelEval(BaseModel):
    """One evaluation of a model on the fixed cases. `metrics` by name; `report` is the folder of its page and plots."""

    model_config = ConfigDict(frozen=True)

    id: str
    model: str
    model_digest: str
    quantization: str | None
    runtime: str
    prompt_version: str
    cases_sha256: str
    metrics: dict[str, float]
    report: str | None
    evaluated_at: datetime
