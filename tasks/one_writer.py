"""One write at a time for a Prefect server over SQLite, which can do no more.

Requests that write side by side get "database is locked", are repeated, and hold their connections meanwhile. On a machine that is slow for a
moment they pile up until every connection waits, and then the server answers nobody for minutes (seen: 80 locked writes and an empty
pool, eight minutes without an answer). One after the other, each takes milliseconds. The server's own services still write beside them.
"""

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# Prefect's queries are POSTs too; these only read.
READS = re.compile(r"/(filter|count|paginate|history|lateness|count-by/[a-z]+|get_scheduled_flow_runs)/?$")


class OneWriter:
    """ASGI middleware: a request that writes waits until the one before it is answered. What reads, and websockets, pass."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app, self._turn = app, asyncio.Lock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"} or READS.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)
