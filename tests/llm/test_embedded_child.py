"""What the child process does with orders, in this process: the runtime's error shapes told apart, and no output but the protocol's."""

import hashlib
import io
import json
import threading
from typing import Any

import pytest

from ffe.decision.answer import answer_schema
from ffe.errors import ModelUnavailableError
from ffe.llm.embedded import chat_request
from ffe.llm.embedded_child import answer, gpu_names, load, open_engine, serve, watched
from ffe.llm.gguf import locate
from ffe.llm.models import Sampling


class Engine:
    """Answers with what it was made from, or raises it."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def handle_chat_completions(self, request: dict[str, Any]) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def order(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF nonsense")
    sha256 = hashlib.sha256(b"GGUF nonsense").hexdigest()
    return {"path": str(file), "sha256": sha256, "threads": 1, "n_ctx": 2048, "gpu_layers": 0}


def test_an_answer_is_passed_on_untouched():
    assert answer(Engine({"choices": []}), {}) == {"result": {"choices": []}}


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (ValueError("unrecognized type nonsense"), "schema"),
        (RuntimeError("decode failed"), "runtime"),
        (
            {"error": {"code": 400, "type": "exceed_context_size_error", "message": "10031 tokens exceed 2048"}},
            "context",
        ),
        ({"error": {"code": 500, "type": "server_error"}}, "runtime"),
    ],
)
def test_the_runtimes_error_shapes_are_told_apart(outcome, kind):
    reply = answer(Engine(outcome), {})

    assert reply["error"]["kind"] == kind
    assert reply["error"]["message"]


def test_a_file_that_the_runtime_cannot_load_is_named_with_its_hash(order):
    with pytest.raises(ModelUnavailableError) as caught:
        open_engine(order)
    assert order["path"] in str(caught.value)
    assert order["sha256"] in str(caught.value)


def test_an_altered_file_never_reaches_the_runtime(order):
    def loader(*_: Any) -> Engine:
        raise AssertionError("opened an unverified file")

    with pytest.raises(ModelUnavailableError, match="altered"):
        open_engine(order | {"sha256": "0" * 64}, loader)


def test_an_opened_engine_tells_hash_runtime_and_load_time(order):
    engine, ready = open_engine(order, lambda *_: Engine({}))

    assert engine.handle_chat_completions({}) == {}
    assert ready["sha256"] == order["sha256"]
    assert ready["runtime"].startswith("xllamacpp ")
    assert ready["load_ms"] >= 0
    assert ready["devices"] == gpu_names()


def test_the_loader_is_told_how_many_layers_go_to_the_gpu(order):
    told = []

    open_engine(order | {"gpu_layers": 33}, lambda *asked: told.append(asked) or Engine({}))

    assert told == [(order["path"], 1, 2048, 33)]


def test_only_gpus_are_named_and_the_packaged_runtime_has_none(monkeypatch):
    import xllamacpp

    assert all(device["name"] == "CPU" for device in xllamacpp.get_device_info()) == (gpu_names() == [])
    kinds = xllamacpp.ggml_backend_dev_type
    found = [
        {"name": "CUDA0", "type": kinds.GGML_BACKEND_DEVICE_TYPE_GPU},
        {"name": "Vulkan0", "type": kinds.GGML_BACKEND_DEVICE_TYPE_IGPU},
        {"name": "BLAS", "type": kinds.GGML_BACKEND_DEVICE_TYPE_ACCEL},
        {"name": "CPU", "type": kinds.GGML_BACKEND_DEVICE_TYPE_CPU},
    ]
    monkeypatch.setattr(xllamacpp, "get_device_info", lambda: found)
    assert gpu_names() == ["CUDA0", "Vulkan0"]


def test_serving_says_ready_and_then_answers_each_order():
    sent: list[dict[str, Any]] = []

    serve(iter([{"path": "p"}, {"n": 1}, {"n": 2}]), sent.append, lambda _: (Engine({"ok": 1}), {"sha256": "s"}))

    assert sent == [{"ready": {"sha256": "s"}}, {"result": {"ok": 1}}, {"result": {"ok": 1}}]


def test_serving_without_a_model_says_why_and_ends(order):
    sent: list[dict[str, Any]] = []

    serve(iter([order | {"sha256": "0" * 64}, {"n": 1}]), sent.append)

    assert [message["error"]["kind"] for message in sent] == ["unavailable"]


def test_the_end_of_input_is_noticed_while_nobody_reads_on():
    ended = threading.Event()
    orders = watched(io.StringIO("\n".join(json.dumps({"n": n}) for n in (1, 2))), ended.set)

    assert next(orders) == {"n": 1}
    assert ended.wait(5)
    assert next(orders) == {"n": 2}


def test_log_probabilities_leave_the_text_as_it_is(question):
    engine = load(str(locate().path), 1, 2048)
    request = chat_request(question, answer_schema(), Sampling())
    plain = {name: value for name, value in request.items() if "logprobs" not in name}
    with_odds, without = (engine.handle_chat_completions(asked)["choices"][0] for asked in (request, plain))

    assert with_odds["message"] == without["message"]
    assert len(with_odds["logprobs"]["content"][0]["top_logprobs"]) == 5
    assert "logprobs" not in without


def test_the_runtimes_own_listener_refuses_strangers():
    import httpx

    engine = load(str(locate().path), 1, 2048)
    url = str(engine.listening_address)
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}

    assert url.startswith("http://127.0.0.1:")
    for path in ("/v1/models", "/props", "/slots", "/metrics"):
        assert httpx.get(url + path).status_code == 401
    assert httpx.post(url + "/v1/chat/completions", json=body).status_code == 401
    assert httpx.post(url + "/completion", json={"prompt": "hi", "n_predict": 2}).status_code == 401
