"""The page of one quality report: where its file lies, how the local API serves it, and how an artifact links to it.

Page and result lie beside the batch they judge, as `<batch>.<report>.html` and `.json`. The links are relative to the server's root,
so that they still lead there when the server is started on another port. A page is evidence and never a program: it is served with
a policy that forbids scripts and outside hosts.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ffe.observe.prefect_api import Api

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ROUTE = "/quality/"
# Under the data folder; each batch lies in the folder of its first two digits.
FOLDER = Path("bars", "batches")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_NAME = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{32}\.html")
_PROBE_SECONDS = 2.0


class QualityPages:
    """ASGI middleware: answers `/quality/<batch>.<report>.html` from the data folder, and leaves every other path alone.

    It has to come before the UI, which answers any path that it does not know with itself.
    """

    def __init__(self, app: "ASGIApp", data_dir: Path) -> None:
        self._app, self._data_dir = app, data_dir

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or not scope["path"].startswith(ROUTE):
            await self._app(scope, receive, send)
            return
        from starlette.responses import Response

        if scope["method"] not in {"GET", "HEAD"}:
            response = Response(status_code=405, headers={"allow": "GET, HEAD"})
        else:
            content = _read(self._data_dir, scope["path"].removeprefix(ROUTE))
            status, body = (404, b"no such page") if content is None else (200, content)
            kind = "text/plain" if content is None else "text/html"
            response = Response(body, status, HEADERS, media_type=kind)
        await response(scope, receive, send)


def _read(data_dir: Path, name: str) -> bytes | None:
    """The page of that name, or None. Only a name of hashes reaches the disk, so none leads out of the folder."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    path = data_dir / FOLDER / name[:2] / name
    return path.read_bytes() if path.is_file() else None


def file_of(batch_id: str, report_id: str) -> str:
    """Name of a page under FOLDER."""
    return f"{batch_id[:2]}/{batch_id}.{report_id}.html"


def link(page: Path, api_url: str | None) -> str | None:
    """Where the server of the artifacts shows `page`: a path on that server, or None when it serves another data folder or none."""
    if api_url is None:
        return None
    import httpx

    path = f"{ROUTE}{page.name}"
    try:
        with httpx.Client(trust_env=False, timeout=_PROBE_SECONDS, headers=Api.at(api_url).headers) as client:
            reply = client.head(api_url.rstrip("/").removesuffix("/api") + path)
    except httpx.HTTPError:
        return None
    # The UI of a plain Prefect server answers any path with 200 and itself; the policy tells our own answer from that.
    ours = reply.headers.get("content-security-policy") == POLICY
    return path if ours and reply.status_code == httpx.codes.OK else None
