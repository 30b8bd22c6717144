"""One request in, one reply out: what every endpoint of every venue shares. Handlers are plain functions from `Call` to `Reply`.

Handlers run one at a time in the server's event loop, so two requests never see each other half done.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """`query` keeps every value of a repeated key; `path` is the URL path as sent, prefix included."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Json

    def one(self, name: str, default: str | None = None) -> str | None:
        """The only or last value of a query key."""
        values = self.query.get(name)
        return values[-1] if values else default

    def many(self, name: str) -> list[str]:
        """All values of a query key, repeated or comma-separated."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]


@dataclass(frozen=True)
class Reply:
    body: Json | str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        if isinstance(self.body, str):
            return Response(self.body, self.status, dict(self.headers), media_type="text/plain")
        # Compact, as the venues send it: the Coinbase SDK recognises a missing scope by the text of the body.
        text = json.dumps(self.body, separators=(",", ":"))
        return Response(text, self.status, dict(self.headers), media_type="application/json")


class RefusalError(Exception):
    """A reply that ends the request and undoes what it changed. A reject that leaves a record is an ordinary `Reply`."""

    def __init__(self, status: int, body: Json | str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.reply = Reply(body, status, headers or {})


class MalformedBodyError(Exception):
    pass


Handler = Callable[[Call], Reply]


def endpoint(
    handle: Callable[[Call], Reply], malformed: Callable[[], Reply]
) -> Callable[[Request], Awaitable[Response]]:
    """A Starlette endpoint around `handle`; `malformed` is what this venue answers to a body that is not a JSON object."""

    async def answer(request: Request) -> Response:
        try:
            body = _object(await request.body())
        except MalformedBodyError:
            return malformed().response()
        query: dict[str, list[str]] = {}
        for key, value in request.query_params.multi_items():
            query.setdefault(key, []).append(value)
        call = Call(request.method, request.url.path, request.path_params, query, request.headers, body)
        return handle(call).response()

    return answer


def _object(raw: bytes) -> Json:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise MalformedBodyError from error
    if not isinstance(body, dict):
        raise MalformedBodyError
    return body
