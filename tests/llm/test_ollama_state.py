"""What the server says of itself: which models of the chain it has, and which one is loaded, and where."""

from datetime import UTC, datetime

import pytest

from ffe.errors import ModelUnavailableError
from ffe.llm.ollama_errors import LateError, UnreachableError
from ffe.llm.ollama_state import available, loaded, version
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
ENTRY = {
    "name": FALLBACK,
    "model": FALLBACK,
    "digest": "b" * 64,
    "size": 1_500_000_000,
    "size_vram": 1_400_000_000,
    "context_length": 2048,
    "expires_at": "2026-08-01T00:10:00Z",
    "details": {},
}


@pytest.fixture
def settings(stub) -> OllamaSettings:
    return OllamaSettings(host=stub.url, timeout_seconds=5.0)


def test_the_loaded_model_comes_with_its_sizes_and_its_end(stub, settings):
    stub.running = stub.reply(body={"models": [ENTRY | {"name": "other", "model": "other"}, ENTRY]})

    found = loaded(settings)

    assert found is not None
    assert (found.model, found.digest) == (FALLBACK, "b" * 64)
    assert (found.size, found.size_vram, found.context_length) == (1_500_000_000, 1_400_000_000, 2048)
    assert found.expires_at == datetime(2026, 8, 1, 0, 10, tzinfo=UTC)


def test_of_several_loaded_models_the_first_of_the_chain_is_told(stub, settings):
    stub.running = stub.reply(body={"models": [ENTRY, ENTRY | {"name": MODEL, "model": MODEL}]})

    found = loaded(settings)

    assert found is not None
    assert found.model == MODEL


def test_an_entry_with_a_name_alone_and_without_an_end_is_read(stub, settings):
    bare = {"name": f"{MODEL}", "size": 9, "size_vram": 0}
    stub.running = stub.reply(body={"models": [bare]})

    found = loaded(settings)

    assert found is not None
    assert (found.digest, found.size_vram, found.context_length, found.expires_at) == ("", 0, None, None)


def test_nothing_loaded_is_nothing(stub, settings):
    assert loaded(settings) is None
    stub.running = stub.reply(body={"models": [ENTRY | {"name": "other", "model": "other"}]})
    assert loaded(settings) is None


def test_an_entry_without_its_size_is_no_sign(stub, settings):
    stub.running = stub.reply(body={"models": [{"model": MODEL, "size": 9}]})

    with pytest.raises(ModelUnavailableError, match=f"does not say how large {MODEL} is in memory"):
        loaded(settings)


def test_available_are_the_models_of_the_chain_that_are_there_in_its_order(stub, settings):
    assert available(settings) == (MODEL, FALLBACK)
    stub.tags = stub.reply(body={"models": [stub.tag("other", "c" * 64), stub.tag(FALLBACK, "b" * 64)]})
    assert available(settings) == (FALLBACK,)


def test_the_version_is_the_servers(settings):
    assert version(settings) == "0.33.0"


@pytest.mark.parametrize("read", [loaded, available, version])
def test_a_server_that_is_not_there_is_unreachable(read):
    with pytest.raises(UnreachableError, match="nothing listens"):
        read(OllamaSettings(host="http://127.0.0.1:9"))


def test_a_server_that_hangs_is_late(stub):
    stub.running = stub.reply(body={"models": []}, delay=20)

    with pytest.raises(LateError, match=r"within 0.3 s"):
        loaded(OllamaSettings(host=stub.url, timeout_seconds=0.3))
