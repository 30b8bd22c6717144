"""A loopback server that answers with raw bytes, for everything that can go wrong on a wire; and the real simulator."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ffe.clock import SystemClock
from ffe.market.models import Instrument, parse_instrument
from ffe.orders.models import Side
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.models import OrderRequest, VenueOrder
from ffe.venues.oanda import OandaBroker
from ffe.venues.wire import Limits

sys.path.insert(0, str(Path(__file__).parent))

Answer = Callable[[socket.socket], None]
FAST = Limits(
    connect=0.5, read=0.3, call=1.0, total=3.0, attempts=3, backoff=0.01, backoff_cap=0.02, retry_after_cap=0.2
)


def http(status: str, body: str = "", *headers: str | int) -> Answer:
    """A whole reply; an int among the headers is the Content-Length to claim."""
    length = next((item for item in headers if isinstance(item, int)), len(body.encode()))
    headers = tuple(item for item in headers if isinstance(item, str))
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {length}", *headers, "", body]
    return lambda connection: connection.sendall("\r\n".join(lines).encode())


def silence(connection: socket.socket) -> None:
    time.sleep(0.6)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection: socket.socket) -> None:
    """Nothing is sent; the connection is closed after every answer anyway."""


def stall(connection: socket.socket) -> None:
    http("201 Created", '{"half": ', 100)(connection)
    time.sleep(0.6)


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"nothing like HTTP\r\n\r\n")


def drip(connection: socket.socket) -> None:
    """One byte every 0.1 s for 2 s: each read is in time, the whole is not."""
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Slow: "
    try:
        for index in range(20):
            connection.sendall((head + b"x" * 60)[index : index + 1])
            time.sleep(0.1)
    except OSError:
        return


NAMED = {answer.__name__: answer for answer in (silence, reset, close, stall, garbage, drip)}


@dataclass
class RawServer:
    """Serves `answers` in turn, the last one for ever; keeps what it was sent."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def script(self, *answers: str | tuple[Any, ...]) -> None:
        """Names of the faults above, or the arguments of `http`: (status line, body, *headers)."""
        self.answers = [NAMED[item] if isinstance(item, str) else http(*item) for item in answers]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            received = _request(connection)
            if received:
                self.requests.append(received)
                turn = min(len(self.requests), len(self.answers)) - 1
                self.answers[turn](connection)

    def bodies(self) -> list[Any]:
        return [json.loads(request.partition(b"\r\n\r\n")[2] or b"{}") for request in self.requests]


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture(scope="session")
def fast() -> Limits:
    return FAST


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()
    thread.join(5)


@pytest.fixture(scope="session")
def api_secret() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@dataclass
class Simulator:
    """The real simulator in a process of its own, its clock standing still."""

    info: dict[str, Any]

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        """One call of the control interface; GET for `state`."""
        door = self.info["control"]
        method = "GET" if path == "state" else "POST"
        headers = {"Authorization": f"Bearer {door['token']}"}
        answer = httpx.request(
            method, f"{door['base_url']}/{path}", json=body or None, headers=headers, trust_env=False
        )
        answer.raise_for_status()
        return dict(answer.json())

    def oanda(self) -> OandaBroker:
        door = self.info["oanda"]
        client = OandaClient(door["base_url"], door["token"], door["account_id"], FAST_READS)
        return OandaBroker(client, SystemClock())

    def coinbase(self, **changes: Any) -> CoinbaseBroker:
        door = self.info["coinbase"] | changes
        client = CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], FAST_READS)
        return CoinbaseBroker(client, SystemClock(), sleep=lambda _: None)


FAST_READS = Limits(attempts=2, backoff=0.01)
DEFAULT_SWITCHES = {
    "coinbase_fill_after_polls": 1,
    "coinbase_duplicate_error": False,
    "oanda_cancel_reason": None,
    "depth": {},
}


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("venues") / "data"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--data-dir", str(folder), "--exit-with-stdin"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        simulator = Simulator(json.loads(process.stdout.readline()))
        simulator.control("clock", rate=0)
        yield simulator
    finally:
        process.stdin.close()
        process.wait(15)
        process.stdout.close()


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """Nothing halted, all switches at their defaults."""
    simulator_process.control("resume")
    simulator_process.control("switches", **DEFAULT_SWITCHES)
    return simulator_process


@pytest.fixture
def oanda_market(simulator: Simulator) -> Iterator["Market"]:
    """Flat before and after."""
    yield from _flat(Market(simulator.oanda(), parse_instrument("EURUSD")), simulator)


@pytest.fixture
def coinbase_market(simulator: Simulator) -> Iterator["Market"]:
    """Flat before and after."""
    yield from _flat(Market(simulator.coinbase(), parse_instrument("BTCUSD")), simulator)


@pytest.fixture(params=["oanda_market", "coinbase_market"])
def market(request: pytest.FixtureRequest) -> "Market":
    """Each venue in turn."""
    place: Market = request.getfixturevalue(request.param)
    return place


def _flat(place: "Market", simulator: Simulator) -> Iterator["Market"]:
    place.flatten()
    yield place
    simulator.control("resume")
    simulator.control("switches", **DEFAULT_SWITCHES)
    place.flatten()


@dataclass
class Market:
    """A broker, an instrument and orders that suit both."""

    broker: Any
    instrument: Instrument

    @property
    def unit(self) -> Decimal:
        return Decimal(1000) if self.broker.venue == "oanda" else Decimal("0.01")

    @property
    def step(self) -> Decimal:
        """A price distance that a stop may have."""
        return Decimal("0.01") if self.broker.venue == "oanda" else Decimal(500)

    def entry(self, **changes: Any) -> OrderRequest:
        quote = self.broker.quote(self.instrument)
        values = {
            "client_order_id": str(uuid4()),
            "instrument": self.instrument.symbol,
            "side": Side.BUY,
            "units": self.unit,
            "price_bound": quote.ask + self.step / 10,
            "stop_loss": quote.bid - self.step,
            "take_profit": quote.ask + self.step,
        }
        return OrderRequest(**(values | changes))

    def exit(self, **changes: Any) -> OrderRequest:
        held = self.broker.position(self.instrument)
        values = {
            "client_order_id": str(uuid4()),
            "instrument": self.instrument.symbol,
            "side": Side.SELL if held.units > 0 else Side.BUY,
            "units": abs(held.units),
            "reduce_only": True,
            "cancel_first": held.protection,
        }
        return OrderRequest(**(values | changes))

    def submit(self, request: OrderRequest) -> VenueOrder:
        order: VenueOrder = self.broker.submit(request, self.broker.checkpoint())
        return order

    def flatten(self) -> None:
        if self.broker.position(self.instrument).units:
            self.submit(self.exit())
            assert self.broker.position(self.instrument).units == 0
