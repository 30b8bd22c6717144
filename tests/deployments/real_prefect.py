"""A real Prefect server with its background services, and a webhook on loopback that keeps what it is sent."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from ffe.processes import Child

SECRET_PATH = "t0p-s3cret-path"


@dataclass
class Webhook:
    """What was posted to it, in order. A path that ends in `broken` is answered with 500."""

    url: str = ""
    notes: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def about(self, *words: str) -> list[dict[str, str]]:
        """The notes that have all of `words`."""
        return [note for note in self.notes if all(word in f"{note['title']} {note['message']}" for word in words)]

    def await_note(self, *words: str, seconds: float = 60.0) -> dict[str, str]:
        """The first note about `words`; fails when none comes in time."""
        await_true(lambda: bool(self.about(*words)), f"note about {words}, only {self.notes}", seconds)
        return self.about(*words)[0]


def await_true(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.partition("?")[0].endswith("broken"):
                kept.refused.append(self.path)
                self.send_response(500)
            else:
                kept.notes.append(json.loads(body))
                self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kept.url = f"http://127.0.0.1:{server.server_port}/hook/{SECRET_PATH}"
        yield kept
        server.shutdown()


@dataclass
class FullServer:
    """A server with scheduler, late runs, triggers, actions and repossessor; they look around more often than by default."""

    folder: Path
    url: str
    child: Child | None = None

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        from ffe.cli.surroundings import await_healthy

        port = self.url.removesuffix("/api").rpartition(":")[2]
        kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        environment = kept | {
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
            "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
            "PREFECT_UI_URL": f"http://127.0.0.1:{port}",
        }
        command = [
            sys.executable,
            "-m",
            "tasks.local_api",
            "--data-dir",
            str(self.folder),
            "--port",
            port,
            "--services",
        ]
        with self.log.open("a") as log:
            self.child = Child.spawn("prefect server", command, env=environment, log=log)
        await_healthy(self.url, self.child)

    def stop(self) -> None:
        if self.child is not None:
            self.child.close()


def started_server(folder: Path) -> FullServer:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = FullServer(folder, f"http://127.0.0.1:{port}/api")
    server.start()
    return server


@pytest.fixture(scope="session")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullServer]:
    server = started_server(tmp_path_factory.mktemp("full-server"))
    yield server
    server.stop()


@pytest.fixture
def served(full_server: FullServer) -> Iterator[FullServer]:
    """The full server as the API of this test, in this process and in its children."""
    before = os.environ["PREFECT_API_URL"]
    os.environ["PREFECT_API_URL"] = full_server.url
    with temporary_settings({PREFECT_API_URL: full_server.url}):
        yield full_server
    os.environ["PREFECT_API_URL"] = before
