"""The decision and what it was made from."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.llm.models import JsonSchema, Message, ModelIdentity, Sampling, TokenOdds
from ffe.market.models import Instrument, Timeframe


class Action(StrEnum):
    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Author(StrEnum):
    """Who decided. Only `model` is an opinion; every other author is a gate, an outage or a switch."""

    MODEL = "model"
    DATA_GATE = "data-gate"
    MARKET_HOURS = "market-hours"
    RISK_GATE = "risk-gate"
    FALLBACK = "fallback"
    HALT = "halt"


class FramePulse(BaseModel):
    """Indicators of one timeframe at its newest complete bar. `partial` names why a value is missing (too few bars).

    `batch_id` and `source` say where its bars came from (`coinbase`, `resampled from 5m`), `closes` are the last 32, oldest first.
    """

    model_config = ConfigDict(frozen=True)

    timeframe: Timeframe
    bars: int
    close: float
    trend: str
    volatility: str
    rsi: float | None = None
    macd_histogram: float | None = None
    bollinger_position: float | None = None
    adx: float | None = None
    atr: float | None = None
    stochastic: float | None = None
    change_percent: float | None = None
    partial: str | None = None
    batch_id: str | None = None
    source: str | None = None
    closes: tuple[float, ...] = ()


class Remembered(BaseModel):
    """A past situation like the present one and how it ended. `known_at`, when its outcome was known, is never after the bar in question.

    `net_return` is the graded return after costs of `action`, as a fraction; of HOLD it is that of the better side, which was missed.
    `distance` is how far the two situations lie apart; the smaller, the more alike.
    """

    model_config = ConfigDict(frozen=True)

    decision_id: str
    instrument: str
    action: Action
    net_return: float
    known_at: datetime
    distance: float


class Context(BaseModel):
    """All that the model may know: computed locally, strictly from bars up to `bar_close`. Serialisable; the prompt is a function of it."""

    model_config = ConfigDict(frozen=True)

    instrument: Instrument
    timeframe: Timeframe
    bar_close: datetime
    batch_id: str
    quality_report_id: str
    last_close: Decimal
    atr: Decimal
    pulse: tuple[FramePulse, ...]
    consensus: str
    recent_closes: tuple[Decimal, ...]
    warnings: tuple[str, ...] = ()
    memory: tuple[Remembered, ...] = ()


class ModelCall(BaseModel):
    """One call, complete enough to be replayed byte for byte. `error` is set when no usable answer came back, `chain` is
    then its whole chain of exceptions as printed, masked.

    `content_sha256` is over what was asked and what came back, so that the same call made twice has it twice. `member` is who in an
    ensemble was asked (`model` outside of one). `tokens` are those of the action alone, with what else could have stood there.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    prompt_version: str
    prompt_sha256: str
    messages: tuple[Message, ...]
    answer_schema: JsonSchema
    sampling: Sampling
    identity: ModelIdentity | None
    raw_text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    started_at: datetime
    error: str | None = None
    chain: str | None = None
    content_sha256: str = ""
    member: str = "model"
    tokens: tuple[TokenOdds, ...] = ()
    load_ms: float = 0.0
    prompt_ms: float | None = None
    generation_ms: float | None = None


class ConfidenceParts(BaseModel):
    """Everything known of how sure the model was, each in [0, 1]; None where it is not known. `source` names the one that gates.

    `stated` is what the answer says. `token` is the probability of the written action among the three, from the runtime's
    log-probabilities; `odds` are all three. `corrected` is `token` after the model's habit was taken off. `calibrated` is the share of
    graded decisions with such a value that paid, by calibration `calibration_id`.
    """

    model_config = ConfigDict(frozen=True)

    stated: float
    odds: dict[str, float] | None = None
    token: float | None = None
    corrected: float | None = None
    calibrated: float | None = None
    calibration_id: str | None = None
    source: str = "stated"


class Vote(BaseModel):
    """What one member of an ensemble said; `action` None when it gave no usable answer, and `error` says why. Weight 0 has no vote."""

    model_config = ConfigDict(frozen=True)

    member: str
    action: Action | None
    confidence: int | None = None
    weight: float = 1.0
    error: str | None = None

    @property
    def counts(self) -> bool:
        return self.weight > 0


class Decision(BaseModel):
    """The verdict on one instrument at one bar. HOLD by anyone but the model carries confidence 100.

    `pulse_batches` names the bars behind the question: batch id by timeframe, the base's among them. `opinion` is what the model itself
    said, whoever decided in the end. `situation` is what the decision memory compares: indicator values by name. `confidence_parts` and `votes` say where `confidence` and `action` came from.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    cycle_id: str
    instrument: str
    timeframe: Timeframe
    bar_close: datetime | None
    action: Action
    confidence: int
    decided_by: Author
    reason_code: str
    reasoning: str
    batch_id: str | None = None
    quality_report_id: str | None = None
    model_call_id: str | None = None
    model: str | None = None
    model_digest: str | None = None
    prompt_sha256: str | None = None
    seed: int | None = None
    latency_ms: float | None = None
    decided_at: datetime
    pulse_batches: dict[str, str] | None = None
    opinion: Action | None = None
    situation: dict[str, float] | None = None
    confidence_parts: ConfidenceParts | None = None
    votes: tuple[Vote, ...] | None = None
