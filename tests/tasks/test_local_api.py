"""The local Prefect API: what keeps its client from waiting, and how it ends."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from ffe.cli.surroundings import await_healthy, free_port
from ffe.errors import FfeError
from ffe.processes import Child
from tasks import local_api
from tasks.local_api import ATTEMPTS, RetryWhenBusy, Serving, arguments, environment

Message = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_api, "PAUSE", 0.0)


def _app(statuses: list[int], seen: list[bytes], error: Exception | None = None) -> Callable[..., Any]:
    """Answers with each status in turn, the last one for ever; raises `error` after a 503, as Prefect's server does."""
    turn = iter(statuses)
    last = statuses[-1]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        seen.append(body)
        status = next(turn, last)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})
        if status == 503 and error is not None:
            raise error

    return app


def _call(app: Callable[..., Any], parts: list[bytes]) -> list[Message]:
    queue = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(RetryWhenBusy(app)({"type": "http"}, receive, send))
    return sent


def test_a_busy_answer_is_repeated_with_the_whole_body_and_never_seen_by_the_client() -> None:
    seen: list[bytes] = []
    sent = _call(_app([503, 503, 201], seen, RuntimeError("database is locked")), [b"one ", b"two"])
    assert seen == [b"one two"] * 3
    assert [message.get("status") for message in sent] == [201, None, None]
    assert [message.get("body") for message in sent] == [None, b"part", b"end"]


def test_a_server_that_stays_busy_is_believed_at_last() -> None:
    seen: list[bytes] = []
    sent = _call(_app([503], seen), [b"x"])
    assert len(seen) == ATTEMPTS
    assert sent[0]["status"] == 503


def test_an_error_before_any_answer_is_not_swallowed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        _call(app, [b""])


def test_what_is_not_http_passes_through_untouched() -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        asyncio.run(RetryWhenBusy(app)({"type": kind}, None, None))  # type: ignore[arg-type]
    assert passed == ["lifespan", "websocket"]


def test_the_environment_keeps_what_its_owner_has_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_HOME", "somewhere")
    ours = environment(tmp_path, "http://127.0.0.1:1/api")
    assert (ours["PREFECT_HOME"], ours["PREFECT_API_URL"]) == ("somewhere", "http://127.0.0.1:1/api")
    assert ours["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_API_URL" not in environment(tmp_path)


def test_the_ui_asks_the_server_that_it_came_from_on_any_port(tmp_path: Path) -> None:
    served = local_api._server_environment(Serving(tmp_path, 5011, ui=True, services=True))
    assert served["PREFECT_SERVER_UI_API_URL"] == "/api"
    assert served["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:5011"


def test_the_origins_behind_a_proxy_are_those_that_its_owner_has_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "https://ffe.example.com")
    assert "PREFECT_SERVER_CORS_ALLOWED_ORIGINS" not in local_api._server_environment(Serving(tmp_path, 5011))


def test_only_the_bare_api_of_one_command_is_ephemeral(tmp_path: Path) -> None:
    bare = local_api._server_environment(Serving(tmp_path, 5011))
    assert (bare["PREFECT__SERVER_EPHEMERAL"], bare["PREFECT_UI_ENABLED"]) == ("1", "0")
    for kind in ({"services": True}, {"web_only": True, "ui": True}):
        assert "PREFECT__SERVER_EPHEMERAL" not in local_api._server_environment(Serving(tmp_path, 5011, **kind))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {}),
        (("--services",), {"services": True}),
        (("--ui",), {"services": True, "ui": True}),
        (("--web-only", "--stay"), {"web_only": True, "ui": True, "stay": True}),
    ],
    ids=["bare", "services", "ui", "web"],
)
def test_each_kind_of_server_has_its_flag(flags: tuple[str, ...], expected: dict[str, bool], tmp_path: Path) -> None:
    asked = arguments(["--data-dir", str(tmp_path), "--port", "5011", *flags], None)
    assert asked == Serving(tmp_path, 5011, **expected)


@pytest.mark.parametrize("flags", [("--services", "--web-only"), ("--ui", "--services")], ids="".join)
def test_kinds_that_exclude_each_other_are_refused(flags: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        arguments(["--data-dir", "d", "--port", "1", *flags], None)


def test_nobody_else_is_let_in_without_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data-dir", "d", "--port", "1", "--host", "0.0.0.0"]
    with pytest.raises(SystemExit, match="2"):
        arguments(asked, "")
    assert "0.0.0.0 is not loopback: set PREFECT_SERVER_API_AUTH_STRING" in capsys.readouterr().err
    assert arguments(asked, "user:password").host == "0.0.0.0"
    assert arguments([*asked[:-1], "::1"], None).host == "::1"


class Recorded:
    """In the place of uvicorn's server."""

    config: Any = None

    def __init__(self, config: Any) -> None:
        type(self).config = config

    def run(self) -> None: ...


@pytest.mark.parametrize("stay", [False, True], ids=["until its input closes", "until it is told"])
def test_main_serves_what_it_was_asked_for(stay: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watched: list[Any] = []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "user:password")
    monkeypatch.setattr("uvicorn.Server", Recorded)
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda **kind: kind)
    monkeypatch.setattr(local_api, "_end_with_stdin", watched.append)
    flags = ["--web-only", *(("--stay",) if stay else ())]
    local_api.main(["--data-dir", str(tmp_path), "--port", "5011", "--host", "0.0.0.0", *flags])
    assert (Recorded.config.host, Recorded.config.port) == ("0.0.0.0", 5011)
    assert "PREFECT_API_URL" not in os.environ
    assert len(watched) == (0 if stay else 1)


def test_a_server_is_asked_to_end_and_then_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.write(write, b"ignored")
    os.close(write)
    server, seen = SimpleNamespace(should_exit=False, force_exit=False), []
    monkeypatch.setattr(local_api.sys, "stdin", SimpleNamespace(fileno=lambda: read))
    monkeypatch.setattr(local_api.time, "sleep", lambda _: seen.append((server.should_exit, server.force_exit)))
    local_api._end_with_stdin(server)  # type: ignore[arg-type]
    os.close(read)
    assert seen == [(True, False)]
    assert server.force_exit is True


@pytest.mark.slow
def test_the_api_answers_under_concurrent_writers_and_ends_when_its_input_closes(tmp_path: Path) -> None:
    port, clean = free_port(), {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(tmp_path), "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        child = Child.spawn("api", command, env=clean, log=log)
        url = f"http://127.0.0.1:{port}/api"
        await_healthy(url, child)
        assert set(asyncio.run(_write(url))) == {201}
        child.close()
    assert child.exit_code == 0
    assert (tmp_path / "prefect").is_dir()


async def _write(url: str) -> list[int]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        replies = await asyncio.gather(*(client.post(f"{url}/flows/", json={"name": f"f{turn}"}) for turn in range(40)))
    return [reply.status_code for reply in replies]


def test_an_api_that_ends_early_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        child = Child.spawn("api", [sys.executable, "-c", "raise SystemExit(5)"], env=os.environ, log=log)
        with pytest.raises(FfeError, match="exit code 5"):
            await_healthy(f"http://127.0.0.1:{free_port()}/api", child, timeout=20)
        child.close()


def test_nothing_listening_is_an_error_after_the_timeout() -> None:
    started = time.monotonic()
    with pytest.raises(FfeError, match="did not answer within 0 s"):
        await_healthy(f"http://127.0.0.1:{free_port()}/api", None, timeout=0.3)
    assert time.monotonic() - started < 10


def test_bad_arguments_are_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "tasks.local_api"], capture_output=True, check=False)
    assert done.returncode == 2


def _asked(app: Callable[..., Any], host: bytes | None, kind: str = "http") -> Message:
    """The first message that a request with that Host is answered."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if host is None else [(b"host", host)]
    scope = {"type": kind, "path": "/api/variables/", "method": "POST", "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]


def _served(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., Any]:
    """What is between the network and Prefect's own application, which answers 201."""
    monkeypatch.setattr("uvicorn.Server", Recorded)
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda **_: _app([201], []))
    local_api._serve(Serving(folder, 5011, stay=True))
    served: Callable[..., Any] = Recorded.config.app
    return served


@pytest.mark.parametrize("host", [b"127.0.0.1:5011", b"localhost:80", b"LOCALHOST", b"[::1]:5011", b"ffe.internal:1"])
def test_a_server_without_a_password_answers_under_its_own_names(
    host: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    monkeypatch.setenv("PREFECT_UI_URL", "https://ffe.internal/ui")
    assert _asked(_served(monkeypatch, tmp_path), host)["status"] == 201


@pytest.mark.parametrize(
    "host", [b"evil.example:5011", b"127.0.0.1.evil.example", b"a@evil.example", b"[broken", b"", b"*", None]
)
def test_a_server_without_a_password_answers_nobody_under_another_name(
    host: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "*")
    served = _served(monkeypatch, tmp_path)
    assert _asked(served, host)["status"] == 421
    assert _asked(served, host, "websocket") == {"type": "websocket.close", "code": 1008}


def test_a_server_with_a_password_is_reached_under_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "user:password")
    assert _asked(_served(monkeypatch, tmp_path), b"prefect.cluster:4200")["status"] == 201
