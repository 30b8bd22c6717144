"""`EmbeddedModel`: a small quantized GGUF in a child process, for machines without an Ollama server.

It is a real quantized LLM and a poor trader: it proves plumbing, schema, latency and error handling, and is no signal.

A child process, because a failed assertion or a segfault inside llama.cpp would take the worker down with it. JSON lines over the
child's stdin and stdout rather than HTTP to its listener: no open port, no key to hand over, a crash is an end of file and
a late answer a passed deadline. One thread by default: spinning threads cost 20x on a shared machine. Temperature 0, a fixed
seed and thread count and `cache_prompt` off make the same prompt give the same text in another process. Log-probabilities are always
asked for: they leave the text as it is and cost a twentieth of the time to generate it, which is the smaller part (benchmarks/model.py).
"""

import logging
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffe
from ffe.errors import ModelUnavailableError
from ffe.llm.embedded_tokens import TOP, token_odds
from ffe.llm.gguf import locate
from ffe.llm.line_process import LineProcess, minimal_environment
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.observe.usage import METER
from ffe.settings import EmbeddedSettings

log = logging.getLogger(__name__)

N_CTX = 2048
COMMAND = (sys.executable, "-P", "-m", "ffe.llm.embedded_child")
ERROR_TEXT = {
    "schema": "the model runtime refuses the answer schema",
    "context": "the prompt does not fit the model's context",
    "runtime": "the model runtime failed",
    "unavailable": "the model is not available",
}


class EmbeddedModel:
    """One child, one call at a time; a child that crashed or was late is replaced by the next call."""

    def __init__(self, settings: EmbeddedSettings, command: Sequence[str] = COMMAND) -> None:
        self._settings, self._command = settings, tuple(command)
        self._weights = locate(settings.model_path, settings.model_sha256)
        self._lock = threading.Lock()
        self._child: LineProcess | None = None
        self._ready: dict[str, Any] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the child, to look at its memory; None when none was started."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Spawns the child and returns at once; the first use waits for it. A no-op while one runs."""
        with self._lock:
            self._spawn()

    def identity(self) -> ModelIdentity:
        with _Held(self._lock, self._deadline()) as deadline:
            return self._identity(self._wait_ready(self._spawn(), deadline))

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        """`num_ctx` of `sampling` is fixed at 2048 here. The deadline covers waiting for the lock, start-up and the answer."""
        if sampling.num_ctx != N_CTX:
            raise ModelUnavailableError(f"num_ctx {sampling.num_ctx} is not the embedded model's {N_CTX}")
        with METER.timed("embedded"), _Held(self._lock, self._deadline()) as deadline:
            child = self._spawn()
            fresh = self._ready is None
            ready = self._wait_ready(child, deadline)
            started = time.perf_counter()
            self._post(child, chat_request(messages, schema, sampling))
            result = self._reply(child, deadline)["result"]
            latency_ms = (time.perf_counter() - started) * 1000
            return _completion(result, self._identity(ready), latency_ms, ready["load_ms"] if fresh else 0.0)

    def health(self) -> ModelHealth:
        try:
            identity = self.identity()
        except ModelUnavailableError as error:
            return ModelHealth(ok=False, detail=str(error))
        return ModelHealth(ok=True, detail=f"{identity.model} on {identity.runtime}, {identity.threads} thread(s)")

    def close(self) -> None:
        """Kills the child, also in the middle of a call: that call ends with ModelUnavailableError."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.timeout_seconds

    def _spawn(self) -> LineProcess:
        if self._closed:
            raise ModelUnavailableError("the embedded model was closed")
        if self._child is not None and self._child.alive:
            return self._child
        self._drop()
        root = str(Path(ffe.__file__).parents[1])
        quiet = {"PYTHONPATH": root, "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
        self._child = LineProcess(self._command, minimal_environment(quiet))
        if self._closed:  # `close` came between and has not seen this child
            self._drop()
            raise ModelUnavailableError("the embedded model was closed")
        order = {
            "path": str(self._weights.path),
            "sha256": self._weights.sha256,
            "threads": self._settings.threads,
            "n_ctx": N_CTX,
            "gpu_layers": self._settings.gpu_layers,
        }
        self._post(self._child, order)
        return self._child

    def _wait_ready(self, child: LineProcess, deadline: float) -> dict[str, Any]:
        if self._ready is None:
            self._ready = self._reply(child, deadline)["ready"]
            if self._settings.gpu_layers > 0 and self._device(self._ready) == "cpu":
                log.warning(
                    "%s layers of %s were meant for a GPU, but %s has none to put them on: the model runs on the CPU",
                    self._settings.gpu_layers,
                    self._weights.path.name,
                    self._ready["runtime"],
                )
        return self._ready

    def _post(self, child: LineProcess, message: dict[str, Any]) -> None:
        try:
            child.send(message)
        except EOFError as error:
            self._drop()
            raise ModelUnavailableError(f"the model process crashed: {error}") from error

    def _reply(self, child: LineProcess, deadline: float) -> dict[str, Any]:
        try:
            reply = child.receive(deadline)
        except TimeoutError as error:
            self._drop()
            raise ModelUnavailableError(
                f"no model answer within {self._settings.timeout_seconds:g} s; its process was ended"
            ) from error
        except (EOFError, ValueError) as error:
            self._drop()
            raise ModelUnavailableError(f"the model process crashed: {error}") from error
        if "error" in reply:
            kind, message = reply["error"]["kind"], reply["error"]["message"]
            if kind == "unavailable":
                self._drop()
            raise ModelUnavailableError(f"{ERROR_TEXT[kind]}: {message}")
        return reply

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
        self._child, self._ready = None, None

    def _identity(self, ready: dict[str, Any]) -> ModelIdentity:
        return ModelIdentity(
            adapter="embedded",
            model=self._weights.path.stem,
            digest=ready["sha256"],
            runtime=ready["runtime"],
            device=self._device(ready),
            threads=self._settings.threads,
        )

    def _device(self, ready: dict[str, Any]) -> str:
        """`cuda` for a runtime with `CUDA0`, `vulkan` for `Vulkan0`; `cpu` when it has no GPU or was given no layers for it."""
        devices = ready["devices"] if self._settings.gpu_layers > 0 else []
        return str(devices[0]).rstrip("0123456789").lower() if devices else "cpu"


class _Held:
    """Holds the lock, or gives up at the deadline: another call is still running."""

    def __init__(self, lock: threading.Lock, deadline: float) -> None:
        self._lock, self._deadline = lock, deadline

    def __enter__(self) -> float:
        if not self._lock.acquire(timeout=max(0.0, self._deadline - time.monotonic())):
            raise ModelUnavailableError("the embedded model is busy with another call until past the deadline")
        return self._deadline

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def chat_request(messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> dict[str, Any]:
    """The question as the runtime takes it, log-probabilities and the bound on its length among it."""
    return {
        "messages": [message.model_dump() for message in messages],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "cache_prompt": False,
        "logprobs": True,
        "top_logprobs": TOP,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
    }


def _completion(result: dict[str, Any], identity: ModelIdentity, latency_ms: float, load_ms: float) -> Completion:
    choice, timings = result["choices"][0], result.get("timings") or {}
    text = choice["message"]["content"] or ""
    return Completion(
        text=text,
        finish_reason=choice["finish_reason"],
        prompt_tokens=result["usage"]["prompt_tokens"],
        completion_tokens=result["usage"]["completion_tokens"],
        latency_ms=latency_ms,
        load_ms=load_ms,
        prompt_ms=timings.get("prompt_ms"),
        generation_ms=timings.get("predicted_ms"),
        tokens=token_odds(choice, text),
        identity=identity,
    )
