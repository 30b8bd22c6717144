"""What goes into a language model and what comes back."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

JsonSchema = dict[str, Any]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(BaseModel):
    """Everything that changes the answer. `num_ctx` is constant per process: Ollama reloads the model when it changes."""

    model_config = ConfigDict(frozen=True)

    temperature: float = 0.0
    seed: int = 7
    max_tokens: int = 160
    num_ctx: int = 2048


class ModelIdentity(BaseModel):
    """`digest` is the GGUF's sha256 (embedded) or the registry digest (Ollama); `runtime` is library and version."""

    model_config = ConfigDict(frozen=True)

    adapter: Literal["ollama", "embedded", "recorded"]
    model: str
    digest: str
    runtime: str
    device: str = "cpu"
    threads: int | None = None


class Completion(BaseModel):
    """Raw text of one answer. `finish_reason` "length" means cut off: never valid JSON, whatever it parses to."""

    model_config = ConfigDict(frozen=True)

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    load_ms: float = 0.0
    identity: ModelIdentity


class ModelHealth(BaseModel):
    model_config = ConfigDict(frozen=True)

    ok: bool
    detail: str
