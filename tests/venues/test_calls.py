"""The exception table of an order on the wire, row by row, through both real SDKs."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from oandapyV20.endpoints.accounts import AccountSummary
from oandapyV20.endpoints.orders import OrderCreate

from ffe.errors import (
    AuthenticationError,
    NotSentError,
    OrderRejectedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    VenueError,
    VenueReadError,
)
from ffe.venues.clients import CoinbaseClient, OandaClient, plain_data
from ffe.venues.wire import AbandonedError, Attempt, Lines, Outcome, WireAdapter, certainly_not_sent

TOKEN = "token-0123456789abcdef"
KEY = "organizations/sim/apiKeys/one"
ORDER = {"order": {"type": "MARKET", "units": "1"}}
HTML = "<html><body>maintenance</body></html>"

Call = Callable[[], dict[str, Any]]


class Doors:
    """Both clients on one URL: `send` an order, `read` something."""

    def __init__(self, url: str, secret: str, limits: Any) -> None:
        self.oanda = OandaClient(url, TOKEN, "101-001-1", limits)
        self.coinbase = CoinbaseClient(url, KEY, secret, limits)

    def send(self, venue: str) -> dict[str, Any]:
        if venue == "oanda":
            return self.oanda.send(OrderCreate("101-001-1", data=ORDER))
        return self.coinbase.send(
            "create_order", client_order_id="c1", product_id="BTC-USD", side="BUY", order_configuration={}
        )

    def read(self, venue: str) -> dict[str, Any]:
        if venue == "oanda":
            return self.oanda.read(AccountSummary("101-001-1"))
        return self.coinbase.read("get_product", product_id="BTC-USD")


@pytest.fixture
def doors(raw_server: Any, api_secret: str, fast: Any) -> Doors:
    return Doors(raw_server.url, api_secret, fast)


@pytest.fixture(params=["oanda", "coinbase"])
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    "answer",
    [
        "silence",
        "reset",
        "close",
        "stall",
        "garbage",
        "drip",
        ("201 Created", '{"a": ', 60),
        ("201 Created", ""),
        ("201 Created", '{"orderCreateTransaction": {'),
        ("201 Created", HTML),
        ("201 Created", "[1, 2]"),
        ("500 Internal Server Error", '{"errorMessage": "oops"}'),
        ("502 Bad Gateway", HTML),
        ("503 Service Unavailable", HTML),
        ("504 Gateway Timeout", ""),
        ("408 Request Timeout", ""),
        ("307 Temporary Redirect", "", "Location: /elsewhere"),
    ],
    ids=str,
)
def test_an_order_whose_answer_was_lost_is_unknown_and_was_sent_once(
    raw_server: Any, doors: Doors, venue: str, answer: Any
) -> None:
    raw_server.script(answer)
    with pytest.raises(OutcomeUnknownError):
        doors.send(venue)
    assert len(raw_server.requests) == 1


def test_oanda_200_instead_of_201_is_unknown(raw_server: Any, doors: Doors) -> None:
    raw_server.script(("200 OK", '{"orderCreateTransaction": {"id": "7"}}'))
    with pytest.raises(OutcomeUnknownError) as caught:
        doors.send("oanda")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.response is not None
    assert '"id": "7"' in caught.value.response


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (("429 Too Many Requests", '{"errors":[{"id":"rate_limit_exceeded"}]}', "Retry-After: 7"), NotSentError),
        (("401 Unauthorized", "Unauthorized"), AuthenticationError),
        (
            ("401 Unauthorized", '{"errorMessage": "Insufficient authorization to perform request."}'),
            AuthenticationError,
        ),
        (("401 Unauthorized", '{"errorMessage": "The provided request was forbidden."}'), PermissionDeniedError),
        (("403 Forbidden", '{"error_details":"Missing required scopes"}'), PermissionDeniedError),
        (("400 Bad Request", HTML), OrderRejectedError),
        (("404 Not Found", '{"error":"unknown","error_details":"Not Found"}'), OrderRejectedError),
    ],
    ids=str,
)
def test_an_order_that_the_venue_refused_did_not_happen(
    raw_server: Any, doors: Doors, venue: str, answer: Any, kind: type[VenueError]
) -> None:
    raw_server.script(answer)
    with pytest.raises(VenueError) as caught:
        doors.send(venue)
    assert type(caught.value) is kind
    assert len(raw_server.requests) == 1


def test_a_reject_reason_is_the_venues_own_word(raw_server: Any, doors: Doors) -> None:
    body = '{"orderRejectTransaction": {"rejectReason": "UNITS_INVALID"}, "errorCode": "X", "errorMessage": "y"}'
    raw_server.script(("400 Bad Request", body))
    with pytest.raises(OrderRejectedError) as caught:
        doors.send("oanda")
    assert caught.value.reason == "UNITS_INVALID"
    assert caught.value.request is not None
    assert '"units": "1"' in caught.value.request
    assert caught.value.request.startswith("POST /v3/accounts/101-001-1/orders")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        ("400 Bad Request", '{"errorCode": "INVALID", "errorMessage": "no"}', "INVALID"),
        ("400 Bad Request", "[]", "HTTP_400"),
        ("404 Not Found", '{"error":"unknown","message":"Not Found"}', "unknown"),
    ],
)
def test_a_refusal_without_a_reject_transaction_still_names_a_reason(
    raw_server: Any, doors: Doors, status: str, body: str, reason: str
) -> None:
    raw_server.script((status, body))
    with pytest.raises(OrderRejectedError) as caught:
        doors.send("coinbase" if reason == "unknown" else "oanda")
    assert caught.value.reason == reason


def test_a_refused_connection_is_not_sent(api_secret: str, fast: Any, venue: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(NotSentError, match="refused"):
        Doors(url, api_secret, fast).send(venue)


def test_a_connect_timeout_is_not_sent(api_secret: str, fast: Any, venue: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        time.sleep(0.05)
        with pytest.raises(NotSentError):
            Doors(f"http://127.0.0.1:{address[1]}", api_secret, fast).send(venue)
        for one in waiting:
            one.close()


def test_an_unknown_host_is_not_sent(api_secret: str, fast: Any, venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotSentError, match="resolve"):
        Doors("https://nowhere.invalid", api_secret, fast).send(venue)


def test_plain_http_where_tls_was_expected_is_not_sent(api_secret: str, fast: Any, venue: str) -> None:
    plain = _answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with plain as port, pytest.raises(NotSentError, match="SSL"):
        Doors(f"https://127.0.0.1:{port}", api_secret, fast).send(venue)


@contextmanager
def _answering(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that hands each connection to `handle` at once."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                handle(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def strange_tls(tmp_path: Path) -> Iterator[str]:
    """A TLS server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    pem += key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with _answering(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        yield f"https://127.0.0.1:{port}"


def test_a_certificate_that_nobody_vouches_for_is_not_sent(
    strange_tls: str, api_secret: str, fast: Any, venue: str
) -> None:
    with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
        Doors(strange_tls, api_secret, fast).send(venue)


def test_tls_that_breaks_after_the_handshake_is_not_taken_for_unsent() -> None:
    attempt = Attempt(started=True)
    assert not certainly_not_sent(Outcome(attempt, error=ssl.SSLEOFError(8, "unexpected eof")))


def test_a_dripping_answer_ends_at_the_deadline(raw_server: Any, doors: Doors, venue: str) -> None:
    raw_server.script("drip")
    doors.oanda._open(WireAdapter())
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError, match="no answer within"):
        doors.send(venue)
    assert time.monotonic() - began < 1.6


def test_a_request_not_yet_sent_when_the_caller_gives_up_is_never_sent() -> None:
    late = threading.Event()
    ended = threading.Event()
    seen: list[BaseException] = []

    def slow(adapter: WireAdapter) -> None:
        attempt = adapter.attempt
        late.wait(5)
        try:
            attempt.begin(requests_prepared())
        except AbandonedError as error:
            seen.append(error)
        ended.set()

    outcome = Lines(lambda adapter: adapter).call(slow, 0.05)
    assert certainly_not_sent(outcome)
    late.set()
    assert ended.wait(5)
    assert len(seen) == 1
    assert not outcome.attempt.started


def requests_prepared() -> Any:
    import requests

    return requests.Request("POST", "http://127.0.0.1/").prepare()


@pytest.mark.parametrize(
    "trouble",
    [
        "silence",
        "reset",
        "close",
        "stall",
        "garbage",
        ("200 OK", ""),
        ("503 Service Unavailable", HTML),
        ("429 Too Many Requests", "{}", "Retry-After: 0.1"),
        ("429 Too Many Requests", "{}", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
    ids=str,
)
def test_a_read_is_asked_again_after_trouble(raw_server: Any, doors: Doors, venue: str, trouble: Any) -> None:
    raw_server.script(trouble, ("200 OK", '{"product_id": "BTC-USD", "account": {}}'))
    assert doors.read(venue)
    assert len(raw_server.requests) == 2


def test_a_reply_that_is_no_object_is_an_error(raw_server: Any, doors: Doors) -> None:
    raw_server.script(("200 OK", "[]"))
    with pytest.raises(VenueReadError, match="list, not an object"):
        doors.read("oanda")


def test_a_read_gives_up_after_its_attempts_and_says_how_many(raw_server: Any, doors: Doors, venue: str) -> None:
    raw_server.script(("503 Service Unavailable", HTML))
    with pytest.raises(VenueReadError, match=r"503 .*after 3 attempts") as caught:
        doors.read(venue)
    assert caught.value.transient
    assert len(raw_server.requests) == 3


def test_retry_after_is_honoured_up_to_its_cap(raw_server: Any, doors: Doors, venue: str) -> None:
    raw_server.script(("429 Too Many Requests", "{}", "Retry-After: 60"), ("200 OK", '{"ok": "1", "account": {}}'))
    doors.read("oanda") if venue == "oanda" else doors.coinbase.read("get_unix_time")
    began = time.monotonic()
    raw_server.requests.clear()
    doors.read("oanda") if venue == "oanda" else doors.coinbase.read("get_unix_time")
    assert 0.19 <= time.monotonic() - began < 2


def test_a_read_has_a_total_deadline(raw_server: Any, api_secret: str, fast: Any, venue: str) -> None:
    limits = type(fast)(connect=0.5, read=0.3, call=0.4, total=0.6, attempts=50, backoff=0.01)
    doors = Doors(raw_server.url, api_secret, limits)
    raw_server.script("silence")
    began = time.monotonic()
    with pytest.raises(VenueReadError):
        doors.read(venue)
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found"])
def test_a_read_that_the_venue_refused_is_not_repeated(raw_server: Any, doors: Doors, venue: str, status: str) -> None:
    raw_server.script((status, '{"errorMessage": "Invalid value specified"}'))
    with pytest.raises(VenueReadError) as caught:
        doors.read(venue)
    assert not caught.value.transient
    assert len(raw_server.requests) == 1


def test_a_forbidden_read_is_not_repeated(raw_server: Any, doors: Doors, venue: str) -> None:
    raw_server.script(("403 Forbidden", "{}"))
    with pytest.raises(PermissionDeniedError):
        doors.read(venue)
    assert len(raw_server.requests) == 1


def test_coinbase_repeats_a_read_once_on_401_and_oanda_does_not(raw_server: Any, doors: Doors, venue: str) -> None:
    raw_server.script(("401 Unauthorized", "Unauthorized"))
    with pytest.raises(AuthenticationError):
        doors.read(venue)
    assert len(raw_server.requests) == (2 if venue == "coinbase" else 1)


def test_no_secret_is_in_an_error(raw_server: Any, doors: Doors, api_secret: str, venue: str) -> None:
    echo = TOKEN if venue == "oanda" else f"{KEY} -----BEGIN EC PRIVATE KEY-----abc-----END EC PRIVATE KEY-----"
    raw_server.script(("400 Bad Request", f'{{"errorMessage": "you sent {echo}"}}'))
    with pytest.raises(OrderRejectedError) as caught:
        doors.send(venue)
    error = caught.value
    shown = f"{error} {error.request} {error.response} {error.__cause__}"
    assert "Bearer" not in shown
    assert TOKEN not in shown
    assert KEY not in shown
    assert "PRIVATE KEY" not in shown
    assert api_secret not in shown


@pytest.mark.parametrize("token", ["", "  \n", "two\nlines", "caf\u00e9"])
def test_a_token_that_no_header_can_carry_is_an_authentication_error(token: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        OandaClient("http://127.0.0.1:1", token, "1")
    assert token not in str(caught.value) or not token.strip()


def test_surrounding_white_space_of_secrets_is_dropped(raw_server: Any, api_secret: str, fast: Any) -> None:
    raw_server.script(("200 OK", '{"account": {}}'))
    OandaClient(raw_server.url, f" {TOKEN}\n", " 101-001-1 ", fast).read(AccountSummary("101-001-1"))
    assert f"Bearer {TOKEN}\r\n".encode() in raw_server.requests[0]


def test_a_secret_with_literal_line_ends_signs(raw_server: Any, api_secret: str, fast: Any) -> None:
    raw_server.script(("200 OK", '{"product_id": "BTC-USD"}'))
    client = CoinbaseClient(raw_server.url, KEY, api_secret.replace("\n", "\\n"), fast)
    assert client.read("get_product", product_id="BTC-USD") == {"product_id": "BTC-USD"}
    assert b"Authorization: Bearer ey" in raw_server.requests[0]


def test_a_secret_that_is_no_key_is_an_authentication_error(raw_server: Any, fast: Any) -> None:
    client = CoinbaseClient(raw_server.url, KEY, "not a key", fast)
    with pytest.raises(AuthenticationError) as caught:
        client.read("get_product", product_id="BTC-USD")
    assert "not a key" not in str(caught.value)
    assert raw_server.requests == []


def test_an_empty_client_order_id_is_refused_before_the_wire(raw_server: Any, doors: Doors) -> None:
    with pytest.raises(NotSentError, match="client_order_id"):
        doors.coinbase.send(
            "create_order", client_order_id="", product_id="BTC-USD", side="BUY", order_configuration={}
        )
    assert raw_server.requests == []


def test_a_call_that_the_sdk_does_not_have_is_an_error_of_ours(raw_server: Any, doors: Doors) -> None:
    with pytest.raises(VenueReadError, match="AttributeError") as caught:
        doors.coinbase.read("no_such_method")
    assert not caught.value.transient
    with pytest.raises(NotSentError, match="AttributeError"):
        doors.coinbase.send("no_such_method")


def test_plain_http_is_refused_beyond_loopback(api_secret: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        WireAdapter(plain_host="example.com")
    with pytest.raises(ValueError, match="loopback"):
        CoinbaseClient("http://example.com", KEY, api_secret).read("get_unix_time")


def test_coinbase_keeps_its_path_prefix(raw_server: Any, api_secret: str, fast: Any) -> None:
    raw_server.script(("200 OK", '{"product_id": "BTC-USD"}'))
    CoinbaseClient(raw_server.url + "/coinbase/", KEY, api_secret, fast).read("get_product", product_id="BTC-USD")
    assert raw_server.requests[0].startswith(b"GET /coinbase/api/v3/brokerage/products/BTC-USD?")


def test_oanda_asks_for_rfc3339_times(raw_server: Any, doors: Doors) -> None:
    raw_server.script(("200 OK", '{"account": {}}'))
    doors.read("oanda")
    assert b"Accept-Datetime-Format: RFC3339" in raw_server.requests[0]


def test_replies_are_plain_all_the_way_down(raw_server: Any, doors: Doors) -> None:
    book = '{"pricebooks": [{"product_id": "BTC-USD", "bids": [{"price": "1", "size": "2"}], "asks": []}]}'
    raw_server.script(("200 OK", book))
    answer = doors.coinbase.read("get_best_bid_ask", product_ids=["BTC-USD"])
    assert answer == {"pricebooks": [{"product_id": "BTC-USD", "bids": [{"price": "1", "size": "2"}], "asks": []}]}
    assert type(answer["pricebooks"][0]["bids"][0]) is dict
    assert plain_data(({"a": (1, None)},)) == [{"a": [1, None]}]


def test_the_sdks_print_nothing(
    raw_server: Any, doors: Doors, venue: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    raw_server.script(("404 Not Found", '{"errorMessage": "secret balance"}'))
    with caplog.at_level(logging.DEBUG), pytest.raises(VenueReadError):
        doors.read(venue)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    assert "secret balance" not in caplog.text


def test_calls_at_the_same_time_use_sessions_of_their_own(raw_server: Any, doors: Doors) -> None:
    raw_server.script(("200 OK", '{"account": {}}'))
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(doors.read("oanda"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [{"account": {}}] * 6
