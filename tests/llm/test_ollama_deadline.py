"""No server can hold a call longer than its deadline: not by silence, not by a trickle, not by an answer without an end."""

import itertools
import time

import httpx
import pytest

from ffe.errors import ModelUnavailableError
from ffe.llm import ollama_reply
from ffe.llm.ollama_errors import LateError
from ffe.llm.ollama_server import Deadline, Server
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
# Generous, for a machine that others use too; without the deadline each of these would last 20 s or for ever.
MOST_SECONDS = 4.0


@pytest.fixture
def late(either_way, ask):
    """Asks with a deadline of half a second; the error that came of it, which has to come in time."""

    def call(pauses: list[float] | None = None) -> LateError:
        started = time.monotonic()
        with pytest.raises(LateError, match=r"within 0.5 s") as caught:
            ask(either_way.model_copy(update={"timeout_seconds": 0.5}), pauses)
        assert time.monotonic() - started < MOST_SECONDS
        assert MODEL in str(caught.value)
        return caught.value

    return call


def test_a_server_that_hangs_is_late_and_leaves_no_time_for_a_fallback(stub, late):
    stub.chats[MODEL] = [stub.reply(body=stub.chat(), delay=20)]

    assert isinstance(late().__cause__, httpx.TransportError)
    assert stub.models_asked() == [MODEL]


def test_a_server_that_trickles_is_cut_off_at_the_deadline(stub, late):
    """Each read is in time; only the sum is not. Whole answers trickle byte by byte, streams token by token."""
    stub.chats[MODEL] = [stub.reply(body=stub.chat("x" * 900), pause=0.05)]

    late()
    assert stub.models_asked() == [MODEL]


def test_a_stream_that_stalls_after_its_first_part_is_cut_off_at_the_deadline(stub, late):
    """The HTTP library would wait for its whole read timeout again."""
    stub.chats[MODEL] = [stub.reply(body=stub.chat("x" * 40), pause=0.4)]

    late()


def test_a_version_that_trickles_is_cut_off_too(stub, late):
    stub.version = stub.reply(body={"version": "0.33.0" + "0" * 90}, pause=0.05)

    late()
    assert stub.asked == []


def test_a_model_list_that_hangs_is_late(stub, late):
    stub.tags = stub.reply(body={"models": []}, delay=20)

    late()


def test_white_space_without_an_end_is_kept_only_up_to_a_bound(stub, either_way, ask):
    """A server that ignores num_predict. The answer counts as cut off, which no validation accepts."""
    endless = " " * (2 * ollama_reply.KEPT_CHARACTERS)
    stub.chats[MODEL] = [stub.reply(body=stub.chat(endless), lines=[stub.part(endless[:9000])] * 20)]

    completion = ask(either_way)

    assert len(completion.text) == ollama_reply.KEPT_CHARACTERS
    assert completion.finish_reason == "length"
    assert completion.tokens == ()


def test_parts_without_an_end_stop_at_the_deadline(stub):
    part = stub_part(stub)

    with pytest.raises(TimeoutError, match=r"0.2 s"):
        ollama_reply.gather(itertools.repeat(part), Deadline(0.2), MODEL)


def stub_part(stub):
    from ollama import ChatResponse

    return ChatResponse(**stub.part(""))


def test_after_the_deadline_nothing_is_sent(stub):
    settings = OllamaSettings(host=stub.url)

    with pytest.raises(LateError, match="within 0 s"):
        Server(settings).call(MODEL, Deadline(0), lambda client: client.chat(MODEL, []))
    assert stub.asked == []


def test_a_connection_that_is_made_after_the_cut_is_cut_too(stub):
    """The timer and the connection may meet."""
    stub.tags = stub.reply(body={"models": []}, pause=0.05)
    from ffe.llm.ollama_server import _Cutoff

    with _Cutoff(Deadline(0)) as cutoff:
        cutoff._timer.join()
        with httpx.Client(event_hooks={"request": [cutoff.follow]}) as client, pytest.raises(httpx.HTTPError):
            client.get(f"{stub.url}/api/tags")
    assert cutoff.fired


def test_a_model_that_dies_late_leaves_its_reason_beside_the_fallbacks(stub, either_way, ask):
    stub.chats = {
        MODEL: [stub.reply(500, {"error": "llama-server process has terminated: signal: killed"}, delay=0.2)],
        FALLBACK: [stub.reply(body=stub.chat(), delay=20)],
    }

    with pytest.raises(ModelUnavailableError, match=r"signal: killed .*; no answer from .* within 0.8 s"):
        ask(either_way.model_copy(update={"timeout_seconds": 0.8}))
