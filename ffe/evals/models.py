"""What an evaluation is made of: the cases, what was asked about them, and what came back."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Action, Context
from ffe.llm.models import ModelIdentity


class Case(BaseModel):
    """A moment of real bars and what followed. Both returns are fractions of the entry price, net of `cost`, over the set's horizon."""

    model_config = ConfigDict(frozen=True)

    id: str
    context: Context
    long_return: float
    short_return: float
    cost: float

    def net_return(self, action: Action | None) -> float:
        """What the action would have earned; HOLD and no answer earn nothing."""
        return {Action.BUY: self.long_return, Action.SELL: self.short_return}.get(action, 0.0) if action else 0.0


class CaseSet(BaseModel):
    """Cases in the order in which they are asked, instruments by turns, so that the first few are a fair sample.

    `sha256` is that of the whole file, however many of its cases are used. `origin` says which recorded files they were made of.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    horizon_bars: int
    origin: tuple[str, ...]
    cases: tuple[Case, ...]


class Question(StrEnum):
    """plain: the question as a cycle asks it. sampled: at a temperature, each time with another seed. The others are probes."""

    PLAIN = "plain"
    SAMPLED = "sampled"
    DATE = "date"
    TICKER = "ticker"
    PRICE = "price"


class CallFacts(BaseModel):
    """One call to the model. `latency_ms` is without the time that loading the model took."""

    model_config = ConfigDict(frozen=True)

    prompt_sha256: str
    raw_text: str | None
    error: str | None
    latency_ms: float
    prompt_tokens: int | None
    completion_tokens: int | None
    prompt_ms: float | None
    generation_ms: float | None


class Trial(BaseModel):
    """One question about one case. `action` None: no usable answer. A probe whose prompt is the plain one's is not asked again: no `calls`.

    `stated` is the answer's confidence and `token` the probability of its action from the log-probabilities, both in [0, 1].
    """

    model_config = ConfigDict(frozen=True)

    case_id: str
    question: Question
    turn: int
    action: Action | None
    stated: float | None
    token: float | None
    calls: tuple[CallFacts, ...]

    @property
    def valid_first(self) -> bool:
        return bool(self.calls) and self.calls[0].error is None


class Results(BaseModel):
    """Everything that one evaluation asked, in the order in which it was asked."""

    model_config = ConfigDict(frozen=True)

    identity: ModelIdentity
    prompt_version: str
    cases: tuple[Case, ...]
    cases_sha256: str
    repeats: int
    trials: tuple[Trial, ...]

    def of(self, question: Question, turn: int | None = None) -> tuple[Trial, ...]:
        """The trials of one question, of one turn or of all."""
        return tuple(each for each in self.trials if each.question is question and turn in (None, each.turn))
