"""A loopback server that answers Alpha Vantage's one URL from a script, and one that runs an ASGI application."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import uvicorn
from starlette.types import ASGIApp

Reply = dict[str, Any] | str | tuple[int, str] | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Scripted:
    """Gives `replies` in turn, the last one for ever; keeps the parameters of every request."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def script(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def next(self) -> Reply:
        return self.replies[min(len(self.asked), len(self.replies)) - 1]


class _Handler(BaseHTTPRequestHandler):
    scripted: Scripted

    def do_GET(self) -> None:
        self.scripted.asked.append(dict(parse_qsl(urlsplit(self.path).query)))
        reply = self.scripted.next()
        if callable(reply):
            reply(self)
            return
        status, text = reply if isinstance(reply, tuple) else (200, reply)
        body = (json.dumps(text) if isinstance(text, dict) else text).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The request line holds the key: nothing is printed."""


@contextmanager
def scripted_server() -> Iterator[Scripted]:
    scripted = Scripted()
    handler = type("Handler", (_Handler,), {"scripted": scripted})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        scripted.url = f"http://127.0.0.1:{server.server_port}/query"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield scripted
        server.shutdown()
        thread.join(5)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Base URL of `app` on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """One byte every 0.1 s: each read is in time, the whole is not."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 60)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    _drip(handler, b'{"Meta Data": ' + b" " * 60)


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    """Fewer bytes than were said."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"{")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """The connection closes without a word."""
    handler.close_connection = True


def stall(handler: BaseHTTPRequestHandler) -> None:
    """Not a word for three seconds."""
    time.sleep(3)
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    """More bytes than anybody should keep."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" " * 2**20)
    except OSError:
        return


def _drip(handler: BaseHTTPRequestHandler, text: bytes) -> None:
    try:
        for byte in text:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return
