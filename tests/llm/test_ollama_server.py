"""Where the server is, and what it is not told: the key of the environment goes to https hosts only, and into no message."""

import json

import httpx
import pytest

from ffe.errors import ModelUnavailableError
from ffe.llm.ollama_server import Server, address
from ffe.settings import OllamaSettings

MODEL = OllamaSettings().model


@pytest.mark.parametrize(
    ("host", "read"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("gpu-box", "http://gpu-box:11434"),
        ("gpu-box:9000", "http://gpu-box:9000"),
        ("https://gpu.example", "https://gpu.example"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama"),
        ("https://user:secret-key@gpu.example:8443?token=secret-key", "https://gpu.example:8443"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        (":11434", "http://127.0.0.1:11434"),
    ],
)
def test_a_host_is_read_as_the_client_library_reads_it_and_shown_without_credentials(host, read):
    assert address(host) == read


def test_the_cloud_key_of_the_environment_never_goes_to_a_plain_http_host(stub, either_way, ask, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-key")

    ask(either_way)

    assert stub.headers
    assert "secret-key" not in json.dumps(stub.headers)


def test_the_cloud_key_goes_to_an_https_host_without_its_line_end(monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-key\n")

    assert Server(OllamaSettings(host="https://gpu.example")).headers() == {"authorization": "Bearer secret-key"}


def test_without_a_key_no_authorization_is_sent(stub, either_way, ask, monkeypatch):
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)

    ask(either_way)

    assert "authorization" not in stub.headers[0]


def test_a_key_that_the_server_repeats_is_in_no_message(stub, either_way, ask, monkeypatch, caplog):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-key")
    stub.chats[MODEL] = [stub.reply(500, {"error": "out of memory for secret-key"})]
    stub.chats[OllamaSettings().chain[1]] = [stub.reply(401, {"error": "key secret-key is not known"})]

    with pytest.raises(ModelUnavailableError, match="answered 401") as caught:
        ask(either_way)

    assert "secret-key" not in str(caught.value)
    assert "secret-key" not in caplog.text


def test_credentials_in_the_host_are_in_no_message(ask):
    settings = OllamaSettings(host="http://user:secret-key@127.0.0.1:9")

    with pytest.raises(ModelUnavailableError, match=r"at http://127\.0\.0\.1:9") as caught:
        ask(settings)
    assert "secret-key" not in str(caught.value)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(either_way, ask, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    assert ask(either_way).finish_reason == "stop"


def test_a_proxy_of_the_environment_is_asked_for_another_machine(ask, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert Server(OllamaSettings(host="http://gpu.example")).options(httpx.Timeout(1))["trust_env"] is True
    with pytest.raises(ModelUnavailableError, match="nothing listens"):
        ask(OllamaSettings(host="http://gpu.example"))
