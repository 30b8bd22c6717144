"""The child process of `EmbeddedModel`: one llama.cpp context behind JSON lines on stdin and stdout.

First line in: {"path", "sha256", "threads", "n_ctx", "gpu_layers"}. First line out: {"ready": {"sha256", "runtime", "load_ms", "devices"}},
`devices` the names of the GPUs that the runtime was built for and found (`CUDA0`), none with the packaged one. Then one request, one
answer: {"result": <OpenAI-style completion>} or {"error": {"kind", "message"}}. A watching thread reads stdin, so the end of the
parent ends this process in the middle of a generation too.

The runtime always opens an HTTP listener on loopback. It gets a random key that never leaves this process, so that nothing but
`/health` answers there; requests go through the in-process call instead.
"""

import json
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ffe.errors import ModelUnavailableError
from ffe.llm.gguf import Weights, verify


class Engine(Protocol):
    def handle_chat_completions(self, request: dict[str, Any]) -> Any: ...


def load(path: str, threads: int, n_ctx: int, gpu_layers: int = 0) -> Engine:
    """A quiet context with the settings that were measured: a prompt cache in RAM grows without bound. A runtime without a GPU ignores
    `gpu_layers`.

    Raises:
        RuntimeError: the runtime cannot use the file.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = n_ctx
    params.n_parallel = 1
    params.n_gpu_layers = gpu_layers
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0
    params.cache_prompt = False
    params.warmup = False
    params.verbosity = 1
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [secrets.token_hex(32)]
    params.ui = False
    engine: Engine = xllamacpp.Server(params)
    return engine


def gpu_names() -> list[str]:
    """Names of the GPUs that the runtime can put layers on, as it says: `CUDA0`, `Vulkan0`. Its CPU build has none."""
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    on_gpu = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    return [str(device["name"]) for device in xllamacpp.get_device_info() if device["type"] in on_gpu]


def open_engine(order: dict[str, Any], loader: Callable[..., Engine] = load) -> tuple[Engine, dict[str, Any]]:
    """The loaded engine and what it is: sha256 of the weights, runtime name and version, load time in ms, GPUs at hand.

    Raises:
        ModelUnavailableError: missing, altered or unusable file.
    """
    started = time.perf_counter()
    found = verify(Weights(Path(order["path"]), order["sha256"]))
    try:
        engine = loader(order["path"], order["threads"], order["n_ctx"], order["gpu_layers"])
    except RuntimeError as error:
        raise ModelUnavailableError(f"the runtime cannot load {order['path']} (sha256 {found}): {error}") from error
    from importlib.metadata import version

    load_ms = (time.perf_counter() - started) * 1000
    runtime = f"xllamacpp {version('xllamacpp')}"
    return engine, {"sha256": found, "runtime": runtime, "load_ms": load_ms, "devices": gpu_names()}


def answer(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    """One request through the engine, its three error shapes told apart: `schema`, `context` and `runtime`."""
    try:
        result = engine.handle_chat_completions(request)
    except ValueError as error:
        return {"error": {"kind": "schema", "message": str(error)}}
    except RuntimeError as error:
        return {"error": {"kind": "runtime", "message": str(error)}}
    if "error" in result:
        refused = result["error"]
        kind = "context" if refused.get("type") == "exceed_context_size_error" else "runtime"
        return {"error": {"kind": kind, "message": refused.get("message", "no message")}}
    return {"result": result}


def serve(orders: Iterator[dict[str, Any]], send: Callable[[dict[str, Any]], None], opener: Any = open_engine) -> None:
    """Opens the engine of the first order, then answers every following one, until the orders end."""
    try:
        engine, ready = opener(next(orders))
    except ModelUnavailableError as error:
        send({"error": {"kind": "unavailable", "message": str(error)}})
        return
    send({"ready": ready})
    for request in orders:
        send(answer(engine, request))


def watched(lines: Iterable[str], at_end: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Objects of `lines`, read ahead in a thread; `at_end` is called at the end of the input, whatever the consumer is doing."""
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in lines:
            inbox.put(json.loads(line))
        at_end()

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield inbox.get()


def main() -> None:
    # The runtime prints to file descriptor 1; the protocol keeps the real stdout for itself.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        wire.write(json.dumps(message) + "\n")
        wire.flush()

    serve(watched(sys.stdin, lambda: os._exit(0)), send)


if __name__ == "__main__":
    main()
