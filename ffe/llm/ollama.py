"""`OllamaModel`: quantized models on an Ollama server that the operator runs.

The wanted model first, then the fallbacks in their order: when a model is not there, and when the server fails on it (crash, out of
memory, CUDA or ROCm error). A busy server is asked again with backoff; everything shares one deadline, so a hang leaves
no time for a fallback. The server caches prompts whatever it is told, so an answer is not reproducible to the byte:
decisions are stored, not recomputed. Digest and version are read anew for every call (two quick requests): a model pulled again
under its name is another model.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ollama

from ffe.errors import ModelUnavailableError
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.llm.ollama_errors import BusyError, LogprobsRefusedError, NextModelError, failing
from ffe.llm.ollama_reply import Reply, gather
from ffe.llm.ollama_server import READ_SECONDS, Deadline, Server, same
from ffe.observe.usage import METER
from ffe.settings import OllamaSettings

BACKOFF_SECONDS = (0.5, 1.0, 2.0)
TOP_LOGPROBS = 5
NANOSECONDS_PER_MS = 1e6

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class _Question:
    messages: Sequence[Message]
    schema: JsonSchema
    sampling: Sampling
    deadline: Deadline

    def options(self) -> dict[str, float]:
        """Always the same names: the server reloads the model when `num_ctx` changes, and its defaults are not ours."""
        return {
            "temperature": self.sampling.temperature,
            "seed": self.sampling.seed,
            "num_ctx": self.sampling.num_ctx,
            "num_predict": self.sampling.max_tokens,
        }


class OllamaModel:
    """Blocking client. Thread-safe: it keeps nothing but which models refused log-probabilities.

    Raises:
        ConfigurationError: the host of the settings is no address.
    """

    def __init__(self, settings: OllamaSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings, self._sleep = settings, sleep
        self._server = Server(settings)
        self._without_logprobs: set[ModelIdentity] = set()

    def identity(self) -> ModelIdentity:
        """Of the first model of the chain that the server has. Digest from /api/tags, version from /api/version."""
        deadline = Deadline(min(READ_SECONDS, self._settings.timeout_seconds))
        return self._first(lambda model: self._identity(model, deadline))

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        """The deadline covers every model, every retry and the reading of the identity.

        Raises:
            ModelUnavailableError: says of each model that was tried why it failed last; with one it is that error, with several its
                cause is an ExceptionGroup of them.
        """
        question = _Question(messages, schema, sampling, Deadline(self._settings.timeout_seconds))
        with METER.timed("ollama"):
            return self._first(lambda model: self._patiently(model, question))

    def health(self) -> ModelHealth:
        try:
            identity = self.identity()
        except ModelUnavailableError as error:
            return ModelHealth(ok=False, detail=str(error))
        return ModelHealth(ok=True, detail=f"{identity.model} on {identity.runtime}, digest {identity.digest[:12]}")

    def close(self) -> None:
        """Every call closes its own connection; the server is the operator's."""

    def _first(self, attempt: Callable[[str], T]) -> T:
        """What `attempt` gives for the first model of the chain for which it gives something."""
        failures: list[ModelUnavailableError] = []
        for model in self._settings.chain:
            try:
                return attempt(model)
            except NextModelError as error:
                log.warning("%s", error)
                failures.append(error)
            except ModelUnavailableError as error:
                failures.append(error)
                break
        if len(failures) == 1:
            raise failures[0]
        said = "; ".join(str(failure) for failure in failures)
        raise ModelUnavailableError(said) from ExceptionGroup("every model that was tried failed", failures)

    def _patiently(self, model: str, question: _Question) -> Completion:
        for pause in BACKOFF_SECONDS:
            try:
                return self._chat(model, question)
            except BusyError:
                if pause >= question.deadline.left:
                    raise
                self._sleep(pause)
        return self._chat(model, question)

    def _chat(self, model: str, question: _Question) -> Completion:
        identity = self._identity(model, question.deadline)
        started = time.perf_counter()
        reply = self._reply(identity, question)
        with failing(self._server.where(model), model):
            return Completion(
                text=reply.text,
                finish_reason=reply.finish_reason,
                prompt_tokens=reply.last.prompt_eval_count or 0,
                completion_tokens=reply.last.eval_count or 0,
                latency_ms=(time.perf_counter() - started) * 1000,
                load_ms=_milliseconds(reply.last.load_duration) or 0.0,
                prompt_ms=_milliseconds(reply.last.prompt_eval_duration),
                generation_ms=_milliseconds(reply.last.eval_duration),
                tokens=reply.tokens,
                identity=identity,
            )

    def _reply(self, identity: ModelIdentity, question: _Question) -> Reply:
        """With log-probabilities, or without them where the server cannot give them; that is found out once a model and version."""
        if identity not in self._without_logprobs:
            try:
                return self._ask(identity.model, question, TOP_LOGPROBS)
            except LogprobsRefusedError as error:
                log.warning("%s; asked without them from now on", error)
                self._without_logprobs.add(identity)
        return self._ask(identity.model, question, None)

    def _ask(self, model: str, question: _Question, top_logprobs: int | None) -> Reply:
        body: dict[str, Any] = {
            "model": model,
            "messages": [message.model_dump() for message in question.messages],
            "format": question.schema,
            "options": question.options(),
            "keep_alive": _keep_alive(self._settings.keep_alive),
            "logprobs": None if top_logprobs is None else True,
            "top_logprobs": top_logprobs,
        }

        def chat(client: ollama.Client) -> Reply:
            if self._settings.stream:
                return gather(client.chat(**body, stream=True), question.deadline, model)
            return gather((client.chat(**body, stream=False),), question.deadline, model)

        return self._server.call(model, question.deadline, chat)

    def _identity(self, model: str, deadline: Deadline) -> ModelIdentity:
        server = self._server
        found = next((tag for tag in server.tags(model, deadline) if same(model, tag.model)), None)
        if found is None:
            raise NextModelError(
                f"model {model} is not on {server.address}; pull it there first: ffe models pull {model}"
            )
        if not found.digest:
            raise ModelUnavailableError(f"{server.address} lists {model} without a digest")
        runtime = f"ollama {server.version(model, deadline)}"
        with failing(server.where(model), model):
            return ModelIdentity(
                adapter="ollama", model=model, digest=found.digest, runtime=runtime, device="unreported"
            )


def _keep_alive(text: str) -> float | str:
    """A bare number goes as a number: as text the server misses its unit (Go's time.ParseDuration)."""
    try:
        return float(text)
    except ValueError:
        return text


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / NANOSECONDS_PER_MS
