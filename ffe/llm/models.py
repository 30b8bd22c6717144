"""What goes into a language model and what comes back."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ffe.text import storable

JsonSchema = dict[str, Any]
# A digest has 71 characters, the path of a registry some hundred; beyond this it is no name of anything.
NAME_MAX = 1024
# Runtimes say "stop" and "length".
REASON_MAX = 64


def _cut(text: str) -> str:
    return text[:REASON_MAX]


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[Text, Field(max_length=NAME_MAX)]
Reason = Annotated[Text, AfterValidator(_cut)]
# What an INTEGER column of PostgreSQL holds.
Count = Annotated[int, Field(ge=0, lt=2**31)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(BaseModel):
    """Everything that changes the answer; log-probabilities are asked for beside it and do not. `num_ctx` is constant per process: Ollama reloads the model when it changes."""

    model_config = ConfigDict(frozen=True)

    temperature: float = 0.0
    seed: int = 7
    max_tokens: int = 160
    num_ctx: int = 2048


class ModelIdentity(BaseModel):
    """`digest` is the GGUF's sha256 (embedded) or the registry digest (Ollama); `runtime` is library and version."""

    model_config = ConfigDict(frozen=True)

    adapter: Literal["ollama", "embedded", "recorded"]
    model: Name
    digest: Name
    runtime: Name
    device: Name = "cpu"
    threads: int | None = None


class TokenOdds(BaseModel):
    """One generated token at character `start` of the answer, and what else could have stood there: text and natural log-probability.

    `top` are the likeliest tokens of that place, the likeliest first, the chosen one usually among them.
    """

    model_config = ConfigDict(frozen=True)

    start: int
    text: Text
    logprob: float
    top: tuple[tuple[Text, float], ...] = ()


class Completion(BaseModel):
    """Raw text of one answer. `finish_reason` "length" means cut off: never valid JSON, whatever it parses to.

    `prompt_ms` and `generation_ms` are the runtime's own timings; `tokens` is empty where it gives no log-probabilities.
    A text that no store takes is mended, a `finish_reason` cut to 64 characters; a count or time that cannot be is refused.
    """

    model_config = ConfigDict(frozen=True)

    text: Text
    finish_reason: Reason
    prompt_tokens: Count
    completion_tokens: Count
    latency_ms: Milliseconds
    load_ms: Milliseconds = 0.0
    prompt_ms: Milliseconds | None = None
    generation_ms: Milliseconds | None = None
    tokens: tuple[TokenOdds, ...] = ()
    identity: ModelIdentity


class ModelHealth(BaseModel):
    model_config = ConfigDict(frozen=True)

    ok: bool
    detail: str
