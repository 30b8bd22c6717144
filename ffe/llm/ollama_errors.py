"""What went wrong between the adapter and an Ollama server, told apart: try again, try the next model, or give up.

Ollama writes its crash texts differently from version to version, so they are recognised by substrings. Whatever the server
failed on by itself (any 5xx that is not "busy", an error or an end in the middle of an answer) is the model's failure: a smaller
model on the same server may still answer. What we sent wrong (400, 401, a page that is not Ollama's) another model would
only hide.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx
import ollama
from pydantic import ValidationError

from ffe.errors import ModelUnavailableError
from ffe.observe.masking import masked
from ffe.text import storable

BUSY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
# The client library's status of an error inside a stream that had begun as 200.
IN_THE_ANSWER = -1
# The first that fits names the failure: a CUDA error may be about memory, a terminated process about either.
SIGNS = (
    ("out of memory", "out of memory"),
    ("more system memory", "out of memory"),
    ("cuda error", "error of the GPU"),
    ("rocm error", "error of the GPU"),
    ("process has terminated", "the model runner died"),
    ("unexpectedly stopped", "the model runner died"),
)
SAID_MAX = 200
# Of a text this much is searched for secrets: the patterns take the square of the length of a text that is made for it.
SEARCHED_MAX = 4096


class NextModelError(ModelUnavailableError):
    """This model cannot answer, another one on the same server may."""


class BusyError(ModelUnavailableError):
    """Worth another try after a pause."""


class LateError(ModelUnavailableError):
    """The deadline has passed; there is no time for anything else."""


class UnreachableError(ModelUnavailableError):
    """No connection: nobody listens there, or the name or the network is not there."""


class LogprobsRefusedError(ModelUnavailableError):
    """The server cannot give log-probabilities in the form that was asked for; the same question without them may pass."""


class BrokenOffError(Exception):
    """The answer ended before the server said that it was done."""


class OverlongError(Exception):
    """The server said more than anyone asks for; the text is how much."""


class OtherModelError(Exception):
    """The answer is of another model than the one that was asked; the text is its name."""


# Everything that the client library and the HTTP library under it raise for a server that fails, and for one that is not Ollama.
FAILURES = (
    BrokenOffError,
    OverlongError,
    OtherModelError,
    ollama.ResponseError,
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
)


@contextmanager
def failing(where: str, model: str) -> Iterator[None]:
    """What fails inside is raised as it is classified."""
    try:
        yield
    except FAILURES as error:
        raise classified(where, error, model) from error


def classified(where: str, error: Exception, model: str) -> ModelUnavailableError:
    """The error to raise `from error`. `where` is the model and its host; what the server said is masked and kept short."""
    found: ModelUnavailableError
    match error:
        case ollama.ResponseError():
            found = _answered(where, error.status_code, str(error.error), model)
        case httpx.HTTPStatusError():
            found = _answered(where, error.response.status_code, error.response.text, model)
        case httpx.ConnectTimeout():
            found = UnreachableError(f"no connection for {where}: nothing answers there ({_named(error)})")
        case httpx.TimeoutException() | TimeoutError():
            found = LateError(f"no answer from {where} in time ({type(error).__name__})")
        case ConnectionError() | httpx.ConnectError():
            found = UnreachableError(f"nothing listens for {where}: connection refused or unreachable")
        case BrokenOffError():
            found = NextModelError(f"{where} ended its answer before it was done")
        case OverlongError():
            found = NextModelError(f"{where} {error}")
        case OtherModelError():
            found = NextModelError(
                f"{where} answered as {short(str(error))}: another model than the one that was asked"
            )
        case httpx.HTTPError() | OSError():
            found = NextModelError(f"the connection to {where} broke: {_named(error)}")
        case ValidationError():
            found = _misshapen(where, error, model)
        case _:
            found = _stranger(where, error)
    return found


def short(text: str) -> str:
    """One line of at most 200 characters, without secrets, as every store can keep it."""
    line = " ".join(storable(text).split())[:SEARCHED_MAX]
    return " ".join(masked(line).split())[:SAID_MAX]


def _answered(where: str, status: int, text: str, model: str) -> ModelUnavailableError:
    middle = status == IN_THE_ANSWER
    said = f"{where} {'failed in the middle of its answer' if middle else f'answered {status}'}: {short(text)}"
    lowered = text.lower()
    page = lowered.lstrip().startswith(("<!doctype", "<html"))
    sign = next((meaning for sign, meaning in SIGNS if sign in lowered), None)
    found: ModelUnavailableError
    if sign is not None:
        found = NextModelError(f"{said} ({sign})")
    elif status in BUSY:
        found = BusyError(f"{said} ({'a page of a proxy' if page else 'busy'})")
    elif status == HTTPStatus.NOT_FOUND and "model" in lowered and "not found" in lowered and not page:
        found = NextModelError(f"{said} (the model is missing: ffe models pull {model})")
    elif middle or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        found = NextModelError(f"{said} (the server failed on it)")
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        found = ModelUnavailableError(
            f"{said} (a redirect, which is not followed: FFE_OLLAMA__HOST has to be where it leads)"
        )
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        found = ModelUnavailableError(f"{said} (OLLAMA_API_KEY is sent to https hosts only)")
    elif status == HTTPStatus.BAD_REQUEST and "logprob" in lowered:
        found = LogprobsRefusedError(said)
    else:
        found = ModelUnavailableError(f"{said} (the request was refused)")
    return found


def _misshapen(where: str, error: ValidationError, model: str) -> ModelUnavailableError:
    """A reply of another shape than the client library knows: an error with status 200, odd log-probabilities, or no Ollama at all."""
    for item in error.errors(include_url=False):
        if isinstance(item["input"], dict) and item["input"].get("error"):
            return _answered(where, IN_THE_ANSWER, str(item["input"]["error"]), model)
        if "logprobs" in item["loc"]:
            return LogprobsRefusedError(f"{where} gives log-probabilities of another shape: {short(str(error))}")
    return _stranger(where, error)


def _stranger(where: str, error: Exception) -> ModelUnavailableError:
    return ModelUnavailableError(f"{where} did not answer as Ollama does: {_named(error)}")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {short(str(error))}"
