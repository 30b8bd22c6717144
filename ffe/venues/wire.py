"""One HTTP call to a venue, bounded and classified: what every SDK call of ours goes through.

- The SDKs' timeouts are per read, so a drip-fed reply outlives them. Each call runs in a thread with a deadline of its own.
- Whether an order may exist is decided here, from facts and not from exception names alone: our adapter knows whether the
  request was handed to the network at all, and which status came back.
- A caller that gave up closes the attempt: a request not yet handed to the network is then never sent, so no order can
  appear after its lookup found nothing.
- One session per call in flight: a `requests.Session` is not promised to be thread-safe. Idle ones are kept for reuse.
- Redirects are refused: a 307 would send an order twice.
"""

import queue
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

S = TypeVar("S")
T = TypeVar("T")

_BODY_LIMIT = 4000  # characters shown to people
_JITTER = secrets.SystemRandom()
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
# OpenSSL reasons that only a handshake can end with; any other TLS failure may have come after the request was sent.
_HANDSHAKE = frozenset(
    {
        "HTTP_REQUEST",
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)


@dataclass(frozen=True)
class Limits:
    """Seconds and counts that bound a call. `call` is the deadline of one attempt, `total` that of a read with its retries."""

    connect: float = 3.0
    read: float = 10.0
    call: float = 15.0
    total: float = 40.0
    attempts: int = 4
    backoff: float = 0.25
    backoff_cap: float = 4.0
    retry_after_cap: float = 10.0

    @property
    def timeout(self) -> tuple[float, float]:
        return self.connect, self.read


class DeadlineError(Exception):
    """The call was not over within its deadline."""


class AbandonedError(Exception):
    """The caller had given up before the request was handed to the network."""


@dataclass
class Attempt:
    """What is known of one call while it runs: whether it was handed to the network, and what came back."""

    request: requests.PreparedRequest | None = None
    response: requests.Response | None = None
    started: bool = False
    _abandoned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, request: requests.PreparedRequest) -> None:
        with self._lock:
            if self._abandoned:
                raise AbandonedError("the caller gave up before the request was sent")
            self.request, self.started = request, True

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True

    @property
    def status(self) -> int | None:
        return None if self.response is None else self.response.status_code


class WireAdapter(HTTPAdapter):
    """Transport that keeps the attempt's facts. `plain` sends https URLs as http, for an SDK that knows no other scheme.

    Raises:
        ValueError: `plain` for an address that is not loopback.
    """

    def __init__(self, *, plain_host: str | None = None) -> None:
        if plain_host is not None and plain_host not in {"127.0.0.1", "localhost", "::1"}:
            raise ValueError(f"plain http to {plain_host} refused: only a loopback address may be")
        super().__init__()
        self._plain_host = plain_host
        self.attempt = Attempt()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        attempt = self.attempt
        attempt.begin(request)
        if self._plain_host is not None and urlsplit(request.url or "").hostname == self._plain_host:
            request.url = (request.url or "").replace("https://", "http://", 1)
        response = super().send(request, *args, **kwargs)
        attempt.response = response
        return response


def prepare_session(session: requests.Session, adapter: WireAdapter, *, loopback: bool) -> None:
    """Mounts our transport. On loopback the environment's proxies and certificates are nobody's business."""
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.max_redirects = 0
    session.trust_env = not loopback


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one attempt ended: `error` None means `value` holds the reply."""

    attempt: Attempt
    value: T | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class _Line(Generic[S]):
    sdk: S
    adapter: WireAdapter


class Lines(Generic[S]):
    """Sessions of one venue: borrowed for one call each, made on demand, dropped when a call outlives its deadline."""

    def __init__(self, open_sdk: Callable[[WireAdapter], S], *, plain_host: str | None = None) -> None:
        self._open, self._plain_host = open_sdk, plain_host
        self._idle: queue.SimpleQueue[_Line[S]] = queue.SimpleQueue()

    def call(self, action: Callable[[S], T], seconds: float) -> Outcome[T]:
        """Runs `action` on a session of its own; never raises for what happens on the wire."""
        line = self._borrow()
        attempt = line.adapter.attempt = Attempt()
        done = threading.Event()
        results: list[Outcome[T]] = []

        def work() -> None:
            try:
                results.append(Outcome(attempt, value=action(line.sdk)))
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who classifies it
                results.append(Outcome(attempt, error=error))
            done.set()

        threading.Thread(target=work, name="venue-call", daemon=True).start()
        try:
            finished = done.wait(seconds)
        finally:
            attempt.abandon()
        if not finished:
            return Outcome(attempt, error=DeadlineError(f"no answer within {seconds:.1f} s"))
        self._idle.put(line)
        return results[0]

    def close(self) -> None:
        """Closes the idle sessions; those still in a call go with their thread."""
        while True:
            try:
                self._idle.get_nowait().adapter.close()
            except queue.Empty:
                return

    def _borrow(self) -> _Line[S]:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            adapter = WireAdapter(plain_host=self._plain_host)
            return _Line(self._open(adapter), adapter)


def certainly_not_sent(outcome: Outcome[Any]) -> bool:
    """True only when no byte of the request can have reached the venue: never handed to the network, or no connection."""
    if not outcome.attempt.started:
        return True
    return outcome.attempt.response is None and any(_no_connection(link) for link in _chain(outcome.error))


def worth_another_read(outcome: Outcome[Any]) -> bool:
    """Timeouts, broken connections, 408, 429, 5xx and unreadable replies; not the venue's own refusals."""
    status = outcome.attempt.status
    if status is not None and status >= 400:
        return status in {408, 429} or status >= 500
    return isinstance(outcome.error, requests.RequestException | DeadlineError | OSError | ValueError)


def retry_after(attempt: Attempt) -> float | None:
    """Seconds of a `Retry-After` header; None without one or when it is a date."""
    text = "" if attempt.response is None else attempt.response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def pauses(limits: Limits) -> Iterator[float]:
    """Backoff between attempts in seconds: doubling, capped, each drawn from its upper half so that workers spread out."""
    for turn in range(limits.attempts - 1):
        full = min(limits.backoff_cap, limits.backoff * 2**turn)
        yield full * (0.5 + 0.5 * _JITTER.random())


def remaining(until: float) -> float:
    """Seconds until a `monotonic` moment."""
    return until - time.monotonic()


def masked(text: str, hidden: Sequence[str]) -> str:
    """`text` without the given secrets and without any PEM block."""
    for secret in hidden:
        text = text.replace(secret, "***") if secret else text
    return _PEM.sub("***", text)


def request_text(attempt: Attempt) -> str | None:
    """Method, path and body of what was sent; headers never."""
    request = attempt.request
    if request is None:
        return None
    body = request.body.decode("utf-8", "replace") if isinstance(request.body, bytes) else request.body
    path = request.path_url
    return f"{request.method} {path}" if not body or body == "{}" else f"{request.method} {path}\n{body}"


def response_text(attempt: Attempt) -> str | None:
    """Status and body of what came back, as far as it was read; None when nothing did."""
    response = attempt.response
    if response is None:
        return None
    return f"{response.status_code} {response.reason}\n{body_text(attempt)[:_BODY_LIMIT]}".strip()


def body_text(attempt: Attempt) -> str:
    """Body as text; empty when it was not read to its end."""
    content = getattr(attempt.response, "_content", None)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything it wraps: causes, contexts, `MaxRetryError.reason` and exceptions held as arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None)]
        waiting += [item for item in link.args if isinstance(item, BaseException)]


def _no_connection(error: BaseException) -> bool:
    if isinstance(error, ssl.SSLError):
        return isinstance(error, ssl.SSLCertVerificationError) or getattr(error, "reason", None) in _HANDSHAKE
    return isinstance(error, NewConnectionError | ConnectTimeoutError | requests.ConnectTimeout)
