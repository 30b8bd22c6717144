"""The Ollama adapter against a server that is well: what is asked, what is read, the chain, the identity. Both ways of answering."""

import json
import logging

import pytest

from ffe.decision.answer import answer_schema
from ffe.errors import ConfigurationError, ModelUnavailableError
from ffe.llm.models import Sampling
from ffe.llm.ollama import OllamaModel
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
ANSWER = '{"action": "HOLD", "confidence": 60, "reasoning": "The trend is flat."}'


def test_a_chat_sends_schema_options_and_keep_alive_and_reads_the_counts(stub, either_way, ask):
    completion = ask(either_way)

    sent = stub.asked[0]
    assert sent["model"] == MODEL
    assert sent["stream"] is either_way.stream
    assert sent["format"] == answer_schema()
    assert list(sent["format"]["properties"]) == list(answer_schema()["properties"])
    assert sent["options"] == {"temperature": 0.0, "seed": 7, "num_ctx": 2048, "num_predict": 160}
    assert sent["keep_alive"] == "10m"
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 5)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert completion.text == ANSWER
    assert completion.finish_reason == "stop"
    assert (completion.prompt_tokens, completion.completion_tokens) == (321, 33)
    assert (completion.load_ms, completion.prompt_ms, completion.generation_ms) == (500, 900, 600)
    assert completion.latency_ms > 0


def test_streamed_and_whole_make_the_same_completion(stub, ask):
    stub.chats[MODEL] = [stub.reply(body=stub.chat("HOLD", logprobs=[stub.token("HO"), stub.token("LD", LT=-3.0)]))]
    streamed, whole = (
        ask(OllamaSettings(host=stub.url, stream=stream)).model_copy(update={"latency_ms": 0.0})
        for stream in (True, False)
    )

    assert streamed == whole
    assert [sent["stream"] for sent in stub.asked] == [True, False]


def test_num_ctx_is_the_same_in_every_call_and_for_every_model(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(500, {"error": "llama-server process has terminated: exit status 2"})]
    ask(either_way)
    ask(either_way)

    assert stub.models_asked() == [MODEL, FALLBACK] * 2
    assert {json.dumps(sent["options"]) for sent in stub.asked} == {json.dumps(stub.asked[0]["options"])}


@pytest.mark.parametrize(("written", "sent"), [("10m", "10m"), ("-1", -1), ("0", 0), ("600", 600)])
def test_keep_alive_without_a_unit_is_sent_as_a_number(stub, ask, written, sent):
    """Ollama reads text with Go's time.ParseDuration, which refuses "-1"."""
    ask(OllamaSettings(host=stub.url, keep_alive=written))

    assert stub.asked[0]["keep_alive"] == sent
    assert isinstance(stub.asked[0]["keep_alive"], type(sent) if isinstance(sent, str) else float)


def test_durations_that_the_server_leaves_out_are_unknown(stub, either_way, ask):
    bare = {name: value for name, value in stub.chat().items() if not name.endswith(("duration", "count"))}
    stub.chats[MODEL] = [stub.reply(body=bare)]

    completion = ask(either_way)

    assert (completion.prompt_ms, completion.generation_ms, completion.load_ms) == (None, None, 0.0)
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


def test_identity_carries_the_registry_digest_and_the_server_version(either_way):
    identity = OllamaModel(either_way).identity()

    assert (identity.adapter, identity.model, identity.digest) == ("ollama", MODEL, "a" * 64)
    assert identity.runtime == "ollama 0.33.0"


def test_a_model_that_was_pulled_again_has_its_new_digest_in_the_next_answer(stub, either_way, question):
    model = OllamaModel(either_way)
    first = model.complete(question, answer_schema(), Sampling()).identity
    stub.tags = stub.reply(body={"models": [stub.tag(MODEL, "c" * 64)]})
    stub.version = stub.reply(body={"version": "0.34.1"})
    second = model.complete(question, answer_schema(), Sampling()).identity

    assert (first.digest, first.runtime) == ("a" * 64, "ollama 0.33.0")
    assert (second.digest, second.runtime) == ("c" * 64, "ollama 0.34.1")


def test_identity_and_health_name_the_fallback_when_only_it_is_there(stub, either_way):
    stub.tags = stub.reply(body={"models": [stub.tag(FALLBACK, "b" * 64)]})
    model = OllamaModel(either_way)

    assert model.identity().model == FALLBACK
    assert model.health().ok
    assert FALLBACK in model.health().detail


def test_the_chain_is_tried_in_its_order_and_a_fallback_is_logged(stub, ask, caplog):
    stub.tags = stub.reply(body={"models": [stub.tag(name, "d" * 64) for name in ("one", "two", "three")]})
    stub.chats = {
        "one": [stub.reply(500, {"error": "cudaMalloc failed: out of memory"})],
        "two": [stub.reply(404, {"error": "model 'two' not found"})],
    }
    settings = OllamaSettings(host=stub.url, model="one", fallback_model=("two", "three"))

    with caplog.at_level(logging.WARNING):
        completion = ask(settings)

    assert stub.models_asked() == ["one", "two", "three"]
    assert completion.identity.model == "three"
    assert "out of memory" in caplog.text
    assert "model 'two' not found" in caplog.text


def test_a_name_without_a_tag_is_found_as_latest(stub):
    stub.tags = stub.reply(body={"models": [stub.tag("mine:latest", "c" * 64)]})
    model = OllamaModel(OllamaSettings(host=stub.url, model="mine", fallback_model=()))

    assert model.identity().digest == "c" * 64


def test_no_model_on_the_server_is_unavailable_and_says_what_to_do(stub, either_way, ask):
    stub.tags = stub.reply(body={"models": []})

    with pytest.raises(ModelUnavailableError, match=f"ffe models pull {MODEL}"):
        OllamaModel(either_way).identity()
    with pytest.raises(ModelUnavailableError) as caught:
        ask(either_way)
    assert f"model {MODEL} is not on" in str(caught.value)
    assert f"model {FALLBACK} is not on" in str(caught.value)
    assert stub.asked == []
    assert not OllamaModel(either_way).health().ok


def test_a_model_without_a_digest_is_no_identity(stub, either_way):
    stub.tags = stub.reply(body={"models": [stub.tag(MODEL, "")]})

    with pytest.raises(ModelUnavailableError, match="without a digest"):
        OllamaModel(either_way).identity()


@pytest.mark.parametrize("host", ["http://[broken", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_a_host_that_is_no_address_is_a_configuration_error(host):
    with pytest.raises(ConfigurationError, match="FFE_OLLAMA__HOST"):
        OllamaModel(OllamaSettings(host=host))


def test_closing_twice_is_harmless(stub, either_way, question):
    model = OllamaModel(either_way)
    model.close()
    model.close()

    assert model.complete(question, answer_schema(), Sampling()).text == ANSWER
    assert stub.models_asked() == [MODEL]
