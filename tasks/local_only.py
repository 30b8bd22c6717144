"""Keeps the pages of the local Prefect server on this machine: a browser may talk to the server itself and to nobody else.

The newer UI asks an outside analytics host for its configuration also where the server's analytics are off. The policy stops that
request in the browser; everything that the UI itself needs comes from its own origin.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = b"connect-src 'self'"
HEADER = b"content-security-policy"


class LocalOnly:
    """ASGI middleware: puts POLICY on every HTML answer that has no policy of its own."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                names = {name.lower(): value for name, value in headers}
                if names.get(b"content-type", b"").startswith(b"text/html") and HEADER not in names:
                    message = {**message, "headers": [*headers, (HEADER, POLICY)]}
            await send(message)

        await self._app(scope, receive, with_policy if scope["type"] == "http" else send)
