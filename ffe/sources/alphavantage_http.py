"""One GET of Alpha Vantage's one URL, over httpx, within a total deadline, with a key that nobody gets to see.

The service wants its key in the query, and httpx logs URLs at INFO and hangs requests on its errors. So the key is added below
the client, in the transport: the request that httpx knows, logs and puts into exceptions never had it. httpx bounds each read but not the
whole, so the request runs in an event loop of its own, which can be cancelled; the loop runs in a thread of its own, because a name
lookup can't be. A reply repeats the key, or spells it in another way: it goes from the text, and again from every text that JSON made of it.
What a transport error says is kept without the error, which may quote the request. No encoding is accepted, so that the bytes which are
counted are the bytes which are held.
"""

import asyncio
import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from ffe.errors import PermanentSourceError, TransientSourceError
from ffe.observe.masking import masked
from ffe.observe.usage import METER
from ffe.settings import is_loopback

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
# Twenty years of daily bars are about 1 MB.
MOST_BYTES = 16 * 2**20
_MOST_SAID = 16_384
# What the thread gets on top of the deadline to put its connection away.
_GRACE = 0.5
_THREAD = "alpha-vantage"
_PLAIN, _MASKED = "identity", "<masked>"

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
            PermanentSourceError: any other status, an encoded body: asking again would cost a request and give the same. The key is in no message and in no cause.
        """
        if seconds <= 0:
            raise TransientSourceError("alpha-vantage: no time left for a request")
        with METER.timed("alpha-vantage"):
            reply = _bounded(lambda: asyncio.run(self._read(parameters, seconds)), seconds + _GRACE)
            if isinstance(reply, str):
                raise TransientSourceError(self._without_key(f"alpha-vantage: {reply}"))
            return self._understood(*reply)

    def _understood(self, status: int, encoding: str, content: bytes) -> dict[str, Any]:
        plain = encoding.strip().lower() in {"", _PLAIN}
        text = content.decode("utf-8", "replace") if plain else ""
        if status != httpx.codes.OK:
            transient = status == httpx.codes.TOO_MANY_REQUESTS or status >= 500
            kind = TransientSourceError if transient else PermanentSourceError
            raise kind(f"alpha-vantage: HTTP {status}: {self._said(text)}")
        if not plain:
            raise PermanentSourceError(f"alpha-vantage: a reply encoded as {self._said(encoding)!r:.60}, unasked")
        found = _object(self._without_plain_key(text), self._without_key)
        if found is None:
            raise TransientSourceError(f"alpha-vantage: HTTP 200 without a JSON object: {self._said(text)}")
        return found

    def _said(self, text: str) -> str:
        """The beginning of `text` for a message. Masking a whole hostile reply would take long after the deadline."""
        return masked(self._without_key(text[:_MOST_SAID]))[:200]

    def _without_plain_key(self, text: str) -> str:
        """For JSON that is not parsed yet: a key that is a number would be no text afterwards."""
        key = self._key.get_secret_value()
        return text.replace(key, _MASKED) if key else text

    def _without_key(self, text: str) -> str:
        """Takes the key out however its letters are spelt: as they are, or escaped as JSON, Python or a URL does it."""
        text = self._without_plain_key(text)
        escaped = "\\" in text or "%" in text
        key = self._key.get_secret_value()
        return _spellings(key).sub(_MASKED, text) if key and escaped else text

    async def _read(self, parameters: Mapping[str, str], seconds: float) -> tuple[int, str, bytes] | str:
        """Status, content encoding and raw body; or what went wrong on the wire, as text with the key still in it.

        It is told and not raised, because an exception raised here would hold the wire's own as its context.
        """
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        transport = _KeyedTransport(self._key, _proxy(self.url))
        try:
            async with (
                asyncio.timeout(seconds),
                httpx.AsyncClient(
                    transport=transport, timeout=timeout, trust_env=False, headers={"Accept-Encoding": _PLAIN}
                ) as client,
                client.stream("GET", self.url, params={**parameters, "datatype": "json"}) as reply,
            ):
                return reply.status_code, reply.headers.get("Content-Encoding", _PLAIN), await _body(reply)
        except TimeoutError:
            return f"no whole reply within {seconds:.1f} s"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"


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
        response = await super().handle_async_request(keyed)
        # The service's own words for a status, which httpx would log.
        response.extensions.pop("reason_phrase", None)
        return response


def _not_of_this_service(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


# httpcore logs the headers of every reply at DEBUG, and a reply may repeat the key there.
logging.getLogger("httpcore.http11").addFilter(_not_of_this_service)


def _proxy(url: str) -> str | None:
    """The environment's proxy for `url`, as the venues' SDKs use it; never for loopback."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


async def _body(reply: httpx.Response) -> bytes:
    content = bytearray()
    async for part in reply.aiter_raw():
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

    thread = threading.Thread(target=run, name=_THREAD, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TransientSourceError(f"alpha-vantage: the request did not end within {seconds:.1f} s")
    return results[0]


@lru_cache(maxsize=4)
def _spellings(key: str) -> re.Pattern[str]:
    """Each letter as it is, or as \\uXXXX, \\xXX or %XX of it."""
    letters = []
    for letter in key:
        code = ord(letter)
        escaped = "".join(f"%{byte:02x}" for byte in letter.encode())
        letters.append(f"(?:{re.escape(letter)}|(?i:{escaped}|\\\\{{1,2}}(?:u{code:04x}|x{code:02x})))")
    return re.compile("".join(letters))


def _object(text: str, without_key: Callable[[str], str]) -> dict[str, Any] | None:
    """None for what is no JSON object, or one that is nested too deep or has a number too long to be held."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        return _unique([(without_key(name), _each_text(value, without_key)) for name, value in found])

    try:
        reply = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=pairs)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """`value` with its texts changed, in lists too; an object within was changed when it was read."""
    if isinstance(value, str):
        return change(value)
    return [_each_text(each, change) for each in value] if isinstance(value, list) else value


def _refuse(constant: str) -> NoReturn:
    raise PermanentSourceError(f"alpha-vantage: {constant} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise PermanentSourceError(f"alpha-vantage: {name!r} is there twice in one reply")
        found[name] = value
    return found
