"""The server's password in front of the quality pages, which are ours: Prefect guards its own `/api` and nothing else.

A browser asks its user for it once: the pages are opened by following a link of an artifact, not by the UI's own requests.
"""

import base64
import binascii
import hmac
from typing import TYPE_CHECKING

from tasks.quality_pages import ROUTE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

CHALLENGE = {"www-authenticate": 'Basic realm="quality pages", charset="UTF-8"'}


class GuardedPages:
    """ASGI middleware: answers 401 for every path under `/quality/` unless the request has `password` (`user:password`).

    None asks for nothing, as Prefect itself does then.
    """

    def __init__(self, app: "ASGIApp", password: str | None) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        guarded = self._password is not None and scope["type"] == "http" and scope["path"].startswith(ROUTE)
        if not guarded or self._knows(scope):
            await self._app(scope, receive, send)
            return
        from starlette.responses import Response

        await Response(b"unauthorized", 401, CHALLENGE, media_type="text/plain")(scope, receive, send)

    def _knows(self, scope: "Scope") -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, token = given.partition(b" ")
        try:
            said = base64.b64decode(token, validate=True)
        except binascii.Error:
            return False
        return kind.lower() == b"basic" and hmac.compare_digest(said, str(self._password).encode())
