"""Having an Ollama server pull a model: only ever on a person's command, never because a decision found it missing.

There is no deadline over the whole, gigabytes take their time; but a server that says nothing for 5 minutes has stalled. A pull that
is broken off goes on where it was the next time.
"""

from collections.abc import Iterator

import httpx
import ollama
from pydantic import BaseModel, ConfigDict

from ffe.errors import ModelUnavailableError
from ffe.llm.ollama_errors import FAILURES, LateError, classified, short
from ffe.llm.ollama_limits import limited
from ffe.llm.ollama_server import CONNECT_SECONDS, READ_SECONDS, Deadline, Server, same
from ffe.settings import OllamaSettings

STALL_SECONDS = 300.0
SUCCESS = "success"


class Step(BaseModel):
    """What the server says it is doing. `digest`, `total` and `completed` (bytes) are those of a layer; each may be absent."""

    model_config = ConfigDict(frozen=True)

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


class Pulled(BaseModel):
    """What came of one pull: digest and size in bytes of the model there now, or why it failed."""

    model_config = ConfigDict(frozen=True)

    model: str
    digest: str | None = None
    size: int | None = None
    status: str
    error: str | None = None


def steps(settings: OllamaSettings, model: str, stall_seconds: float = STALL_SECONDS) -> Iterator[Step]:
    """The steps of a pull as they happen, `success` the last. Closing the iterator ends the pull.

    Raises:
        UnreachableError: no connection to the server.
        ModelUnavailableError: the server could not pull it, with its reason; or it stalled, or ended without success.
    """
    server = Server(settings)
    limit = httpx.Timeout(stall_seconds, connect=CONNECT_SECONDS)
    status = "nothing"
    try:
        options = server.options(limit) | {"event_hooks": {"response": [limited(by_line=True)]}}
        with ollama.Client(server.address, **options) as client:
            for part in client.pull(model, stream=True):
                status = part.status or ""
                yield Step(status=status, digest=part.digest, total=part.total, completed=part.completed)
    except FAILURES as error:
        raise _failed(server, model, error, stall_seconds) from error
    if status != SUCCESS:
        raise ModelUnavailableError(
            f"{server.address} ended the pull of {model} after {short(status)!r}, without success"
        )


def installed(settings: OllamaSettings, model: str) -> Pulled:
    """What the server has under that name after a pull.

    Raises:
        ModelUnavailableError: it has nothing, or could not be asked.
    """
    server = Server(settings)
    tags = server.tags(model, Deadline(READ_SECONDS))
    found = next((tag for tag in tags if same(model, tag.model)), None)
    if found is None:
        raise ModelUnavailableError(f"{server.address} said success and does not list {model}")
    size = None if found.size is None else int(found.size)
    return Pulled(model=model, digest=found.digest, size=size, status=SUCCESS)


def _failed(server: Server, model: str, error: Exception, stall_seconds: float) -> ModelUnavailableError:
    if isinstance(error, ollama.ResponseError):
        return ModelUnavailableError(f"{server.address} could not pull {model}: {short(str(error.error))}")
    found = classified(f"{model} at {server.address}", error, model)
    if isinstance(found, LateError):
        return LateError(f"{server.address} said nothing about the pull of {model} for {stall_seconds:g} s")
    return found
