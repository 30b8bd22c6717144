"""`OllamaModel`: a quantized model on an Ollama server that the operator runs.

The wanted model first, the fallback when it is not there or its runner dies on it (crash, out of memory, CUDA or ROCm error). A busy
server is asked again with backoff; everything shares one deadline. The server caches prompts whatever it is told, so an answer
is not reproducible to the byte: decisions are stored, not recomputed. Ollama writes its crash texts differently from version to
version, so they are told apart by substrings.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import ollama
from pydantic import ValidationError

from ffe.errors import ModelUnavailableError
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.settings import OllamaSettings

KEEP_ALIVE = "10m"
BACKOFF_SECONDS = (0.5, 1.0, 2.0)
BUSY = frozenset({502, 503, 504})
RUNNER_DIED = ("process has terminated", "unexpectedly stopped", "cuda error", "out of memory", "rocm error")
TEXT_MAX = 200


class _TryNextModelError(ModelUnavailableError):
    """This model cannot answer, another one on the same server may."""


class _BusyError(ModelUnavailableError):
    """Worth another try after a pause."""


class OllamaModel:
    """Blocking client. Thread-safe: it keeps nothing but the identities it has read."""

    def __init__(self, settings: OllamaSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings, self._sleep = settings, sleep
        self._identities: dict[str, ModelIdentity] = {}

    def identity(self) -> ModelIdentity:
        """Of the first model of the chain that the server has. Digest from /api/tags, version from /api/version."""
        deadline = self._deadline()
        problem = _TryNextModelError("no model is configured")
        for model in self._chain():
            try:
                return self._identity(model, deadline)
            except _TryNextModelError as error:
                problem = error
        raise problem

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        deadline = self._deadline()
        failures: list[_TryNextModelError] = []
        for model in self._chain():
            try:
                return self._patiently(model, messages, schema, sampling, deadline)
            except _TryNextModelError as error:
                failures.append(error)
        raise ModelUnavailableError("; ".join(str(failure) for failure in failures)) from failures[-1]

    def health(self) -> ModelHealth:
        try:
            identity = self.identity()
        except ModelUnavailableError as error:
            return ModelHealth(ok=False, detail=str(error))
        return ModelHealth(ok=True, detail=f"{identity.model} on {identity.runtime}, digest {identity.digest[:12]}")

    def close(self) -> None:
        """Every call closes its own connection; the server is the operator's."""

    def _chain(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self._settings.model, self._settings.fallback_model)))

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.timeout_seconds

    def _patiently(
        self, model: str, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling, deadline: float
    ) -> Completion:
        for pause in BACKOFF_SECONDS:
            try:
                return self._chat(model, messages, schema, sampling, deadline)
            except _BusyError:
                if time.monotonic() + pause >= deadline:
                    raise
                self._sleep(pause)
        return self._chat(model, messages, schema, sampling, deadline)

    def _chat(
        self, model: str, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling, deadline: float
    ) -> Completion:
        identity = self._identity(model, deadline)
        started = time.perf_counter()
        reply = self._call(
            model,
            deadline,
            lambda client: client.chat(
                model,
                [message.model_dump() for message in messages],
                format=schema,
                options={
                    "temperature": sampling.temperature,
                    "seed": sampling.seed,
                    "num_ctx": sampling.num_ctx,
                    "num_predict": sampling.max_tokens,
                },
                keep_alive=KEEP_ALIVE,
            ),
        )
        if not reply.done:
            raise ModelUnavailableError(f"{model} at {self._settings.host} ended its answer before it was done")
        return Completion(
            text=reply.message.content or "",
            finish_reason=reply.done_reason or "unknown",
            prompt_tokens=reply.prompt_eval_count or 0,
            completion_tokens=reply.eval_count or 0,
            latency_ms=(time.perf_counter() - started) * 1000,
            load_ms=(reply.load_duration or 0) / 1e6,
            identity=identity,
        )

    def _identity(self, model: str, deadline: float) -> ModelIdentity:
        if model not in self._identities:
            tags = self._call(model, deadline, lambda client: client.list())
            names = {model, f"{model}:latest"}
            digest = next((tag.digest for tag in tags.models if tag.model in names), None)
            if digest is None:
                raise _TryNextModelError(f"model {model} is not on {self._settings.host}; pull it there first")
            self._identities[model] = ModelIdentity(
                adapter="ollama", model=model, digest=digest, runtime=self._version(deadline), device="unreported"
            )
        return self._identities[model]

    def _version(self, deadline: float) -> str:
        """The client library has no call for it."""

        def read(_: ollama.Client) -> str:
            url = f"{self._settings.host.rstrip('/')}/api/version"
            reply = httpx.get(url, timeout=_timeout(deadline)).raise_for_status()
            return f"ollama {reply.json()['version']}"

        version: str = self._call(self._settings.model, deadline, read)
        return version

    def _call(self, model: str, deadline: float, request: Callable[[ollama.Client], Any]) -> Any:
        """One request; every failure of the client library ends as ModelUnavailableError with a cause."""
        where = f"{model} at {self._settings.host}"
        try:
            with ollama.Client(
                self._settings.host, timeout=_timeout(deadline), headers=_headers(self._settings.host)
            ) as client:
                return request(client)
        except ollama.ResponseError as error:
            raise _classified(where, error.status_code, error.error) from error
        except httpx.HTTPStatusError as error:
            raise _classified(where, error.response.status_code, error.response.text) from error
        except httpx.TimeoutException as error:
            limit = f"{self._settings.timeout_seconds:g} s"
            raise ModelUnavailableError(f"no answer from {where} within {limit} ({type(error).__name__})") from error
        except (ConnectionError, httpx.ConnectError) as error:
            raise ModelUnavailableError(f"nothing listens for {where}: connection refused or unreachable") from error
        except httpx.HTTPError as error:
            raise ModelUnavailableError(f"the connection to {where} broke: {type(error).__name__}: {error}") from error
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise ModelUnavailableError(f"{where} did not answer as Ollama does: {_short(str(error))}") from error


def _timeout(deadline: float) -> httpx.Timeout:
    """What is left until `deadline`; a connection has 5 s at most. The library's own default waits for ever."""
    left = max(0.001, deadline - time.monotonic())
    return httpx.Timeout(left, connect=min(5.0, left))


def _headers(host: str) -> dict[str, str]:
    """The client sends OLLAMA_API_KEY to whatever host is set; a plain http host must not get it."""
    if host.startswith("https://") or "OLLAMA_API_KEY" not in os.environ:
        return {}
    return {"authorization": "Bearer none"}


def _classified(where: str, status: int, text: str) -> ModelUnavailableError:
    """The error for a reply of the server: status -1 is an error inside a reply that had begun as 200."""
    said = f"{where} answered {status}: {_short(text)}"
    lowered = text.lower()
    if status == httpx.codes.NOT_FOUND and "not found" in lowered:
        return _TryNextModelError(f"{said} (pull the model there first)")
    if any(sign in lowered for sign in RUNNER_DIED):
        return _TryNextModelError(f"{said} (the model runner died)")
    if status in BUSY:
        return _BusyError(said)
    return ModelUnavailableError(said)


def _short(text: str) -> str:
    return " ".join(text.split())[:TEXT_MAX]
