"""What a raw socket sees of each wire fault; and a relay that is otherwise not there."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from simulator.faults_exchange import Wire
from simulator.relay import Relay

PATH = "/coinbase/api/v3/brokerage/time"
ORDER = {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "100", "timeInForce": "FOK"}}
GET = f"GET {PATH} HTTP/1.1\r\nHost: sim\r\n\r\n".encode()


def port(server: Any) -> int:
    return int(httpx.URL(server.line["control"]["base_url"]).port or 0)


def set_faults(server: Any, *faults: dict[str, Any]) -> None:
    server.control("faults", faults=[{"route": "coinbase.time", **fault} for fault in faults])


@pytest.fixture
def server(simulator_server: Any) -> Iterator[Any]:
    """The real process, without faults before and after."""
    set_faults(simulator_server)
    yield simulator_server
    set_faults(simulator_server)


@contextlib.contextmanager
def connection(server: Any, timeout: float = 5.0) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port(server)), timeout=timeout) as client:
        yield client


def read_all(client: socket.socket) -> bytes:
    """Until the other side closes."""
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


def ask(server: Any) -> bytes:
    with connection(server) as client:
        client.sendall(GET)
        return read_all(client)


def parts(reply: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return status, headers, body


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reset_is_a_reset(server: Any, when: str) -> None:
    set_faults(server, {"kind": "reset", "when": when})
    with connection(server) as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_close_is_an_orderly_end_without_a_byte(server: Any, when: str) -> None:
    set_faults(server, {"kind": "close", "when": when})
    assert ask(server) == b""


def test_a_bad_status_line_is_no_http(server: Any) -> None:
    set_faults(server, {"kind": "bad_status_line"})
    assert ask(server) == b"nothing like HTTP\r\n\r\n"


def test_a_truncated_reply_promises_more_than_it_sends(server: Any) -> None:
    set_faults(server, {"kind": "truncated"})
    status, headers, body = parts(ask(server))
    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"] == "application/json"
    assert len(body) == int(headers["content-length"]) // 2 > 0


def test_a_stalled_reply_stops_in_the_middle_and_the_connection_stays(server: Any) -> None:
    set_faults(server, {"kind": "stall", "seconds": 0.4})
    started = time.monotonic()
    _, headers, body = parts(ask(server))
    assert 0.4 <= time.monotonic() - started < 3
    assert len(body) == int(headers["content-length"]) // 2


def test_a_lost_reply_is_silence_and_then_an_end(server: Any) -> None:
    set_faults(server, {"kind": "lost_reply", "seconds": 0.3})
    started = time.monotonic()
    assert ask(server) == b""
    assert 0.3 <= time.monotonic() - started < 3


@pytest.mark.parametrize("speed", [400, 4])
def test_a_drip_arrives_at_its_speed(server: Any, speed: int) -> None:
    set_faults(server, {"kind": "drip", "bytes_per_second": speed})
    started = time.monotonic()
    with connection(server) as client:
        client.sendall(GET)
        first = [client.recv(65536) for _ in range(3)]
    assert b"".join(first) == b"HTTP/1.1 200 OK"[: len(b"".join(first))] or len(b"".join(first)) > 15
    assert all(len(piece) <= max(1, speed // 10) * 2 for piece in first)
    assert time.monotonic() - started >= 1.5 / min(speed, 10)


def test_a_whole_drip_is_the_whole_reply(server: Any) -> None:
    set_faults(server, {"kind": "drip", "bytes_per_second": 1500})
    status, headers, body = parts(ask(server))
    assert status == "HTTP/1.1 200 OK"
    assert int(headers["content-length"]) == len(body)
    assert set(json.loads(body)) == {"iso", "epochSeconds", "epochMillis"}


def test_a_slow_header_is_followed_by_the_body_at_once(server: Any) -> None:
    set_faults(server, {"kind": "slow_header", "bytes_per_second": 1000})
    started = time.monotonic()
    _, headers, body = parts(ask(server))
    assert time.monotonic() - started > 0.1
    assert int(headers["content-length"]) == len(body)


def test_nothing_of_the_simulators_own_is_in_a_broken_reply(server: Any) -> None:
    right = httpx.get(f"http://127.0.0.1:{port(server)}{PATH}", trust_env=False)
    set_faults(server, {"kind": "truncated"})
    _, headers, _ = parts(ask(server))
    assert set(headers) - {"connection"} <= set(right.headers)


@pytest.mark.parametrize(("when", "orders"), [("before", 0), ("after", 1)])
def test_an_order_whose_reply_is_reset_was_taken_or_not(server: Any, when: str, orders: int) -> None:
    venue = server.line["oanda"]
    url = f"{venue['base_url']}/v3/accounts/{venue['account_id']}"
    with httpx.Client(headers={"Authorization": f"Bearer {venue['token']}"}, trust_env=False) as client:
        before = len(client.get(f"{url}/openTrades").json()["trades"])
        server.control("faults", faults=[{"kind": "reset", "route": "oanda.orders.create", "when": when}])
        with pytest.raises(httpx.ReadError):
            client.post(f"{url}/orders", json=ORDER)
        assert len(client.get(f"{url}/openTrades").json()["trades"]) == before + orders


def test_a_client_that_leaves_before_a_delay_ends_still_gets_its_order(server: Any) -> None:
    venue = server.line["oanda"]
    url = f"{venue['base_url']}/v3/accounts/{venue['account_id']}"
    with httpx.Client(headers={"Authorization": f"Bearer {venue['token']}"}, trust_env=False) as client:
        before = len(client.get(f"{url}/openTrades").json()["trades"])
        server.control("faults", faults=[{"kind": "delay", "seconds": 0.4, "route": "oanda.orders.create"}])
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{url}/orders", json=ORDER, timeout=0.1)
        assert len(client.get(f"{url}/openTrades").json()["trades"]) == before
        time.sleep(0.6)
        assert len(client.get(f"{url}/openTrades").json()["trades"]) == before + 1


def test_many_requests_share_one_connection(server: Any) -> None:
    with connection(server) as client:
        for _ in range(3):
            client.sendall(GET)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_fault_breaks_its_own_connection_and_no_other(server: Any) -> None:
    with connection(server) as first, connection(server) as second:
        first.sendall(GET)
        assert first.recv(65536)
        set_faults(server, {"kind": "close"})
        second.sendall(GET)
        assert second.recv(65536) == b""
        first.sendall(GET)
        assert first.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_half_sent_request_that_is_given_up_does_no_harm(server: Any) -> None:
    with connection(server) as client:
        client.sendall(GET[:20])
    assert httpx.get(f"http://127.0.0.1:{port(server)}{PATH}", trust_env=False).status_code == 200


class Echo(asyncio.Protocol):
    """Sends everything back, or hangs up when told `bye`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)
        if data.endswith(b"bye"):
            self.transport.close()


@pytest.fixture
def relayed() -> Callable[..., Any]:
    """`relayed(act)` runs `await act(relay, outer_port, inner_port)` with an echo server behind a relay."""

    async def session(act: Callable[..., Any]) -> Any:
        loop, relay = asyncio.get_running_loop(), Relay()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        inner = server.sockets[0].getsockname()[1]
        listener = socket.create_server(("127.0.0.1", 0))
        await relay.start(listener, inner)
        try:
            return await act(relay, listener.getsockname()[1], inner)
        finally:
            relay.close()
            server.close()
            await server.wait_closed()

    return lambda act: asyncio.run(session(act))


def test_megabytes_pass_both_ways_though_neither_side_reads_for_a_while(relayed: Callable[..., Any]) -> None:
    sent = bytes(range(256)) * 40_000

    async def act(_relay: Relay, outer: int, _inner: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer, limit=2**16)
        writer.write(sent)
        await asyncio.sleep(0.2)
        received = await reader.readexactly(len(sent))
        writer.close()
        await writer.wait_closed()
        return received

    assert relayed(act) == sent


def test_a_server_that_reads_late_gets_every_byte() -> None:
    sent = bytes(range(256)) * 40_000

    async def act() -> bytes:
        loop, relay = asyncio.get_running_loop(), Relay()
        slow, outer = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        slow.settimeout(0)
        await relay.start(outer, slow.getsockname()[1])
        _, writer = await asyncio.open_connection("127.0.0.1", outer.getsockname()[1])
        writer.write(sent)
        taken, _ = await loop.sock_accept(slow)
        await asyncio.sleep(0.2)
        received = b""
        while len(received) < len(sent):
            received += await loop.sock_recv(taken, 1 << 20)
        writer.close()
        for end in (taken, slow):
            end.close()
        relay.close()
        return received

    assert asyncio.run(act()) == sent


def test_a_server_that_hangs_up_ends_the_client_after_its_last_byte(relayed: Callable[..., Any]) -> None:
    async def act(_relay: Relay, outer: int, _inner: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer)
        writer.write(b"good bye")
        received = await reader.read()
        writer.close()
        return received

    assert relayed(act) == b"good bye"


def test_a_client_is_turned_away_when_no_server_listens() -> None:
    async def act() -> bytes:
        relay = Relay()
        with socket.create_server(("127.0.0.1", 0)) as spare:
            nobody = spare.getsockname()[1]
        listener = socket.create_server(("127.0.0.1", 0))
        await relay.start(listener, nobody)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
            relay.close()

    assert asyncio.run(act()) == b""


def test_what_a_broken_connection_still_sends_or_gets_goes_nowhere(relayed: Callable[..., Any]) -> None:
    async def act(relay: Relay, outer: int, _inner: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        (inner_port,) = relay.inner_ports()
        relay.carry(inner_port, Wire("stall", {"seconds": 0.2}), b"head", b"body")
        writer.write(b"good bye")
        received = await reader.read()
        writer.close()
        return received

    assert relayed(act) == b"headbo"


STYLES = [
    (Wire("reset", {}), None),
    (Wire("close", {}), b""),
    (Wire("lost_reply", {"seconds": 0.05}), b""),
    (Wire("bad_status_line", {}), b"nothing like HTTP\r\n\r\n"),
    (Wire("drip", {"bytes_per_second": 200.0}), b"headbody"),
    (Wire("slow_header", {"bytes_per_second": 200.0}), b"headbody"),
    (Wire("truncated", {}), b"headbo"),
    (Wire("stall", {"seconds": 0.05}), b"headbo"),
]


@pytest.mark.parametrize(("wire", "seen"), STYLES, ids=lambda item: getattr(item, "style", ""))
def test_each_style_lets_through_what_it_says(relayed: Callable[..., Any], wire: Wire, seen: bytes | None) -> None:
    async def act(relay: Relay, outer: int, _inner: int) -> bytes | None:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer)
        writer.write(b"hello")
        await reader.readexactly(5)
        relay.carry(relay.inner_ports()[0], wire, b"head", b"body")
        try:
            return await reader.read()
        except ConnectionResetError:
            return None
        finally:
            writer.close()

    assert relayed(act) == seen


def test_a_client_that_leaves_in_the_middle_of_a_drip_ends_it(relayed: Callable[..., Any]) -> None:
    async def act(relay: Relay, outer: int, _inner: int) -> tuple[int, ...]:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer)
        writer.write(b"hello")
        await reader.readexactly(5)
        relay.carry(relay.inner_ports()[0], Wire("drip", {"bytes_per_second": 100.0}), b"head" * 1000, b"")
        await reader.readexactly(3)
        writer.close()
        await asyncio.sleep(0.3)
        return relay.inner_ports()

    assert relayed(act) == ()


def test_a_relay_that_closes_ends_the_connections_that_are_open(relayed: Callable[..., Any]) -> None:
    async def act(relay: Relay, outer: int, _inner: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer)
        writer.write(b"hello")
        await reader.readexactly(5)
        relay.close()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    assert relayed(act) == b""


def test_a_reply_for_a_client_that_left_is_dropped(relayed: Callable[..., Any]) -> None:
    async def act(relay: Relay, _outer: int, inner: int) -> None:
        relay.carry(inner, Wire("reset", {}), b"", b"")
        assert relay.inner_ports() == ()

    relayed(act)


def test_closing_a_relay_that_never_started_is_nothing() -> None:
    relay = Relay()
    relay.close()
    assert relay.inner_ports() == ()


def test_the_process_ends_at_once_while_a_reply_drips(serve: Any, tmp_path: Any) -> None:
    server = serve(tmp_path)
    set_faults(server, {"kind": "drip", "bytes_per_second": 1})
    with connection(server) as client:
        client.sendall(GET)
        assert client.recv(1) == b"H"
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def test_a_reset_client_does_not_disturb_the_relay(server: Any) -> None:
    linger = struct.pack("ii", 1, 0)
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", port(server)), timeout=5)
        client.sendall(GET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.close()
    assert ask_in_threads(server, 8) == [200] * 8


def ask_in_threads(server: Any, number: int) -> list[int]:
    statuses: list[int] = []

    def one() -> None:
        statuses.append(httpx.get(f"http://127.0.0.1:{port(server)}{PATH}", trust_env=False).status_code)

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return statuses
