"""Keeps pages of other sites from an API without a password: a name that a site's owner points at 127.0.0.1 is no name of ours.

A browser lets such a page talk to this machine as to its own server (DNS rebinding); the Host header is where the page's name shows.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ffe.settings import LOOPBACK

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MISDIRECTED = 421


class LoopbackHosts:
    """ASGI middleware: answers 421 (RFC 9110 15.5.20) for a Host that is neither loopback, with any port, nor the host of a URL in `urls`.

    WebSockets are closed before they are accepted. A request without Host, or with several, is refused too.
    """

    def __init__(self, app: "ASGIApp", urls: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host for host in map(_host, urls) if host is not None}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] not in ("http", "websocket") or self._ours(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("this server is not known by that name", MISDIRECTED)(scope, receive, send)

    def _ours(self, scope: "Scope") -> bool:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and _host(f"//{given[0]}") in self._hosts


def _host(url: str) -> str | None:
    """None for what is no URL, or names no host."""
    try:
        return urlsplit(url.strip()).hostname
    except ValueError:
        return None
