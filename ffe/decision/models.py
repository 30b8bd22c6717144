"""The decision and what it was made from."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.llm.models import JsonSchema, Message, ModelIdentity, Sampling
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


class ModelCall(BaseModel):
    """One call, complete enough to be replayed byte for byte. `error` is set when no usable answer came back."""

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


class Decision(BaseModel):
    """The verdict on one instrument at one bar. HOLD by anyone but the model carries confidence 100.

    `pulse_batches` names the bars behind the question: batch id by timeframe, the base's among them.
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
