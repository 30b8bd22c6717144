"""`ffe models pull` against a loopback server: what is pulled, what is shown meanwhile, and what each kind of failure exits with."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ffe.llm import ollama_pull
from ffe.llm.ollama_errors import LateError
from ffe.llm.ollama_pull import Step, steps
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
LAYER = f"sha256:{'d' * 64}"
STEPS = [
    {"status": "pulling manifest"},
    {"status": f"pulling {'d' * 12}", "digest": LAYER, "total": 1000},
    {"status": f"pulling {'d' * 12}", "digest": LAYER, "total": 1000, "completed": 400},
    {"status": f"pulling {'d' * 12}", "digest": LAYER, "total": 1000, "completed": 1000},
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
]


class Registry:
    """An Ollama server that has what was pulled to it. `says` maps a model to the lines of its pull, or to a status and a text."""

    def __init__(self) -> None:
        self.url = ""
        self.says: dict[str, Any] = {}
        self.pulled: list[str] = []
        self.listed: dict[str, dict[str, Any]] = {}
        self.gone = threading.Event()
        self.over = threading.Event()

    def finish(self, model: str) -> None:
        digest = f"{len(self.listed) + 1}" * 64
        self.listed[model] = {"name": model, "model": model, "digest": digest, "size": 1_920_000_000, "details": {}}


def handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._start(200)
            self.wfile.write(json.dumps({"models": list(registry.listed.values())}).encode())

        def do_POST(self) -> None:
            model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
            registry.pulled.append(model)
            said = registry.says.get(model, STEPS)
            if isinstance(said, tuple):
                self._start(said[0])
                self.wfile.write(json.dumps({"error": said[1]}).encode())
                return
            self._start(200)
            for line in said:
                if line == "and so on":
                    self._trickle()
                    return
                self.wfile.write(json.dumps(line).encode() + b"\n")
            if said and said[-1] == {"status": "success"}:
                registry.finish(model)

        def _start(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

        def _trickle(self) -> None:
            try:
                while not registry.over.wait(0.05):
                    self.wfile.write(json.dumps(STEPS[2]).encode() + b"\n")
            except OSError:
                registry.gone.set()

    return Handler


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    state = Registry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("FFE_OLLAMA__HOST", state.url)
    yield state
    state.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_whole_chain_is_pulled_and_told_as_one_document(ffe: Any, registry: Registry) -> None:
    said = ffe("models", "pull", "--json")

    assert said.code == 0
    assert registry.pulled == [MODEL, FALLBACK]
    assert said.document == [
        {"model": MODEL, "digest": "1" * 64, "size": 1_920_000_000, "status": "success"},
        {"model": FALLBACK, "digest": "2" * 64, "size": 1_920_000_000, "status": "success"},
    ]


def test_named_models_are_pulled_once_each_instead_of_the_chain(ffe: Any, registry: Registry) -> None:
    said = ffe("models", "pull", "mine:1b", "other:3b", "mine:1b")

    assert said.code == 0
    assert registry.pulled == ["mine:1b", "other:3b"]
    assert "mine:1b" in said.out
    assert "1" * 64 in said.out


def test_without_a_terminal_each_new_step_is_a_line_and_not_each_report_of_bytes(ffe: Any, registry: Registry) -> None:
    said = ffe("models", "pull", "mine:1b", "--json")

    assert registry.pulled == ["mine:1b"]
    assert said.err.splitlines() == [
        "mine:1b: pulling manifest",
        f"mine:1b: layer {LAYER[:19]}",
        "mine:1b: verifying sha256 digest",
        "mine:1b: writing manifest",
        "mine:1b: success",
    ]


def test_what_a_server_says_moves_no_cursor(ffe: Any, registry: Registry) -> None:
    registry.says["mine:1b"] = [{"status": "pulling\x1b[2J\nmanifest"}, {"status": "success"}]

    said = ffe("models", "pull", "mine:1b")

    assert "mine:1b: pulling[2J manifest" in said.err
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([STEPS[0], {"error": "pull model manifest: file does not exist"}], "file does not exist"),
        ([*STEPS[:3], {"error": "max retries exceeded: no space left on device"}], "no space left on device"),
        ((400, "invalid model name"), "invalid model name"),
        ((503, "server busy, please try again."), "server busy"),
        (STEPS[:3], "without success"),
        ([], "without success"),
        ([["no", "object"]], "did not answer as Ollama does"),
        ([{"status": "success"}, {"status": "and then more"}], "'and then more', without success"),
    ],
)
def test_a_pull_that_fails_exits_3_with_the_reason_and_the_others_are_pulled(
    ffe: Any, registry: Registry, said: Any, reason: str
) -> None:
    registry.says["broken:1b"] = said

    done = ffe("models", "pull", "broken:1b", "mine:1b", "--json")

    assert done.code == 3
    failed, good = done.document
    assert (failed["model"], failed["status"], failed["digest"], failed["size"]) == ("broken:1b", "failed", None, None)
    assert reason in failed["error"]
    assert registry.url in failed["error"]
    assert (good["model"], good["status"]) == ("mine:1b", "success")
    assert "error" not in good


def test_a_failure_is_in_the_table_too(ffe: Any, registry: Registry) -> None:
    registry.says["broken:1b"] = [{"error": "file does not exist"}]

    done = ffe("models", "pull", "broken:1b")

    assert done.code == 3
    assert "file does not exist" in done.out


def test_success_without_the_model_is_a_failure(ffe: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "finish", lambda _: None)

    done = ffe("models", "pull", "mine:1b", "--json")

    assert done.code == 3
    assert "said success and does not list mine:1b" in done.document[0]["error"]


def test_a_model_whose_size_is_not_told_is_there_without_it(ffe: Any, registry: Registry) -> None:
    registry.says["mine:1b"] = [STEPS[0], {"status": "success"}, {"status": "success"}]
    registry.finish("mine:1b")
    del registry.listed["mine:1b"]["size"]
    registry.finish = lambda _: None  # type: ignore[method-assign]

    assert ffe("models", "pull", "mine:1b", "--json").document[0]["size"] is None


def test_a_server_that_is_not_there_exits_4_and_says_what_to_do(ffe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OLLAMA__HOST", "http://127.0.0.1:9")

    done = ffe("models", "pull", "--json")

    assert done.code == 4
    assert done.out == ""
    assert "nothing listens" in done.err
    assert "ollama serve" in done.err
    assert "FFE_OLLAMA__HOST" in done.err


def test_a_host_that_is_no_address_exits_2(ffe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OLLAMA__HOST", "ftp://127.0.0.1")

    assert ffe("models", "pull").code == 2


def test_a_pull_that_stalls_ends(registry: Registry) -> None:
    registry.says["mine:1b"] = [STEPS[0], "and so on"]
    pause = registry.over.wait
    registry.over.wait = lambda _=None: pause(20)  # type: ignore[method-assign]
    begun = steps(OllamaSettings(host=registry.url), "mine:1b", stall_seconds=0.3)

    with pytest.raises(LateError, match=r"said nothing about the pull of mine:1b for 0.3 s"):
        list(begun)
    registry.over.set()


def test_closing_the_steps_ends_the_pull_at_the_server(registry: Registry) -> None:
    registry.says["mine:1b"] = [STEPS[0], "and so on"]
    begun = steps(OllamaSettings(host=registry.url), "mine:1b")

    assert next(begun) == Step(status="pulling manifest")
    assert next(begun).completed == 400
    begun.close()

    assert registry.gone.wait(10)


def test_a_terminal_shows_a_bar_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    # By name: the package has the command of that name in the module's place.
    command = importlib.import_module("ffe.cli.models.pull")
    screen = io.StringIO()
    monkeypatch.setattr(
        command, "Console", lambda **_: Console(file=screen, force_terminal=True, width=160, color_system=None)
    )

    with command._progress() as tell:
        for line in STEPS:
            tell("[bold]mine:1b", Step.model_validate(line))

    shown = screen.getvalue()
    assert f"[bold]mine:1b: layer {LAYER[:19]}" in shown
    assert "1.0/1.0 kB" in shown
    assert "mine:1b: success" in shown


@pytest.mark.slow
def test_ctrl_c_ends_the_pull_cleanly_and_the_server_hears_of_it(
    registry: Registry, tmp_path: Path, command_environment: Any
) -> None:
    registry.says[MODEL] = [STEPS[0], "and so on"]
    environment = command_environment(tmp_path / "data") | {"FFE_OLLAMA__HOST": registry.url}
    running = subprocess.Popen(
        [sys.executable, "-m", "ffe.cli.main", "models", "pull", "--json"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that started these tests in its background has told them, and their children, to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - only this test's server runs beside
    )
    until = time.monotonic() + 60
    while not registry.pulled and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert registry.gone.wait(10)


def test_a_pull_has_no_deadline_over_the_whole_but_one_for_silence() -> None:
    assert ollama_pull.STALL_SECONDS == 300
