"""Every failure that an Ollama server, its proxy or the network is known to give, through the real client library, streaming and whole."""

import traceback

import httpx
import ollama
import pytest
from pydantic import ValidationError

from ffe.errors import ModelUnavailableError
from ffe.llm.ollama_errors import BrokenOffError, BusyError, LateError, UnreachableError
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
ANSWER = '{"action": "HOLD", "confidence": 60, "reasoning": "The trend is flat."}'
BUSY = {"error": "server busy, please try again.  maximum pending requests exceeded"}
PAGE = "<html><body>Bad Gateway</body></html>" + " " * 50 + "x" * 900


@pytest.mark.parametrize(
    ("status", "text", "told_as"),
    [
        (404, f"model '{MODEL}' not found", f"the model is missing: ffe models pull {MODEL}"),
        (404, f'model "{MODEL}" not found, try pulling it first', "the model is missing"),
        (500, "llama-server process has terminated: signal: segmentation fault", "the model runner died"),
        (500, "llama runner process has terminated: CUDA error: no kernel image is available", "error of the GPU"),
        (500, "CUDA error: an illegal memory access was encountered", "error of the GPU"),
        (500, "ROCm error: invalid device function", "error of the GPU"),
        (
            500,
            "model runner has unexpectedly stopped, this may be due to resource limitations",
            "the model runner died",
        ),
        (500, "cudaMalloc failed: out of memory", "out of memory"),
        (500, "CUDA error: out of memory", "out of memory"),
        (500, "model requires more system memory (5.6 GiB) than is available (3.2 GiB)", "out of memory"),
        (500, "an error was encountered while running the model: unexpected EOF", "the server failed on it"),
    ],
)
def test_a_missing_model_or_a_failed_inference_falls_back_to_the_next_model(
    stub, either_way, ask, caplog, status, text, told_as
):
    stub.chats[MODEL] = [stub.reply(status, {"error": text})]

    completion = ask(either_way)

    assert stub.models_asked() == [MODEL, FALLBACK]
    assert (completion.identity.model, completion.identity.digest) == (FALLBACK, "b" * 64)
    assert f"{MODEL} at {stub.url} answered {status}: {text}" in caplog.text
    assert f"({told_as}" in caplog.text


@pytest.mark.parametrize(
    ("text", "told_as"),
    [
        ("llama runner process has terminated: CUDA error", "error of the GPU"),
        ("model runner has unexpectedly stopped", "the model runner died"),
        ("something new", "the server failed on it"),
    ],
)
def test_an_error_in_the_middle_of_an_answer_falls_back_to_the_next_model(stub, either_way, ask, caplog, text, told_as):
    """In a stream after the first tokens; in a whole reply as an error with status 200."""
    stub.chats[MODEL] = [stub.reply(body={"error": text}, lines=[stub.part('{"act'), {"error": text}])]

    completion = ask(either_way)

    assert completion.text == ANSWER
    assert completion.identity.model == FALLBACK
    assert f"failed in the middle of its answer: {text} ({told_as})" in caplog.text


def test_an_error_that_is_no_text_is_shown_as_it_is(stub, either_way, ask, caplog):
    stub.chats[MODEL] = [stub.reply(500, {"error": {"code": 500, "message": "slot unavailable"}})]

    assert ask(either_way).identity.model == FALLBACK
    assert "slot unavailable" in caplog.text


def test_every_model_that_failed_is_in_the_error_with_its_cause(stub, either_way, ask):
    stub.chats = {
        MODEL: [stub.reply(500, {"error": "llama-server process has terminated: exit status 2"})],
        FALLBACK: [stub.reply(500, {"error": "CUDA error: no kernel image is available"})],
    }

    with pytest.raises(ModelUnavailableError) as caught:
        ask(either_way)

    said = str(caught.value)
    assert f"{MODEL} at {stub.url} answered 500: llama-server process has terminated: exit status 2" in said
    assert f"{FALLBACK} at {stub.url} answered 500: CUDA error: no kernel image is available" in said
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    assert len(group.exceptions) == 2
    assert all(isinstance(each, ModelUnavailableError) for each in group.exceptions)
    assert all(isinstance(each.__cause__, ollama.ResponseError) for each in group.exceptions)
    printed = "".join(traceback.format_exception(caught.value))
    assert "ollama._types.ResponseError: llama-server process has terminated" in printed
    assert "ollama._types.ResponseError: CUDA error: no kernel image is available" in printed


def test_a_fallback_that_is_busy_is_named_beside_the_model_that_died(stub, either_way, ask):
    stub.chats = {MODEL: [stub.reply(500, {"error": "out of memory"})], FALLBACK: [stub.reply(503, BUSY)]}

    with pytest.raises(ModelUnavailableError, match=r"500: out of memory.*; .*503: server busy"):
        ask(either_way)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_growing_pauses(stub, either_way, ask, status):
    busy = stub.reply(status, BUSY)
    stub.chats[MODEL] = [busy, busy, stub.reply(body=stub.chat())]
    pauses: list[float] = []

    assert ask(either_way, pauses).text == ANSWER
    assert pauses == [0.5, 1.0]
    assert stub.models_asked() == [MODEL] * 3


def test_a_server_that_stays_busy_is_unavailable_after_bounded_retries(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(503, BUSY)]
    pauses: list[float] = []

    with pytest.raises(BusyError, match=r"answered 503: server busy.*\(busy\)"):
        ask(either_way, pauses)
    assert stub.models_asked() == [MODEL] * 4
    assert pauses == [0.5, 1.0, 2.0]


def test_no_retry_starts_when_its_pause_would_pass_the_deadline(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(503, BUSY)]
    pauses: list[float] = []

    with pytest.raises(BusyError, match="503"):
        ask(either_way.model_copy(update={"timeout_seconds": 0.4}), pauses)
    assert pauses == []


def test_a_proxys_page_is_told_apart_and_shown_shortened(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(502, PAGE)]

    with pytest.raises(BusyError, match=r"answered 502: <html><body>Bad Gateway.*\(a page of a proxy\)") as caught:
        ask(either_way)
    assert len(str(caught.value)) < 400
    assert stub.models_asked() == [MODEL] * 4


@pytest.mark.parametrize(
    ("status", "text", "told_as"),
    [
        (400, "invalid format: expected object", "the request was refused"),
        (400, "input length exceeds the context length", "the request was refused"),
        (401, "unauthorized", "OLLAMA_API_KEY is sent to https hosts only"),
        (403, "forbidden", "OLLAMA_API_KEY is sent to https hosts only"),
        (404, "404 page not found", "the request was refused"),
    ],
)
def test_what_we_sent_wrong_is_unavailable_at_once_with_the_servers_words(stub, either_way, ask, status, text, told_as):
    stub.chats[MODEL] = [stub.reply(status, {"error": text})]

    with pytest.raises(ModelUnavailableError, match=rf"answered {status}: {text} \({told_as}\)") as caught:
        ask(either_way)
    assert stub.models_asked() == [MODEL]
    assert isinstance(caught.value.__cause__, ollama.ResponseError)


@pytest.mark.parametrize("page", ["<html><h1>404 model Not Found</h1></html>", "<!DOCTYPE html>model not found"])
def test_a_page_that_says_not_found_is_no_missing_model(stub, either_way, ask, page):
    stub.chats[MODEL] = [stub.reply(404, page)]

    with pytest.raises(ModelUnavailableError, match="the request was refused"):
        ask(either_way)
    assert stub.models_asked() == [MODEL]


def test_a_refused_connection_is_unavailable(either_way, ask):
    with pytest.raises(
        UnreachableError, match=f"nothing listens for {MODEL} at http://127.0.0.1:9: connection refused"
    ):
        ask(either_way.model_copy(update={"host": "http://127.0.0.1:9"}))


@pytest.mark.parametrize("stream", [True, False])
def test_a_server_that_goes_between_the_identity_and_the_chat_is_unavailable(stub, monkeypatch, ask, stream):
    """The client library raises httpx.ConnectError where it streams, the builtin ConnectionError where it does not."""
    chat = ollama.Client.chat

    def to_nobody(self, *given, **more):
        self._client.base_url = "http://127.0.0.1:9"
        return chat(self, *given, **more)

    monkeypatch.setattr(ollama.Client, "chat", to_nobody)
    with pytest.raises(UnreachableError, match="nothing listens") as caught:
        ask(OllamaSettings(host=stub.url, stream=stream))
    assert isinstance(caught.value.__cause__, httpx.ConnectError if stream else ConnectionError)


def test_a_server_that_hangs_up_before_it_answers_falls_back(stub, either_way, ask, caplog):
    stub.chats[MODEL] = [stub.reply(hang_up=True)]

    assert ask(either_way).identity.model == FALLBACK
    assert f"the connection to {MODEL} at {stub.url} broke: RemoteProtocolError" in caplog.text


def test_an_answer_that_is_cut_off_by_the_network_falls_back(stub, either_way, ask, caplog):
    stub.chats[MODEL] = [stub.reply(body=stub.chat(), cut_short=True, lines=[stub.part('{"action": "BU')])]

    assert ask(either_way).text == ANSWER
    assert "broke: RemoteProtocolError" in caplog.text


def test_an_answer_that_ends_before_it_is_done_falls_back(stub, either_way, ask, caplog):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | {"done": False}, lines=[stub.part('{"action": "BU')])]

    assert ask(either_way).identity.model == FALLBACK
    assert f"{MODEL} at {stub.url} ended its answer before it was done" in caplog.text


def test_an_end_before_done_keeps_its_cause(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | {"done": None}, lines=[])]

    with pytest.raises(ModelUnavailableError, match="before it was done") as caught:
        ask(either_way.model_copy(update={"fallback_model": ()}))
    assert isinstance(caught.value.__cause__, BrokenOffError)


@pytest.mark.parametrize("body", ["<html>hello</html>", {"unexpected": 1}, "[]", "[" * 100_000])
def test_something_that_is_not_ollama_is_unavailable(stub, either_way, ask, body):
    stub.chats[MODEL] = [stub.reply(body=body, lines=[body])]

    with pytest.raises(ModelUnavailableError, match=f"{MODEL} at {stub.url} did not answer as Ollama does") as caught:
        ask(either_way)
    assert isinstance(
        caught.value.__cause__, ValidationError | ValueError | TypeError | AttributeError | RecursionError
    )
    assert stub.models_asked() == [MODEL]


@pytest.mark.parametrize("body", ["[]", "502", "null"])
def test_an_error_body_that_the_client_library_cannot_read_is_unavailable(stub, either_way, ask, body):
    """Its ResponseError asks any JSON for its `error`, and raises AttributeError where that is no object."""
    stub.chats[MODEL] = [stub.reply(500, body)]

    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does: AttributeError"):
        ask(either_way)


@pytest.mark.parametrize("version", [(500, {"error": "no"}), (200, {"nothing": 1}), (200, "text"), (200, "[]")])
def test_an_unreadable_version_is_unavailable(stub, either_way, ask, version):
    stub.version = stub.reply(*version)

    with pytest.raises(ModelUnavailableError):
        ask(either_way)
    assert stub.asked == []


def test_a_busy_server_is_asked_for_its_models_again_too(stub, either_way, ask):
    stub.tags = stub.reply(503, BUSY)

    with pytest.raises(BusyError, match="503"):
        ask(either_way)


def test_an_address_where_nobody_answers_is_unreachable_and_not_late():
    from ffe.llm.ollama_errors import classified

    found = classified("m at h", httpx.ConnectTimeout("timed out"), "m")

    assert isinstance(found, UnreachableError)
    assert not isinstance(found, LateError)
    assert "nothing answers there" in str(found)
