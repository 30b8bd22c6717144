"""The model's part of a preflight: the file and its sha256, or a server and what it has. Nobody generates anything."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.observe.probe_model import WITHOUT, ModelProbe
from ffe.settings import Settings, load_settings
from ffe.venues.probe import Heard, ProviderAnswers, hear

CLOCK = FixedClock(datetime(2024, 5, 15, tzinfo=UTC))


@pytest.fixture
def tags() -> Iterator[Callable[..., str]]:
    """Address of a server that has the named models, as /api/tags lists them."""
    servers: list[HTTPServer] = []

    def serve(*names: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"models": [{"model": name, "name": name} for name in names]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def asked(settings: Settings) -> tuple[ProviderAnswers, tuple[str, ...]]:
    probe = ModelProbe(settings)
    heard: dict[str, Heard] = {name: hear(read, CLOCK) for name, read in probe.reads().items()}
    return probe.judge(heard), probe.notes(heard)


def embedded(path: Path, sha256: str | None = None, **changes: Any) -> Settings:
    settings = load_settings(**changes)
    pinned = settings.embedded.model_copy(update={"model_path": path, "model_sha256": sha256})
    return settings.model_copy(update={"embedded": pinned})


def ollama(host: str, **changes: Any) -> Settings:
    settings = load_settings(model="ollama")
    return settings.model_copy(
        update={"ollama": settings.ollama.model_copy(update={"host": host, "model": "big:1", **changes})}
    )


def test_a_file_with_the_pinned_sha256_is_the_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    found, notes = asked(embedded(tmp_path / "m.gguf"))
    assert (found.authenticated.says, found.account_active.says, found.needed) == ("yes", "yes", False)
    assert found.can_trade.says == found.balance_readable.says == found.market_data_readable.says == "not-needed"
    assert notes == ()


def test_an_altered_file_is_there_and_is_not_the_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    found, notes = asked(embedded(tmp_path / "m.gguf", "0" * 64))
    assert (found.authenticated.says, found.account_active.says) == ("no", "yes")
    assert notes[0].startswith(WITHOUT)
    assert "is altered" in notes[0]


def test_a_missing_file_says_that_every_decision_will_be_a_hold(tmp_path: Path) -> None:
    found, notes = asked(embedded(tmp_path / "m.gguf"))
    assert (found.authenticated.says, found.account_active.says, found.needed) == ("no", "no", False)
    assert "HOLD by fallback" in notes[0]


def test_a_mode_that_refuses_the_model_needs_another_one(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    found, _ = asked(embedded(tmp_path / "m.gguf", mode="live"))
    assert (found.needed, found.can_trade.says) == (True, "no")


def test_a_server_that_has_the_model_answers_for_it(tags: Any) -> None:
    found, notes = asked(ollama(tags("big:1"), fallback_model=("small:1",)))
    assert (found.provider, found.authenticated.says, found.account_active.says) == ("model ollama", "yes", "yes")
    assert found.account_active.detail == "big:1 is there; not there: small:1"
    assert notes == ()


def test_a_server_without_the_model_is_told_apart_from_no_server(tags: Any) -> None:
    found, notes = asked(ollama(tags("other:1"), fallback_model=()))
    assert (found.authenticated.says, found.account_active.says) == ("yes", "no")
    assert "`ffe models pull` fetches it" in notes[0]
    found, notes = asked(ollama("http://127.0.0.1:9", fallback_model=()))
    assert (found.authenticated.says, found.account_active.says) == ("no", "unknown")
    assert notes[0].startswith(WITHOUT)


def test_an_ensemble_of_models_needs_every_one_of_them(tags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_ENSEMBLE__STRATEGY", "models")
    monkeypatch.setenv("FFE_ENSEMBLE__MODELS", "big:1,small:1")
    found, _ = asked(ollama(tags("big:1")))
    assert (found.account_active.says, "does not have small:1" in found.account_active.detail) == ("no", True)
    found, _ = asked(ollama(tags("big:1", "small:1")))
    assert found.account_active.says == "yes"
