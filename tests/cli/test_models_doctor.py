"""`ffe models doctor`: what it shows, what it calls for attention, and what it ends with."""

import importlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ffe.llm import device_memory
from ffe.llm.devices import Device, DeviceError
from ffe.settings import OllamaSettings

# The package has a command of the same name.
command = importlib.import_module("ffe.cli.models.doctor")
GIB = 1024**3
SIZE = 2_400_000_000
LARGE, SMALL = OllamaSettings().chain
CARD = Device(index=0, name="NVIDIA L4", capability=8.9, driver="580.65.06", memory_total=24 * GIB, memory_used=GIB)


@dataclass
class Host:
    """An Ollama server with one card. `on_card`: bytes that a load puts there, which is also what the server says of it."""

    url: str = ""
    card: Device | None = CARD
    on_card: int = SIZE
    present: tuple[str, ...] = (LARGE, SMALL)
    loaded: bool = False
    unloads: int = 0
    broken: bool = False
    generation_ns: int = 500_000_000

    def devices(self) -> tuple[Device, ...]:
        if self.broken:
            raise DeviceError("NVML failed: GPU is lost")
        if self.card is None:
            return ()
        used = (self.card.memory_used or 0) + (self.on_card if self.loaded else 0)
        return (self.card.model_copy(update={"memory_used": used}),)

    def reply(self, path: str) -> Any:
        if path == "/api/tags":
            return {"models": [{"name": name, "model": name, "digest": "a" * 64, "size": 1} for name in self.present]}
        if path == "/api/version":
            return {"version": "0.33.0"}
        if path == "/api/ps":
            entry = {"name": LARGE, "model": LARGE, "digest": "a" * 64, "size": SIZE, "size_vram": self.on_card}
            return {"models": [entry] if self.loaded else []}
        self.loaded = path == "/api/chat"
        self.unloads += path == "/api/generate"
        said = {"role": "assistant", "content": "{}"}
        counted = {"prompt_eval_count": 20, "eval_count": 40, "eval_duration": self.generation_ns}
        return {"model": LARGE, "message": said, "response": "", "done": True, "done_reason": "stop", **counted}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Host]:
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            payload = json.dumps(state.reply(self.path)).encode() + b"\n"
            self.send_response(200)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(device_memory, "devices", state.devices)
    monkeypatch.setattr(command, "devices", state.devices)
    monkeypatch.setattr(device_memory, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("FFE_MODEL", "ollama")
    monkeypatch.setenv("FFE_OLLAMA__HOST", state.url)
    monkeypatch.chdir(tmp_path)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def said(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command.doctor)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def report(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, out = said("--json", *arguments)
    return code, json.loads(out)


def test_a_model_on_the_card_is_fine(host: Host) -> None:
    code, found = report()

    assert (code, found["attention"], found["refused"]) == (0, [], None)
    assert found["placement"]["verdict"] == "gpu"
    assert found["chain"] == [{"model": LARGE, "present": True}, {"model": SMALL, "present": True}]
    assert (found["adapter"], found["host"], found["runtime"]) == ("ollama", host.url, "ollama 0.33.0")
    assert [(card["name"], card["unmet"]) for card in found["devices"]] == [("NVIDIA L4", [])]
    assert found["floors"] == {
        "min_tokens_per_second": None,
        "min_capability": 5.0,
        "min_driver": 550,
        "min_driver_before_7_0": 570,
    }
    assert found["vram"]["num_ctx"] == 2048
    assert found["vram"]["total"] == found["vram"]["weights"] + found["vram"]["cache"] + found["vram"]["overhead"]
    assert found["vram"]["free"] == 23 * GIB - SIZE


def test_people_get_tables_and_then_sentences(host: Host) -> None:
    code, out = said()
    assert code == 0
    for words in (
        "NVIDIA L4",
        "8.9",
        "580.65.06",
        f"ollama at {host.url}",
        f"chain: {SMALL}",
        "capability 5.0, driver 550 (570 below 7.0)",
        "80.0",
        "reported",
        "1.92 GB",
        "placement: gpu; no known sign disagrees (reported gpu, memory gpu, speed unknown)",
        "policy warn does not refuse the model",
    ):
        assert words in out
    assert "attention" not in out


def test_a_model_on_the_cpu_needs_attention_under_warn_and_nothing_under_any(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.on_card = 0
    code, out = said()
    assert code == 3
    assert f"attention: {LARGE} is not known to be on the GPU: cpu" in out
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "any")
    host.loaded = False
    assert report()[0] == 0


def test_require_gpu_refuses_a_model_on_the_cpu(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "require-gpu")
    host.on_card = 0
    code, out = said()
    assert code == 4
    assert "policy require-gpu refuses the model" in out


def test_require_gpu_without_a_floor_of_speed_is_told_that_it_will_not_last(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "require-gpu")
    code, found = report()
    assert (code, found["placement"]["verdict"]) == (3, "gpu")
    assert found["attention"] == [
        "require-gpu needs FFE_PLACEMENT__MIN_TOKENS_PER_SECOND once the model stays loaded; "
        "half of what was measured here is 40"
    ]
    assert report()[0] == 4
    monkeypatch.setenv("FFE_PLACEMENT__MIN_TOKENS_PER_SECOND", "40")
    assert report()[0] == 0


def test_require_gpu_refuses_a_card_below_its_floors(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "require-gpu")
    host.card = CARD.model_copy(update={"name": "Tesla K80", "capability": 3.7, "driver": "470.256.02"})
    code, found = report()
    assert (code, found["placement"]["verdict"]) == (4, "gpu")
    assert "below 5.0" in found["refused"]
    assert len(found["devices"][0]["unmet"]) == 2
    assert found["attention"][:2] == found["placement"]["problems"]


def test_a_card_below_its_floors_says_so_in_its_row(host: Host) -> None:
    host.card = CARD.model_copy(update={"driver": "535.1", "memory_total": None})
    code, out = said()
    assert code == 3
    assert "NVIDIA L4: driver 535.1 is below 550" in out


def test_reload_unloads_a_model_that_was_there_so_that_its_memory_counts(host: Host) -> None:
    host.loaded = True
    code, found = report()
    assert (code, found["placement"]["signs"]["memory"]["sign"]) == (3, "unknown")
    code, found = report("--reload")
    assert (code, found["placement"]["signs"]["memory"]["sign"]) == (0, "gpu")
    assert host.unloads == 1


def test_a_fallback_that_is_missing_is_told_with_the_command_that_gets_it(host: Host) -> None:
    host.present = (LARGE,)
    code, found = report()
    assert code == 3
    assert found["attention"] == [f"{SMALL} is not there: ffe models pull"]
    assert "missing" in said()[1]


def test_a_model_that_does_not_fit_is_told_with_both_numbers(host: Host) -> None:
    host.card, host.on_card = CARD.model_copy(update={"memory_total": 2 * GIB}), 0
    code, found = report()
    assert code == 3
    assert found["attention"][-1] == f"{LARGE} needs about 2.95 GB of device memory, 1.07 GB are free"


def test_a_model_on_the_cpu_beside_much_free_memory_is_not_told_to_be_too_large(host: Host) -> None:
    host.on_card = 0
    assert len(report()[1]["attention"]) == 1


def test_a_host_without_nvidia_says_so(host: Host) -> None:
    host.card = None
    code, out = said()
    assert code == 3
    assert "no NVIDIA devices" in out
    assert "no NVIDIA device or driver on this host" in out


def test_a_driver_that_fails_needs_attention(host: Host) -> None:
    host.broken = True
    code, found = report()
    assert code == 3
    assert found["device_error"] == "NVML failed: GPU is lost"
    assert "NVML failed: GPU is lost" in found["attention"]


def test_a_server_that_is_away_is_told_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OLLAMA__HOST", "http://127.0.0.1:9")
    code, out = said()
    assert code == 3
    assert out.count("attention: ") == 1
    assert report()[1]["chain"] is None


def test_a_server_that_is_away_is_refused_under_require_gpu(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OLLAMA__HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "require-gpu")
    assert report()[0] == 4


def test_a_model_whose_size_is_not_known_gets_no_arithmetic(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OLLAMA__MODEL", "mine:latest")
    monkeypatch.setenv("FFE_OLLAMA__FALLBACK_MODEL", "")
    host.present = ("mine:latest",)
    assert report()[1]["vram"] is None
    assert "device memory" not in said()[1].split("placement:")[0].replace("device memory rose", "")


@pytest.mark.slow
def test_the_embedded_model_was_asked_to_run_on_the_cpu_and_is_fine_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.card = None
    code, found = report("--model", "embedded")
    assert (code, found["placement"]["verdict"], found["attention"]) == (0, "cpu", [])
    assert (found["chain"], found["host"], found["vram"]) == ([], None, None)
