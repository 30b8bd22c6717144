"""The quality pages on the API's own port: exactly those files, read-only, and no script in them."""

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import quality_pages
from tasks.quality_pages import FOLDER, POLICY, QualityPages, file_of, link

BATCH, REPORT = "ab" * 32, "cd" * 16
NAME = f"{BATCH}.{REPORT}.html"
PAGE = b"<h1>BTCUSD 5m</h1>"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with one page, and beside it what must never be served."""
    folder = tmp_path / "data" / FOLDER / BATCH[:2]
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(PAGE)
    (folder / f"{BATCH}.{REPORT}.json").write_text("{}")
    (folder / f"{BATCH}.parquet").write_text("bars")
    (tmp_path / "data" / "ledger.sqlite").write_text("secret")
    return tmp_path / "data"


async def _ui(scope: Any, receive: Any, send: Any) -> None:
    """Answers every path with itself, as the UI does."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"the UI"})


def _ask(data_dir: Path, path: str, method: str = "GET") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(QualityPages(_ui, data_dir))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_a_page_is_served_with_a_policy_that_forbids_scripts(data_dir: Path) -> None:
    reply = _ask(data_dir, f"/quality/{NAME}")
    assert (reply.status_code, reply.content) == (200, PAGE)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == POLICY
    assert "default-src 'none'" in POLICY
    assert "script-src" not in POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_name_of_a_report_leads_to_its_page(data_dir: Path) -> None:
    assert (data_dir / FOLDER / file_of(BATCH, REPORT)).read_bytes() == PAGE


def test_a_head_request_has_the_headers_alone(data_dir: Path) -> None:
    reply = _ask(data_dir, f"/quality/{NAME}", "HEAD")
    assert (reply.status_code, reply.headers["content-length"]) == (200, str(len(PAGE)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written_there(data_dir: Path, method: str) -> None:
    reply = _ask(data_dir, f"/quality/{NAME}", method)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
    assert (data_dir / FOLDER / file_of(BATCH, REPORT)).read_bytes() == PAGE


@pytest.mark.parametrize(
    "name",
    [
        "",
        file_of("0" * 64, REPORT).partition("/")[2],
        NAME.upper(),
        f"{BATCH}.{REPORT}.json",
        f"{BATCH}.parquet",
        f"{BATCH}.{REPORT}.html/",
        f"{BATCH}.{REPORT}.html%0A",
        f"{BATCH}.{REPORT}.html%00",
        f"ab/{NAME}",
        "..%2F..%2F..%2Fledger.sqlite",
        "%2e%2e/%2e%2e/ledger.sqlite",
        "/etc/passwd",
    ],
)
def test_anything_but_the_name_of_a_page_is_not_there_and_is_not_the_ui(data_dir: Path, name: str) -> None:
    reply = _ask(data_dir, f"/quality/{name}")
    assert (reply.status_code, reply.text) == (404, "no such page")
    assert reply.headers["content-security-policy"] == POLICY


@given(name=st.text(alphabet=st.sampled_from("abcdef0123456789./\\%\0\n-~ "), max_size=120))
def test_no_name_reaches_beyond_the_pages(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert quality_pages._read(folder, name) is None


def test_every_other_path_is_the_servers(data_dir: Path) -> None:
    for path in ("/", "/v2/artifacts", "/api/health", "/quality", "/qualityx"):
        assert _ask(data_dir, path).text == "the UI"


def test_what_is_not_http_passes_through_untouched(data_dir: Path) -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        asyncio.run(QualityPages(app, data_dir)({"type": kind, "path": "/quality/x"}, None, None))  # type: ignore[arg-type]
    assert passed == ["lifespan", "websocket"]


@pytest.fixture
def asked() -> list[str | None]:
    """The Authorization header of every request that `served` got."""
    return []


@pytest.fixture
def served(asked: list[str | None]) -> Iterator[Callable[[int, dict[str, str]], str]]:
    """URL of an API on this machine that answers every HEAD with the given status and headers."""
    servers: list[HTTPServer] = []

    def serve(status: int, headers: dict[str, str]) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.append(self.headers["authorization"])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                del _

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/api"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_page_that_the_server_shows_is_linked_by_its_path(served: Any) -> None:
    assert link(Path("data", NAME), served(200, quality_pages.HEADERS)) == f"/quality/{NAME}"


def test_a_server_of_another_data_folder_or_another_kind_gets_no_link(served: Any) -> None:
    page = Path(NAME)
    assert link(page, served(404, quality_pages.HEADERS)) is None
    assert link(page, served(200, {"content-type": "text/html"})) is None


def test_no_server_and_a_silent_one_get_no_link() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert link(Path(NAME), f"http://127.0.0.1:{silent.getsockname()[1]}/api") is None
    assert link(Path(NAME), None) is None


def test_a_server_with_a_password_shows_its_pages_to_who_knows_it(
    monkeypatch: pytest.MonkeyPatch, served: Any, asked: list[str | None]
) -> None:
    monkeypatch.delenv("PREFECT_API_KEY", raising=False)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:secret")
    assert link(Path(NAME), served(200, quality_pages.HEADERS)) == f"/quality/{NAME}"
    assert asked == [f"Basic {base64.b64encode(b'me:secret').decode()}"]
