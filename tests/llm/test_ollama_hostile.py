"""What a server may not do to us: numbers and texts that no store takes, answers that fill the memory, another server in its place."""

import gzip
import json
import resource
import sys
import time

import httpx
import pytest
from pydantic import ValidationError

from ffe.errors import ModelUnavailableError
from ffe.llm.models import NAME_MAX, REASON_MAX, Completion, ModelIdentity
from ffe.llm.ollama_errors import LateError, NextModelError
from ffe.llm.ollama_limits import REPLY_BYTES, limited
from ffe.llm.ollama_pull import steps
from ffe.llm.ollama_state import loaded, version
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
SURROGATE = "a\ud800"
IDENTITY = ModelIdentity(adapter="ollama", model="m", digest="d", runtime="r")


@pytest.mark.parametrize(
    "odd",
    [
        {"eval_count": 2**63},
        {"prompt_eval_count": 2**31},
        {"eval_count": -5},
        {"prompt_eval_count": -1},
        {"eval_duration": 10**400},
        {"load_duration": 10**400},
        {"prompt_eval_duration": -1},
        {"load_duration": -5},
        {"eval_count": 1.5},
    ],
    ids=str,
)
def test_counts_and_durations_that_cannot_be_make_the_answer_unavailable(stub, either_way, ask, odd):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | odd)]

    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does"):
        ask(either_way)


def test_the_largest_count_is_kept(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | {"eval_count": 2**31 - 1, "eval_duration": 2**63 - 1})]

    assert ask(either_way).completion_tokens == 2**31 - 1


@pytest.mark.parametrize(("said", "kept"), [(SURROGATE, "a?"), ("a\0b", "a\ufffdb"), ("x" * 100_000, "x" * REASON_MAX)])
def test_the_reason_of_an_end_is_kept_as_a_short_storable_text(stub, either_way, ask, said, kept):
    stub.chats[MODEL] = [stub.reply(body=stub.chat(reason=said))]

    assert ask(either_way).finish_reason == kept


def test_digest_and_version_are_kept_as_storable_text(stub, either_way, ask):
    stub.tags = stub.reply(body={"models": [stub.tag(MODEL, SURROGATE)]})
    stub.version = stub.reply(body={"version": "0.33\0\udfff"})

    identity = ask(either_way).identity

    assert (identity.digest, identity.runtime) == ("a?", "ollama 0.33\ufffd?")
    assert identity.model_dump_json().encode()


def test_an_absurd_digest_is_no_answer_of_ollama(stub, either_way, ask):
    stub.tags = stub.reply(body={"models": [stub.tag(MODEL, "a" * (NAME_MAX + 1))]})

    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does") as caught:
        ask(either_way)
    assert len(str(caught.value)) < 500
    assert stub.asked == []


@pytest.mark.parametrize("said", ["9" * (NAME_MAX + 1), 5, None, ["0.33"]], ids=["long", "number", "null", "list"])
def test_an_absurd_version_is_no_answer_of_ollama(stub, either_way, ask, said):
    stub.version = stub.reply(body={"version": said})

    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does"):
        ask(either_way)
    with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does"):
        version(either_way)


def test_a_loaded_model_of_absurd_size_is_no_answer_of_ollama(stub, either_way):
    entry = {"model": MODEL, "digest": "a" * 64, "size": 10**400, "size_vram": 0}
    for size in (entry["size"], -5, 2**63):
        stub.running = stub.reply(body={"models": [entry | {"size": size}]})
        with pytest.raises(ModelUnavailableError, match="did not answer as Ollama does"):
            loaded(either_way)


def test_what_a_server_says_of_its_failure_is_storable(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(401, {"error": f"boom {SURROGATE} \0"})]

    with pytest.raises(ModelUnavailableError, match="boom") as caught:
        ask(either_way)
    assert b"\0" not in str(caught.value).encode()


@pytest.mark.parametrize("tricky", ["-eyJ", "-----BEGIN PRIVATE KEY-----", "bearer \t"])
def test_a_long_failure_is_not_searched_for_secrets_past_what_can_be_shown(stub, either_way, ask, tricky):
    """The patterns of secrets take the square of a text's length where it repeats how one begins."""
    stub.chats[MODEL] = [stub.reply(401, tricky * (1_000_000 // len(tricky)))]

    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="answered 401"):
        ask(either_way)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "odd", [{"prompt_tokens": -1}, {"completion_tokens": 2**31}, {"latency_ms": float("nan")}, {"prompt_ms": -0.1}]
)
def test_no_completion_of_any_adapter_has_such_numbers(odd):
    fine = {"text": "", "finish_reason": "", "prompt_tokens": 0, "completion_tokens": 0, "latency_ms": 0.0}

    assert Completion(**fine, identity=IDENTITY).prompt_ms is None
    with pytest.raises(ValidationError):
        Completion(**(fine | odd), identity=IDENTITY)


@pytest.fixture
def refused(either_way, ask):
    """Asks a server that answers too much: refused with the bound, soon, and without taking the memory."""

    def call(what: str = rf"answered more than {REPLY_BYTES} bytes") -> ModelUnavailableError:
        before, started = _peak(), time.monotonic()
        with pytest.raises(ModelUnavailableError, match=what) as caught:
            ask(either_way.model_copy(update={"fallback_model": ()}))
        assert time.monotonic() - started < either_way.timeout_seconds + 2
        assert _peak() - before < 30 * REPLY_BYTES
        return caught.value

    return call


def _peak() -> int:
    """Bytes. Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("endless", [b"x" * 100_000, b" " * 100_000, b"\n" * 100_000], ids=["line", "blanks", "ends"])
def test_an_answer_without_an_end_is_refused(stub, refused, endless, status):
    stub.chats[MODEL] = [stub.reply(status, "", endless=endless)]

    refused("answered more than|did not answer as Ollama does: JSONDecodeError")


@pytest.mark.parametrize(
    "silent", [{"content": ""}, {"content": "", "thinking": "x" * 10_000}], ids=["empty", "thoughts"]
)
def test_parts_without_an_end_are_refused(stub, either_way, ask, silent):
    line = json.dumps(stub.part("") | {"message": {"role": "assistant", **silent}}).encode() + b"\n"
    stub.chats[MODEL] = [stub.reply(endless=line * 100)]

    with pytest.raises(NextModelError, match=rf"answered more than {REPLY_BYTES} bytes"):
        ask(either_way.model_copy(update={"fallback_model": ()}))


def test_after_an_answer_without_an_end_the_fallback_is_asked(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(endless=b" " * 100_000)]

    assert ask(either_way).identity.model == FALLBACK


def test_a_model_list_and_a_version_without_an_end_are_refused(stub, refused):
    stub.version = stub.reply(endless=b"x" * 100_000)
    refused()
    stub.tags = stub.reply(endless=b"x" * 100_000)
    refused()


@pytest.mark.parametrize("where", ["chats", "tags", "version"])
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "deflate"])
def test_a_compressed_reply_is_refused_before_it_is_unpacked(stub, refused, where, coding):
    """It is asked for as it is; 200 KB of gzip are 200 MB."""
    bomb = stub.reply(body=gzip.compress(b" " * 50_000_000, 1), head={"content-encoding": coding})
    if where == "chats":
        stub.chats[MODEL] = [bomb]
    else:
        setattr(stub, where, bomb)

    refused("did not answer as Ollama does: .*compressed")


def test_no_compression_is_asked_for(stub, either_way, ask):
    ask(either_way)

    assert stub.headers[0]["accept-encoding"] == "identity"


def test_a_pull_may_say_much_but_not_in_one_line(stub):
    settings = OllamaSettings(host=stub.url)
    some = json.dumps({"status": "pulling", "total": 9, "completed": 1})
    stub.pulls["much"] = [stub.reply(lines=[some + " " * 500_000] * 10 + [{"status": "success"}])]
    stub.pulls["endless"] = [stub.reply(endless=b"x" * 100_000)]

    assert [step.status for step in steps(settings, "much")][-1] == "success"
    with pytest.raises(ModelUnavailableError, match=rf"answered more than {REPLY_BYTES} bytes"):
        list(steps(settings, "endless"))


def test_heads_without_an_end_are_cut_off_at_the_deadline(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(body=stub.chat(), early=True)]

    started = time.monotonic()
    with pytest.raises(LateError, match=r"within 0.5 s"):
        ask(either_way.model_copy(update={"timeout_seconds": 0.5}))
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("where", ["chats", "tags", "version"])
def test_a_redirect_is_not_followed(stub, either_way, ask, where, status):
    """Another server's answer would be recorded as this one's."""
    away = stub.reply(status, "", head={"location": f"{stub.url.replace('127.0.0.1', 'localhost')}/api/elsewhere"})
    if where == "chats":
        stub.chats[MODEL] = [away]
    else:
        setattr(stub, where, away)

    with pytest.raises(ModelUnavailableError, match=rf"answered {status}.*redirect.*FFE_OLLAMA__HOST"):
        ask(either_way)
    assert len(stub.asked) == (where == "chats")


def test_an_answer_of_another_model_is_a_failure_of_the_one_that_was_asked(stub, either_way, ask, caplog):
    stub.chats[MODEL] = [stub.reply(body=stub.chat() | {"model": "evil:latest"})]

    assert ask(either_way).identity.model == FALLBACK
    assert "answered as evil:latest" in caplog.text


@pytest.mark.parametrize(("asked", "answered"), [("m", "m:latest"), ("m:latest", "m"), ("m:latest", "m:latest")])
def test_a_name_without_its_tag_is_the_latest(stub, either_way, ask, asked, answered):
    stub.tags = stub.reply(body={"models": [stub.tag("m:latest", "d" * 64)]})
    stub.chats[asked] = [stub.reply(body=stub.chat() | {"model": answered})]

    assert ask(either_way.model_copy(update={"model": asked})).identity.model == asked


def test_only_the_replies_of_a_blocking_client_are_counted():
    with pytest.raises(TypeError, match="no blocking stream"):
        limited()(httpx.Response(200, stream=httpx.AsyncByteStream()))
