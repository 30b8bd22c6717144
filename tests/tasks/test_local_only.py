"""A browser that opens the local server talks to that server alone."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tasks.local_only import LocalOnly

Headers = Sequence[tuple[bytes, bytes]]
OURS = "connect-src 'self'"


async def _policy(*headers: tuple[bytes, bytes]) -> str | None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"<p>"})

    transport = httpx.ASGITransport(app=LocalOnly(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/")).headers.get("content-security-policy")


async def test_a_page_may_talk_to_its_own_server_only() -> None:
    assert await _policy((b"content-type", b"text/html; charset=utf-8")) == OURS


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (((b"content-type", b"application/json"),), None),
        ((), None),
        (((b"Content-Type", b"text/html"), (b"Content-Security-Policy", b"default-src 'none'")), "default-src 'none'"),
    ],
    ids=["an answer of the API", "an answer without a type", "a page with a policy of its own"],
)
async def test_everything_else_is_left_as_it_is(headers: Headers, kept: str | None) -> None:
    assert await _policy(*headers) == kept


async def test_a_websocket_passes_through() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await LocalOnly(app)({"type": "websocket"}, None, None)  # type: ignore[arg-type]
    assert seen == ["websocket"]
