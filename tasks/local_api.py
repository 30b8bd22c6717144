"""Prefect's API on this machine: `python -m tasks.local_api --data-dir DIR --port N [--services | --ui | --web-only] [--host H] [--stay]`.

It serves the quality pages of the data folder too, read-only under `/quality/`, so that an artifact can link to them.
Its database is SQLite under the data folder, or whatever `PREFECT_SERVER_DATABASE_CONNECTION_URL` names. `--services` adds the
background services (scheduler, late runs, automations), `--ui` the UI too: exactly one such server may run on a database.
`--web-only` is the UI and the API beside `prefect server services start`; of these there may be several, with Redis between them.

It listens on loopback unless `--host` says otherwise, and then only with a password (PREFECT_SERVER_API_AUTH_STRING): who can reach
the API can run every deployment with any parameters. Without a password it answers only under names of this machine and the hosts of
PREFECT_UI_URL and PREFECT_SERVER_CORS_ALLOWED_ORIGINS. It ends when standard input closes, or with `--stay` only by SIGTERM or SIGINT,
as a service manager wants it.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffe.settings import LOOPBACK
from tasks.database_away import AwayIsBusy
from tasks.guarded_pages import GuardedPages
from tasks.local_only import LocalOnly
from tasks.loopback_hosts import LoopbackHosts
from tasks.one_writer import OneWriter
from tasks.quality_pages import QualityPages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn import Server

GRACE = 8.0
BUSY = 503
ATTEMPTS = 40
PAUSE = 0.025
PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 - the name of the variable
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
ADDRESS = "PREFECT_UI_URL"
DATABASES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"


def environment(data_dir: Path, api_url: str | None = None) -> dict[str, str]:
    """Prefect's settings for every process of ours; what the caller has set already stays. No telemetry leaves the machine."""
    ours = {
        "PREFECT_HOME": str((data_dir / "prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        # 2 + 4 + ... + 64 s: a run outlasts a server that is away for a minute. Prefect's own 5 attempts end just before.
        "PREFECT_CLIENT_MAX_RETRIES": "6",
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


@dataclass(frozen=True)
class Serving:
    """What is asked of one server. `services` and `web_only` exclude each other; neither is the bare API of one command."""

    data_dir: Path
    port: int
    host: str = "127.0.0.1"
    ui: bool = False
    services: bool = False
    web_only: bool = False
    stay: bool = False


def main(argv: list[str] | None = None) -> None:
    serving = arguments(argv, os.environ.get(PASSWORD))
    # An API URL here would make the server a client of another one.
    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(_server_environment(serving))
    _serve(serving)


def arguments(argv: list[str] | None, password: str | None) -> Serving:
    """What the command line asks for. Ends the process with 2 when it can't be, or must not be without a password."""
    parser = argparse.ArgumentParser(prog="python -m tasks.local_api")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="an address to listen on; loopback when left out")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--services", action="store_true", help="run the background services: one server a database")
    kind.add_argument("--ui", action="store_true", help="with the services, and the UI")
    kind.add_argument("--web-only", action="store_true", help="with the UI; the services run in a process of their own")
    parser.add_argument("--stay", action="store_true", help="go on when standard input closes")
    given = parser.parse_args(argv)
    if given.host not in LOOPBACK and not password:
        parser.error(f"--host {given.host} is not loopback: set {PASSWORD} (user:password) first")
    return Serving(
        given.data_dir,
        given.port,
        given.host,
        ui=given.ui or given.web_only,
        services=given.services or given.ui,
        web_only=given.web_only,
        stay=given.stay,
    )


def _server_environment(serving: Serving) -> Mapping[str, str]:
    values = environment(serving.data_dir) | {
        "PREFECT_UI_ENABLED": "1" if serving.ui else "0",
        # Without it the UI asks the API that a checkout's own configuration names, whatever the port is here.
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_API_HOST": serving.host,
        "PREFECT_SERVER_API_PORT": str(serving.port),
    }
    if not os.environ.get(ORIGINS):
        values |= {ORIGINS: f"http://127.0.0.1:{serving.port}"}
    if serving.ui and not os.environ.get(ADDRESS):
        # What the notes of automations and incidents link to.
        values |= {ADDRESS: f"http://127.0.0.1:{serving.port}"}
    if serving.services and not os.environ.get(LEASES):
        # In memory, a slot that is held while the server restarts is never given back.
        values |= {LEASES: "prefect.server.concurrency.lease_storage.filesystem"}
    if not serving.services and not serving.web_only:
        values |= {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return values


def _serve(serving: Serving) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=not serving.services and not serving.web_only, webserver_only=serving.web_only)
    url = next((os.environ[name] for name in DATABASES if os.environ.get(name)), "sqlite")
    answering = OneWriter(app) if url.startswith("sqlite") else app
    pages = QualityPages(RetryWhenBusy(AwayIsBusy(answering)), serving.data_dir)
    config = uvicorn.Config(
        _guarded(LocalOnly(GuardedPages(pages, os.environ.get(PASSWORD)))),
        host=serving.host,
        port=serving.port,
        log_level="error",
        lifespan="on",
        access_log=False,
        # Workers hold a connection for events open: they would never let it end.
        timeout_graceful_shutdown=int(GRACE),
    )
    server = uvicorn.Server(config)
    if not serving.stay:
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    server.run()


def _guarded(app: "ASGIApp") -> "ASGIApp":
    """Without a password only under names of this machine, and those that the server's own settings give it."""
    if os.environ.get(PASSWORD):
        return app
    named = (os.environ.get(ADDRESS, ""), *os.environ.get(ORIGINS, "").split(","))
    return LoopbackHosts(app, named)


def _end_with_stdin(server: "Server") -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True
    time.sleep(GRACE)
    server.force_exit = True


if __name__ == "__main__":
    main()
