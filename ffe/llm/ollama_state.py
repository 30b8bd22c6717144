"""What an Ollama server says of itself: which models of the chain it has, and which one is loaded, and where."""

from datetime import datetime
from typing import Annotated

import ollama
from pydantic import BaseModel, ConfigDict, Field

from ffe.errors import ModelUnavailableError
from ffe.llm.models import Count, Name
from ffe.llm.ollama_errors import failing
from ffe.llm.ollama_server import READ_SECONDS, Deadline, Server, same
from ffe.settings import OllamaSettings

Bytes = Annotated[int, Field(ge=0, lt=2**63)]


class LoadedModel(BaseModel):
    """One entry of /api/ps. Sizes in bytes; `size_vram` is read from a log by the server and has been wrong: one sign, not a verdict.

    `context_length` and `expires_at` are None where the server does not say.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    digest: Name
    size: Bytes
    size_vram: Bytes
    context_length: Count | None = None
    expires_at: datetime | None = None


def loaded(settings: OllamaSettings) -> LoadedModel | None:
    """The first model of the chain that is loaded now; None when none of them is.

    Raises:
        ModelUnavailableError: the server could not be asked.
    """
    server = Server(settings)
    running = server.call(settings.model, _deadline(settings), lambda client: client.ps()).models
    for model in settings.chain:
        for entry in running:
            if same(model, entry.model or entry.name):
                return _loaded(model, entry, server)
    return None


def available(settings: OllamaSettings) -> tuple[str, ...]:
    """The models of the chain that the server has, in the chain's order.

    Raises:
        ModelUnavailableError: the server could not be asked.
    """
    tags = Server(settings).tags(settings.model, _deadline(settings))
    return tuple(model for model in settings.chain if any(same(model, tag.model) for tag in tags))


def version(settings: OllamaSettings) -> str:
    """Of the server, as `0.33.0`. Raises ModelUnavailableError when it could not be asked."""
    return Server(settings).version(settings.model, _deadline(settings))


def _loaded(model: str, entry: ollama.ProcessResponse.Model, server: Server) -> LoadedModel:
    if entry.size is None or entry.size_vram is None:
        raise ModelUnavailableError(f"{server.address} does not say how large {model} is in memory")
    with failing(server.where(model), model):
        return LoadedModel(
            model=model,
            digest=entry.digest or "",
            size=int(entry.size),
            size_vram=int(entry.size_vram),
            context_length=entry.context_length,
            expires_at=entry.expires_at,
        )


def _deadline(settings: OllamaSettings) -> Deadline:
    return Deadline(min(READ_SECONDS, settings.timeout_seconds))
