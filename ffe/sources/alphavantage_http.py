"""One GET of Alpha Vantage's one URL, over httpx, within a total deadline, with a key that nobody gets to see.

The service wants its key in the query, and httpx logs URLs at INFO and hangs requests on its errors. So the key is added below
the client, in the transport: the request that httpx knows, logs and puts into exceptions never had it. httpx bounds each read but not the
whole, so the request runs in an event loop of its own, which can be cancelled; the loop runs in a thread of its own, because a name
lookup can't be.
"""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from ffe.errors import PermanentSourceError, TransientSourceError
from ffe.observe.masking import masked
from ffe.settings import is_loopback

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
# Twenty years of daily bars are about 1 MB.
MOST_BYTES = 16 * 2**20
# What the thread gets on top of the deadline to put its connection away.
_GRACE = 0.5

Result = TypeVar("Result")


class Query:
    """`url` is the whole query URL (`https://www.alphavantage.co/query`). Every call has its own connection."""

    def __init__(self, url: str, api_key: SecretStr) -> None:
        self.url, self._key = url, api_key

    @property
    def key_name(self) -> str:
        """Tells one key from another without saying it: what was refused to one may be open to the next."""
        return hashlib.sha256(self._key.get_secret_value().encode()).hexdigest()[:8]

    def get(self, parameters: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """The reply's JSON object, within `seconds` in all. Numbers are Decimal; a key said twice is an error, not a lost bar.

        Raises:
            TransientSourceError: network, deadline, 429, 5xx, or not a JSON object.
            PermanentSourceError: any other status. The key is in no message and in no cause.
        """
        if seconds <= 0:
            raise TransientSourceError("alpha-vantage: no time left for a request")
        status, content = _bounded(lambda: asyncio.run(self._read(parameters, seconds)), seconds + _GRACE)
        text = self._without_key(content.decode("utf-8", "replace"))
        if status != httpx.codes.OK:
            transient = status == httpx.codes.TOO_MANY_REQUESTS or status >= 500
            kind = TransientSourceError if transient else PermanentSourceError
            raise kind(f"alpha-vantage: HTTP {status}: {masked(text)[:200]}")
        found = _object(text)
        if found is None:
            raise TransientSourceError(f"alpha-vantage: HTTP 200 without a JSON object: {masked(text)[:200]}")
        return found

    def _without_key(self, text: str) -> str:
        """The service repeats the key in its reply that the quota is spent: it goes before anything reads the reply."""
        key = self._key.get_secret_value()
        return text.replace(key, "<masked>") if key else text

    async def _read(self, parameters: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        transport = _KeyedTransport(self._key, _proxy(self.url))
        try:
            async with (
                asyncio.timeout(seconds),
                httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client,
                client.stream("GET", self.url, params={**parameters, "datatype": "json"}) as reply,
            ):
                return reply.status_code, await _body(reply)
        except TimeoutError as error:
            raise TransientSourceError(f"alpha-vantage: no whole reply within {seconds:.1f} s") from error
        except httpx.HTTPError as error:
            raise TransientSourceError(self._without_key(f"alpha-vantage: {type(error).__name__}: {error}")) from error


class _KeyedTransport(httpx.AsyncHTTPTransport):
    """Adds the key to what goes to the wire, and to nothing else."""

    def __init__(self, key: SecretStr, proxy: str | None) -> None:
        super().__init__(trust_env=False, retries=0, proxy=proxy)
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        keyed = httpx.Request(
            request.method,
            request.url.copy_merge_params({"apikey": self._key.get_secret_value()}),
            headers=request.headers,
            extensions=request.extensions,
        )
        return await super().handle_async_request(keyed)


def _proxy(url: str) -> str | None:
    """The environment's proxy for `url`, as the venues' SDKs use it; never for loopback."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


async def _body(reply: httpx.Response) -> bytes:
    content = bytearray()
    async for part in reply.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            raise TransientSourceError(f"alpha-vantage: the reply has more than {MOST_BYTES} bytes")
    return bytes(content)


def _bounded(work: Callable[[], Result], seconds: float) -> Result:
    """Runs `work` in a thread and lets go of it after `seconds`."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name="alpha-vantage", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TransientSourceError(f"alpha-vantage: the request did not end within {seconds:.1f} s")
    return results[0]


def _object(text: str) -> dict[str, Any] | None:
    try:
        reply = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise PermanentSourceError(f"alpha-vantage: {constant} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise PermanentSourceError(f"alpha-vantage: {name!r} is there twice in one reply")
        found[name] = value
    return found
