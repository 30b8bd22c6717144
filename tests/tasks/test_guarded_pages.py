"""The password in front of the quality pages."""

import base64
from typing import Any

import httpx
import pytest

from tasks.guarded_pages import GuardedPages

PASSWORD = "trader:s3cret"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


async def ask(path: str, headers: dict[str, str], password: str | None = PASSWORD) -> httpx.Response:
    transport = httpx.ASGITransport(GuardedPages(app, password))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers=headers)


def basic(text: str, kind: str = "Basic") -> dict[str, str]:
    return {"Authorization": f"{kind} {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("trader:wrong"),
        basic(PASSWORD, "Bearer"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic not base64!"},
        {"Authorization": f"Basic {PASSWORD}"},
    ],
    ids=["none", "wrong", "bearer", "empty", "no base64", "plain"],
)
async def test_without_the_password_a_browser_is_asked_for_it(headers: dict[str, str]) -> None:
    reply = await ask("/quality/page.html", headers)
    assert (reply.status_code, reply.text) == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith('Basic realm="quality pages"')


@pytest.mark.parametrize("kind", ["Basic", "basic"])
async def test_with_the_password_the_page_is_reached(kind: str) -> None:
    assert (await ask("/quality/page.html", basic(PASSWORD, kind))).text == "reached"


async def test_a_server_without_a_password_asks_for_none() -> None:
    assert (await ask("/quality/page.html", {}, password=None)).text == "reached"


@pytest.mark.parametrize("path", ["/", "/api/health", "/qualities"])
async def test_other_paths_are_left_to_prefect(path: str) -> None:
    assert (await ask(path, {})).text == "reached"


async def test_what_is_not_a_request_passes() -> None:
    seen: list[str] = []

    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await GuardedPages(lifespan, PASSWORD)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
