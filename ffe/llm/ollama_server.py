"""One Ollama server: where it is, what it may be told, and requests that are over at their deadline.

The HTTP library's timeout is per read: a server that trickles a byte a second would hold a call for ever. So a timer shuts the
connection at the deadline, which also wakes a read that waits. Every request makes its own connection (nothing is held that a
fork or another thread could trip over); only the TLS context is shared, its loading costs 20 ms.
"""

import contextlib
import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import ollama
from pydantic import BaseModel

from ffe.errors import ConfigurationError
from ffe.llm.models import Name
from ffe.llm.ollama_errors import FAILURES, LateError, classified
from ffe.llm.ollama_limits import PLAIN, limited
from ffe.settings import OllamaSettings, is_loopback

CONNECT_SECONDS = 5.0
# For what needs no inference: tags, ps, version.
READ_SECONDS = 10.0
DEFAULT_PORT = 11434
KEY = "OLLAMA_API_KEY"
# Events of the HTTP library that come with a new socket; TLS wraps the one there was.
CONNECTED = ("connect_tcp.complete", "start_tls.complete")

T = TypeVar("T")


class Deadline:
    """`seconds` from its making."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._at = seconds, time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._at - time.monotonic()

    def check(self) -> None:
        """Raises TimeoutError once it has passed."""
        if self.left <= 0:
            raise TimeoutError(f"{self.seconds:g} s have passed")


class _Version(BaseModel):
    version: Name


class Server:
    """The server of the settings. Raises ConfigurationError for a host that is no address."""

    def __init__(self, settings: OllamaSettings) -> None:
        self.address = address(settings.host)

    def where(self, model: str) -> str:
        """Whom to name when something fails."""
        return f"{model} at {self.address}"

    def call(self, model: str, deadline: Deadline, request: Callable[[ollama.Client], T]) -> T:
        """What `request` makes of a client, which is closed afterwards. `model` is whom to name when it fails.

        Raises:
            ModelUnavailableError: every failure of the client library, classified, with it as the cause.
        """

        def with_client(options: dict[str, Any]) -> T:
            with ollama.Client(self.address, **options) as client:
                return request(client)

        return self._within(model, deadline, with_client)

    def options(self, limit: httpx.Timeout) -> dict[str, Any]:
        """What every client is made with; the library's own timeout is none at all.

        A proxy of the environment is for other machines: httpx would send it what is meant for this one too. A redirect is not
        followed: what another server answers is not this one's, and the question is not for it.
        """
        return {
            "timeout": limit,
            "headers": self.headers() | PLAIN,
            "verify": _tls(),
            "follow_redirects": False,
            "trust_env": not is_loopback(self.address),
        }

    def headers(self) -> dict[str, str]:
        """The library sends OLLAMA_API_KEY to whatever host is set; a plain http host must not get it."""
        key = "".join(os.environ.get(KEY, "").split())
        if not key:
            return {}
        return {"authorization": f"Bearer {key if self.address.startswith('https://') else 'none'}"}

    def tags(self, model: str, deadline: Deadline) -> tuple[ollama.ListResponse.Model, ...]:
        """Every model that the server has, by /api/tags."""
        return tuple(self.call(model, deadline, lambda client: client.list()).models)

    def version(self, model: str, deadline: Deadline) -> str:
        """By GET /api/version, for which the client library has no call."""

        def read(options: dict[str, Any]) -> str:
            with httpx.Client(**options) as client:
                reply = client.get(f"{self.address}/api/version").raise_for_status()
                return _Version.model_validate(reply.json()).version

        return self._within(model, deadline, read)

    def _within(self, model: str, deadline: Deadline, request: Callable[[dict[str, Any]], T]) -> T:
        where = self.where(model)
        with _Cutoff(deadline) as cutoff:
            try:
                deadline.check()
                hooks = {"request": [cutoff.follow], "response": [limited()]}
                return request(self.options(timeout(deadline)) | {"event_hooks": hooks})
            except FAILURES as error:
                found = classified(where, error, model)
                if cutoff.fired or isinstance(found, LateError):
                    late = f"no answer from {where} within {deadline.seconds:g} s ({type(error).__name__})"
                    raise LateError(late) from error
                raise found from error


def address(host: str) -> str:
    """`scheme://host:port/path` as the client library reads `host`, without credentials and query: it is shown in messages.

    Raises:
        ConfigurationError: not an address.
    """
    try:
        split = urlsplit(host if "://" in host else f"http://{host}")
        name, port = split.hostname or "127.0.0.1", split.port
    except ValueError as error:
        raise ConfigurationError(f"FFE_OLLAMA__HOST is not the address of a server: {error}") from error
    if split.scheme not in ("http", "https"):
        raise ConfigurationError(f"FFE_OLLAMA__HOST is {split.scheme}://, not http:// or https://")
    if port is None and "://" not in host:
        port = DEFAULT_PORT
    shown = f"[{name}]" if ":" in name else name
    return f"{split.scheme}://{shown}{'' if port is None else f':{port}'}{split.path.rstrip('/')}"


def timeout(deadline: Deadline) -> httpx.Timeout:
    """What is left until `deadline`; a connection has 5 s at most."""
    left = max(0.001, deadline.left)
    return httpx.Timeout(left, connect=min(CONNECT_SECONDS, left))


def same(model: str, name: str | None) -> bool:
    """Whether the server's `name` is `model`, which may come without its tag."""
    return name in (model, f"{model}:latest")


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class _Cutoff:
    """Shuts the watched connections at the deadline. `fired` tells such an end from one that the server made."""

    def __init__(self, deadline: Deadline) -> None:
        self.fired = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(max(0.0, deadline.left), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def follow(self, request: httpx.Request) -> None:
        """Request hook: watches what is connected for it, from the first byte on, a head can be without an end too."""
        request.extensions["trace"] = self._traced

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(CONNECTED):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self.fired:
                self._cut()

    def _cut(self) -> None:
        self.fired = True
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
