"""The Ollama adapter: the real client library against every reply that a server is known to give."""

import json

import httpx
import ollama
import pytest

from ffe.decision.answer import answer_schema
from ffe.errors import ModelUnavailableError
from ffe.llm.models import Completion, Sampling
from ffe.llm.ollama import OllamaModel
from ffe.settings import OllamaSettings

MODEL = OllamaSettings().model
FALLBACK = OllamaSettings().fallback_model
ANSWER = '{"action": "HOLD", "confidence": 60, "reasoning": "The trend is flat."}'


class Pauses(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def model_on(stub, *, timeout: float = 5.0, pauses: Pauses | None = None) -> OllamaModel:
    settings = OllamaSettings(host=stub.url, timeout_seconds=timeout)
    return OllamaModel(settings, sleep=Pauses() if pauses is None else pauses)


def ask(model: OllamaModel, question) -> Completion:
    return model.complete(question, answer_schema(), Sampling())


def test_a_chat_sends_schema_options_and_keep_alive_and_reads_the_counts(stub, question):
    completion = ask(model_on(stub), question)

    sent = stub.asked[0]
    assert sent["model"] == MODEL
    assert sent["stream"] is False
    assert sent["format"] == answer_schema()
    assert list(sent["format"]["properties"]) == list(answer_schema()["properties"])
    assert sent["options"] == {"temperature": 0.0, "seed": 7, "num_ctx": 2048, "num_predict": 160}
    assert sent["keep_alive"] == "10m"
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert completion.text == ANSWER
    assert completion.finish_reason == "stop"
    assert (completion.prompt_tokens, completion.completion_tokens) == (321, 33)
    assert completion.load_ms == 500
    assert completion.latency_ms > 0


def test_identity_carries_the_registry_digest_and_the_server_version(stub):
    identity = model_on(stub).identity()

    assert (identity.adapter, identity.model, identity.digest) == ("ollama", MODEL, "a" * 64)
    assert identity.runtime == "ollama 0.33.0"


def test_identity_and_health_name_the_fallback_when_only_it_is_there(stub):
    stub.tags = stub.reply(body={"models": [stub.tag(FALLBACK, "b" * 64)]})

    assert model_on(stub).identity().model == FALLBACK
    assert model_on(stub).health().ok
    assert FALLBACK in model_on(stub).health().detail


def test_a_name_without_a_tag_is_found_as_latest(stub):
    stub.tags = stub.reply(body={"models": [stub.tag("mine:latest", "c" * 64)]})
    model = OllamaModel(OllamaSettings(host=stub.url, model="mine", fallback_model="mine"))

    assert model.identity().digest == "c" * 64


def test_no_model_on_the_server_is_unavailable_and_says_to_pull(stub, question):
    stub.tags = stub.reply(body={"models": []})

    with pytest.raises(ModelUnavailableError, match="pull it there first"):
        model_on(stub).identity()
    with pytest.raises(ModelUnavailableError) as caught:
        ask(model_on(stub), question)
    assert MODEL in str(caught.value)
    assert FALLBACK in str(caught.value)
    assert not model_on(stub).health().ok


def test_a_cut_off_answer_keeps_its_length_reason(stub, question):
    stub.chats[MODEL] = [stub.reply(body=stub.chat('{"action": "BU', "length"))]

    assert ask(model_on(stub), question).finish_reason == "length"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, f"model '{MODEL}' not found"),
        (404, f'model "{MODEL}" not found, try pulling it first'),
        (500, "llama-server process has terminated: signal: segmentation fault"),
        (
            500,
            "llama runner process has terminated: CUDA error: no kernel image is available for execution on the device",
        ),
        (500, "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"),
        (500, "cudaMalloc failed: out of memory"),
        (500, "ROCm error: invalid device function"),
        (200, "llama runner process has terminated: CUDA error"),
    ],
)
def test_a_missing_model_or_a_dead_runner_falls_back_to_the_next_model(stub, question, status, text):
    stub.chats[MODEL] = [stub.reply(status, {"error": text})]

    if status == 200:
        with pytest.raises(ModelUnavailableError):
            ask(model_on(stub), question)
        return
    completion = ask(model_on(stub), question)

    assert stub.models_asked() == [MODEL, FALLBACK]
    assert completion.identity.model == FALLBACK
    assert completion.identity.digest == "b" * 64


def test_both_models_dead_names_both_and_keeps_the_cause(stub, question):
    dead = stub.reply(500, {"error": "llama-server process has terminated: exit status 2"})
    stub.chats = {MODEL: [dead], FALLBACK: [dead]}

    with pytest.raises(ModelUnavailableError) as caught:
        ask(model_on(stub), question)

    assert MODEL in str(caught.value)
    assert FALLBACK in str(caught.value)
    assert isinstance(caught.value.__cause__, ModelUnavailableError)
    assert isinstance(caught.value.__cause__.__cause__, ollama.ResponseError)


@pytest.mark.parametrize("status", [502, 503])
def test_a_busy_server_is_asked_again_with_growing_pauses(stub, question, status):
    busy = stub.reply(status, {"error": "server busy, please try again.  maximum pending requests exceeded"})
    stub.chats[MODEL] = [busy, busy, stub.reply(body=stub.chat())]
    pauses = Pauses()

    assert ask(model_on(stub, pauses=pauses), question).text == ANSWER
    assert pauses == [0.5, 1.0]


def test_a_server_that_stays_busy_is_unavailable_after_bounded_retries(stub, question):
    stub.chats[MODEL] = [
        stub.reply(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})
    ]
    pauses = Pauses()

    with pytest.raises(ModelUnavailableError, match=r"503.*server busy"):
        ask(model_on(stub, pauses=pauses), question)
    assert stub.models_asked() == [MODEL] * 4
    assert pauses == [0.5, 1.0, 2.0]


def test_no_retry_starts_when_its_pause_would_pass_the_deadline(stub, question):
    stub.chats[MODEL] = [stub.reply(503, {"error": "server busy"})]
    pauses = Pauses()

    with pytest.raises(ModelUnavailableError, match="503"):
        ask(model_on(stub, timeout=0.4, pauses=pauses), question)
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "invalid format: expected object"),
        (400, "input length exceeds the context length"),
        (500, "unexpected EOF"),
        (404, "404 page missing"),
    ],
)
def test_other_refusals_are_unavailable_at_once_with_the_servers_words(stub, question, status, text):
    stub.chats[MODEL] = [stub.reply(status, {"error": text})]

    with pytest.raises(ModelUnavailableError, match=f"answered {status}: {text}") as caught:
        ask(model_on(stub), question)
    assert stub.models_asked() == [MODEL]
    assert isinstance(caught.value.__cause__, ollama.ResponseError)


def test_a_proxys_html_page_is_shown_shortened(stub, question):
    stub.chats[MODEL] = [stub.reply(502, "<html><body>Bad Gateway</body></html>" + " " * 50 + "x" * 900)]

    with pytest.raises(ModelUnavailableError, match="answered 502: <html><body>Bad Gateway") as caught:
        ask(model_on(stub), question)
    assert len(str(caught.value)) < 400


def test_a_late_answer_is_unavailable_within_the_deadline(stub, question):
    stub.chats[MODEL] = [stub.reply(body=stub.chat(), delay=20)]

    with pytest.raises(ModelUnavailableError, match=r"no answer .* within 0.5 s") as caught:
        ask(model_on(stub, timeout=0.5), question)
    assert isinstance(caught.value.__cause__, httpx.TimeoutException)


def test_a_refused_connection_is_unavailable(question):
    model = OllamaModel(OllamaSettings(host="http://127.0.0.1:9", timeout_seconds=2))

    with pytest.raises(ModelUnavailableError, match="connection refused") as caught:
        ask(model, question)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_server_that_hangs_up_is_unavailable(stub, question):
    stub.chats[MODEL] = [stub.reply(hang_up=True)]

    with pytest.raises(ModelUnavailableError, match="broke"):
        ask(model_on(stub), question)


@pytest.mark.parametrize("body", ["<html>hello</html>", {"unexpected": 1}])
def test_something_that_is_not_ollama_is_unavailable(stub, question, body):
    stub.chats[MODEL] = [stub.reply(body=body)]

    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does"):
        ask(model_on(stub), question)


def test_an_answer_that_is_not_done_is_unavailable(stub, question):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | {"done": False})]

    with pytest.raises(ModelUnavailableError, match="before it was done"):
        ask(model_on(stub), question)


@pytest.mark.parametrize("version", [(500, {"error": "no"}), (200, {"nothing": 1}), (200, "text")])
def test_an_unreadable_version_is_unavailable(stub, version):
    stub.version = stub.reply(*version)

    with pytest.raises(ModelUnavailableError):
        model_on(stub).identity()


def test_the_cloud_key_of_the_environment_never_goes_to_a_plain_http_host(stub, question, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-key")

    ask(model_on(stub), question)

    assert "secret-key" not in json.dumps(stub.headers)


def test_closing_twice_is_harmless(stub, question):
    model = model_on(stub)
    model.close()
    model.close()

    assert ask(model, question).text == ANSWER
