"""`ffe worker` piece by piece; tests/flows/test_gpu_pool.py runs it whole."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ffe.cli import fork_server, gpu_start, worker
from ffe.cli.fork_server import ForkServer, preloaded
from ffe.errors import ConfigurationError, FfeError, RefusedError
from ffe.llm.placement import Placement
from ffe.llm.signs import Sign, SignReading
from ffe.observe.prefect_api import Api
from ffe.processes import ProcessFailedError
from ffe.settings import PlacementPolicy, load_settings


class Ended:
    """A child with an exit code, in turn."""

    def __init__(self, *codes: int | None) -> None:
        self.codes = list(codes)
        self.started = 0

    @property
    def exit_code(self) -> int | None:
        return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def start(self) -> None:
        self.started += 1


@pytest.fixture
def prefect() -> Iterator[Callable[..., Api]]:
    """An API that answers the workers of a pool with a status and a document."""
    servers: list[HTTPServer] = []

    def serve(status: int, document: Any, asked: list[Any] | None = None) -> Api:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                if asked is not None:
                    asked.append((self.path, self.headers.get("Authorization")))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return Api(f"http://127.0.0.1:{servers[-1].server_port}/api")

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def placement(verdict: Sign) -> Placement:
    return Placement(
        verdict=verdict,
        signs={"reported": SignReading(sign=verdict, detail="said so")},
        model="m",
        digest=None,
        device=None,
        problems=("driver 500 is below 550",),
        reason="because",
        checked_at=datetime(2024, 1, 1, tzinfo=UTC),
    )


def test_a_worker_without_an_api_is_refused(ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL")
    said = ffe("worker", "cpu")
    assert said.code == 2
    assert "PREFECT_API_URL is not set" in said.err


def test_an_api_that_does_not_answer_is_said(ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("FFE_MODE", "paper")
    said = ffe("worker", "cpu", "--stock")
    assert said.code == 4
    assert "does not answer" in said.err


def test_in_sim_a_worker_takes_the_simulator_of_the_system_on_its_folder_or_is_refused(
    ffe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    said = ffe("worker", "cpu", "--stock")
    assert said.code == 2
    assert "start `ffe up`" in said.err
    venue = {"FFE_COINBASE__BASE_URL": "http://127.0.0.1:9"}
    (tmp_path / "up.json").write_text(json.dumps({"pid": os.getpid(), "simulator": venue}))
    assert worker._with_simulator(load_settings()).coinbase.base_url == venue["FFE_COINBASE__BASE_URL"]


def test_the_api_is_asked_as_prefects_client_would(
    prefect: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    rows = [{"name": "other", "last_heartbeat_time": "1"}, {"name": "mine", "last_heartbeat_time": "2"}]
    served = prefect(200, rows, asked)
    monkeypatch.setenv("PREFECT_API_URL", f"{served.url}/")
    assert Api.from_environment().last_heartbeat("gpu", "mine") == "2"
    assert Api.from_environment().last_heartbeat("gpu", "nobody") is None
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "user:pass")
    Api.from_environment().last_heartbeat("gpu", "mine")
    monkeypatch.setenv("PREFECT_API_KEY", "key")
    Api.from_environment().last_heartbeat("gpu", "mine")
    assert {path for path, _ in asked} == {"/api/work_pools/gpu/workers/filter"}
    assert [sent for _, sent in asked] == [None, None, "Basic dXNlcjpwYXNz", "Bearer key"]
    monkeypatch.delenv("PREFECT_API_URL")
    with pytest.raises(ConfigurationError):
        Api.from_environment()


def test_a_missing_pool_is_not_made_and_a_refusal_is_said(prefect: Callable[..., Api]) -> None:
    with pytest.raises(ConfigurationError, match="no work pool nopool"):
        prefect(404, {}).last_heartbeat("nopool", "mine")
    with pytest.raises(FfeError, match="401"):
        prefect(401, {}).last_heartbeat("gpu", "mine")


def test_what_is_preloaded_depends_on_the_pool() -> None:
    assert "flows.decide" in preloaded("gpu")
    assert "flows.trading_cycle" not in preloaded("gpu")
    assert {"flows.trading_cycle", "flows.reconcile", "flows.watch_exits"} <= set(preloaded("cpu"))
    assert "prefect.engine" in preloaded("cpu")


def test_a_fork_server_listens_in_a_private_folder_that_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "preloaded", lambda _: ("json.tool",))
    monkeypatch.setattr(fork_server, "PACKAGES", ())
    import os

    server = ForkServer("cpu", os.environ)
    assert (server.exit_code, server.ready()) == (None, {})
    server.start()
    assert server.ready()["refusal"] is None
    socket = Path(server.variables["FORK_SERVER"])
    assert socket.is_socket()
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    server.close()
    assert server.exit_code == 0
    assert not socket.parent.exists()


def test_runs_see_the_settings_of_the_worker_and_its_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ffe.toml").write_text('timeframe = "15m"\n')
    environment = worker._environment(load_settings(), Api("http://127.0.0.1:1/api"), 0.25)
    assert environment["FFE_TIMEFRAME"] == "15m"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert environment["PREFECT_WORKER_QUERY_SECONDS"] == "0.25"
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))


@pytest.mark.parametrize("code", [1, 4])
def test_a_failed_probe_is_said_and_refuses_only_where_a_gpu_is_required(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], code: int
) -> None:
    done = subprocess.CompletedProcess([], code)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    settings = load_settings()
    worker._probe(settings, "w", {})
    assert f"exit code {code}" in capfd.readouterr().err
    required = settings.placement.model_copy(update={"policy": PlacementPolicy.REQUIRE_GPU})
    with pytest.raises(RefusedError, match="require-gpu"):
        worker._probe(settings.model_copy(update={"placement": required}), "w", {})
    done.returncode = 0
    worker._probe(settings, "w", {})


def test_the_probe_publishes_and_refuses_what_the_policy_does_not_allow(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tasks import gpu_probe

    published: list[str] = []
    monkeypatch.setattr(gpu_probe, "publish_placement", lambda _, name: published.append(name))
    monkeypatch.setattr(gpu_start, "check_placement", lambda *_: placement(Sign.CPU))
    assert gpu_start.main("w") == 0
    monkeypatch.setenv("FFE_PLACEMENT__POLICY", "require-gpu")
    assert gpu_start.main("w") == 4
    assert published == ["w", "w"]
    assert "driver 500 is below 550" in capfd.readouterr().err


def test_a_page_that_can_not_be_written_stops_no_worker_and_a_bad_setting_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tasks import gpu_probe

    def fail(*_: object) -> None:
        raise OSError("no API")

    monkeypatch.setattr(gpu_probe, "publish_placement", fail)
    monkeypatch.setattr(gpu_start, "check_placement", lambda *_: placement(Sign.GPU))
    assert gpu_start.main("w") == 0
    assert "could not be published: no API" in capfd.readouterr().err
    monkeypatch.setenv("FFE_MODE", "nonsense")
    assert gpu_start.main("w") == 2


def test_a_server_that_refuses_or_failed_means_cold_starts(capfd: pytest.CaptureFixture[str]) -> None:
    class Server:
        def __init__(self, said: Any) -> None:
            self.said = said

        def ready(self) -> Any:
            if isinstance(self.said, Exception):
                raise self.said
            return {"refusal": self.said}

    assert worker._refusal(None) is None
    assert worker._refusal(Server(None)) is None  # type: ignore[arg-type]
    assert worker._refusal(Server("two threads")) == "two threads"  # type: ignore[arg-type]
    assert worker._refusal(Server(ProcessFailedError("gone"))) == "gone"  # type: ignore[arg-type]
    assert capfd.readouterr().err.count("runs start cold") == 2


def test_online_is_a_heartbeat_that_was_not_there_before(
    prefect: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = prefect(200, [{"name": "mine", "last_heartbeat_time": "2"}])
    worker._await_online(api, "gpu", "mine", "1", Ended(None))  # type: ignore[arg-type]
    with pytest.raises(FfeError, match="exit code 3"):
        worker._await_online(api, "gpu", "mine", "2", Ended(3))  # type: ignore[arg-type]
    monkeypatch.setattr(worker, "ONLINE_SECONDS", 0.3)
    with pytest.raises(FfeError, match="was not online"):
        worker._await_online(api, "gpu", "mine", "2", Ended(None))  # type: ignore[arg-type]


def test_a_server_that_is_silent_while_a_worker_comes_up_is_asked_again() -> None:
    class Busy:
        answers = iter([RefusedError("timed out"), RefusedError("timed out"), "2"])

        def last_heartbeat(self, pool: str, name: str) -> str:
            said = next(self.answers)
            if isinstance(said, RefusedError):
                raise said
            return said

    api = Busy()
    worker._await_online(api, "gpu", "mine", "1", Ended(None))  # type: ignore[arg-type]
    assert next(api.answers, None) is None


def test_a_dead_fork_server_is_started_again_and_a_dead_worker_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(worker, "REVIVE_SECONDS", -1)
    server = Ended(None, -9, -9, -9, None)
    with pytest.raises(FfeError, match="the Prefect worker ended with exit code 5"):
        worker._watch(Ended(None, None, None, None, None, 5), server)  # type: ignore[arg-type]
    assert server.started == 1
    assert "the fork server ended with exit code -9" in capfd.readouterr().err
    with pytest.raises(FfeError):
        worker._watch(Ended(None, 5), None)  # type: ignore[arg-type]
