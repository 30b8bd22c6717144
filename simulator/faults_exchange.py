"""One request and its reply as faults see them: whole, so that either can be changed, held back or lost.

A reply is at most a few hundred kilobytes here, so it is gathered before anything is sent on.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Wire:
    """How the relay is to carry a reply out: the name of a wire fault and its options."""

    style: str
    options: Options


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    wire: Wire | None = None

    @classmethod
    def of(cls, status: int, body: str | bytes, media_type: str, **headers: str) -> "Answer":
        """A reply made here; `retry_after="1"` becomes the header `retry-after: 1`."""
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        raw = body.encode() if isinstance(body, str) else body
        return cls(status, (("content-type", media_type), *named), raw)

    def with_body(self, body: bytes) -> "Answer":
        return replace(self, body=body)

    def complete_headers(self) -> list[tuple[str, str]]:
        """The headers, with the length that the body now has."""
        kept = [(name, value) for name, value in self.headers if name != "content-length"]
        return [*kept, ("content-length", str(len(self.body)))]

    def head(self) -> bytes:
        """Status line and headers as HTTP/1.1 sends them, with the empty line that ends them."""
        phrase = HTTPStatus(self.status).phrase
        lines = [f"{name}: {value}" for name, value in [*self.complete_headers(), ("connection", "close")]]
        return "\r\n".join([f"HTTP/1.1 {self.status} {phrase}", *lines, "", ""]).encode("latin-1")

    async def send(self, send: Send) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.complete_headers()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True)
class Request:
    """`path` is the one below the venue's prefix; `route` its name, empty for a path that has none."""

    venue: str
    route: str
    method: str
    path: str
    scope: Scope
    body: bytes

    def header(self, name: str) -> str:
        found = [value.decode("latin-1") for key, value in self.scope["headers"] if key == name.encode()]
        return found[-1] if found else ""


Proceed = Callable[[Request], Awaitable[Answer]]


async def read_body(receive: Receive) -> bytes:
    """The whole body, read before anything is delayed: the server throws it away when the client leaves."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def answer_of(app: ASGIApp, request: Request) -> Answer:
    """What `app` replies, nothing of it sent yet. A client that has left meanwhile changes nothing."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(request.scope, receive, send)
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in messages[0]["headers"])
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(int(messages[0]["status"]), headers, body)
