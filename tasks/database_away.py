"""A Prefect server whose database can't be reached says so with 503, not 500: its clients repeat a 503 and give up on a 500.

Prefect 3.8.8 answers 503 where PostgreSQL refuses a statement, and 500 where it refuses the connection, which is the first thing that
happens when the database is restarted: a run that met it ended without a state, and was called Crashed minutes later.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FAILED = 500
AWAY = 503
BODY = b'{"exception_message": "The database can\'t be reached"}'


class AwayIsBusy:
    """ASGI middleware: a 500 that an OSError or a timeout of the connection has caused goes out as a 503."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def unless_failed(message: "Message") -> None:
            # Prefect answers first and raises the cause again afterwards: until then nobody knows what the 500 stands for.
            if held or (message["type"] == "http.response.start" and message["status"] == FAILED):
                held.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, unless_failed)
        except OSError:
            if not held:
                raise
            await send(
                {"type": "http.response.start", "status": AWAY, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": BODY})
            return
        except Exception:
            await _pass_on(held, send)
            raise
        await _pass_on(held, send)


async def _pass_on(held: "list[Message]", send: "Send") -> None:
    for message in held:
        await send(message)
