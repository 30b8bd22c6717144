"""Prefect's API on this machine: `python -m tasks.local_api --data-dir DIR --port N [--services] [--ui]`.

It serves the quality pages of the data folder too, read-only under `/quality/`, so that an artifact can link to them.
Its database is SQLite under the data folder, or whatever `PREFECT_API_DATABASE_CONNECTION_URL` names. Ends when standard
input closes. `--services` adds the background services (scheduler, late runs, automations), `--ui` the UI too: exactly one
such server may run on a database.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.local_only import LocalOnly
from tasks.quality_pages import QualityPages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn import Server

GRACE = 8.0
BUSY = 503
ATTEMPTS = 40
PAUSE = 0.025


def environment(data_dir: Path, api_url: str | None = None) -> dict[str, str]:
    """Prefect's settings for every process of ours; what the caller has set already stays. No telemetry leaves the machine."""
    ours = {
        "PREFECT_HOME": str((data_dir / "prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }
    if api_url is not None:
        ours["PREFECT_API_URL"] = api_url
    return {name: os.environ.get(name, value) for name, value in ours.items()} | (
        {"PREFECT_API_URL": api_url} if api_url is not None else {}
    )


class RetryWhenBusy:
    """ASGI middleware: repeats a request that the server answered 503, up to ATTEMPTS times, PAUSE seconds apart.

    Prefect rolls back and answers 503 when SQLite was locked by another of its own writers, and its client then sleeps 2 s
    before sending the very same request again. Repeating it here costs milliseconds instead.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages = await _whole_request(receive)
        for attempt in range(1, ATTEMPTS + 1):
            if await self._attempt(dict(scope), messages, receive, send, last=attempt == ATTEMPTS):
                return
            await asyncio.sleep(PAUSE)

    async def _attempt(
        self, scope: "Scope", messages: "list[Message]", receive: "Receive", send: "Send", *, last: bool
    ) -> bool:
        """Whether an answer went out; a 503 is swallowed unless it is the last attempt."""
        replay, busy = iter(messages), False

        async def again() -> "Message":
            return next(replay, None) or await receive()

        async def unless_busy(message: "Message") -> None:
            nonlocal busy
            if message["type"] == "http.response.start" and message["status"] == BUSY and not last:
                busy = True
            if not busy:
                await send(message)

        try:
            await self._app(scope, again, unless_busy)
        except Exception:
            # Having answered 503, the server raises the cause again for its own log.
            if not busy:
                raise
        return not busy


async def _whole_request(receive: "Receive") -> "list[Message]":
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.local_api")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--services", action="store_true", help="run the background services: one server a database")
    parser.add_argument("--ui", action="store_true", help="with the services, and the UI")
    given = parser.parse_args(argv)
    # An API URL here would make the server a client of another one.
    os.environ.pop("PREFECT_API_URL", None)
    services = given.services or given.ui
    os.environ.update(_server_environment(given.data_dir, given.port, ui=given.ui, services=services))
    _serve(given.data_dir, given.port, services=services)


def _server_environment(data_dir: Path, port: int, *, ui: bool, services: bool) -> Mapping[str, str]:
    values = environment(data_dir) | {
        "PREFECT_UI_ENABLED": "1" if ui else "0",
        # Without it the UI asks the API that a checkout's own configuration names, whatever the port is here.
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    if not services:
        values |= {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return values


def _serve(data_dir: Path, port: int, *, services: bool) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(
        LocalOnly(QualityPages(RetryWhenBusy(create_app(ephemeral=not services)), data_dir)),
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="on",
        access_log=False,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    server.run()


def _end_with_stdin(server: "Server") -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True
    time.sleep(GRACE)
    server.force_exit = True


if __name__ == "__main__":
    main()
