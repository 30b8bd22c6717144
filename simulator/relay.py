"""The TCP relay before the server: passes bytes through untouched, and breaks the connection where a fault says how.

An ASGI server always ends a reply properly, so resets, cut bodies and slow bytes are made here. Both sides live in one process: the
server names a connection by its inner port, and hands over the reply that must not arrive whole. Such a connection is closed afterwards.
"""

import asyncio
import socket
import struct
from typing import cast

from simulator.faults_exchange import Options, Wire

GARBAGE = b"nothing like HTTP\r\n\r\n"
PIECES_PER_SECOND = 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay:
    """`start` it with a bound listener and the port of the server; `close` ends every connection."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._server: asyncio.Server | None = None
        self._all: set[Link] = set()

    async def start(self, listener: socket.socket, port: int) -> None:
        """Listens. Every connection gets one of its own to 127.0.0.1:`port`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self, port), sock=listener)

    def close(self) -> None:
        """No new connections, and an end to those that are open."""
        if self._server is not None:
            self._server.close()
        for link in list(self._all):
            link.end()

    def carry(self, inner_port: int, wire: Wire, head: bytes, body: bytes) -> None:
        """Breaks the reply of this connection. Nothing happens when the client has left meanwhile."""
        link = self._links.get(inner_port)
        if link is not None:
            link.carry(wire, head, body)

    def inner_ports(self) -> tuple[int, ...]:
        """Of the connections that are open now."""
        return tuple(self._links)

    def joined(self, link: "Link", inner_port: int) -> None:
        self._links[inner_port] = link

    def opened(self, link: "Link") -> None:
        self._all.add(link)

    def closed(self, link: "Link", inner_port: int | None) -> None:
        self._all.discard(link)
        if inner_port is not None:
            self._links.pop(inner_port, None)


class Link(asyncio.Protocol):
    """One client and its connection to the server. Nothing is read from the client before that stands."""

    _client: asyncio.Transport
    _server: asyncio.Transport
    _task: asyncio.Task[None]

    def __init__(self, relay: Relay, port: int) -> None:
        self._relay, self._port = relay, port
        self._inner_port: int | None = None
        self._carried = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)
        self._client.pause_reading()
        self._relay.opened(self)
        self._task = asyncio.create_task(self._join())

    async def _join(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._server, _ = await loop.create_connection(lambda: Inner(self), "127.0.0.1", self._port)
        except OSError:
            self.end()
            return
        self._inner_port = self._server.get_extra_info("sockname")[1]
        self._relay.joined(self, self._inner_port)
        self._client.resume_reading()

    def data_received(self, data: bytes) -> None:
        if not self._carried:
            self._server.write(data)

    def pause_writing(self) -> None:
        self._server.pause_reading()

    def resume_writing(self) -> None:
        self._server.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._task.cancel()
        if self._inner_port is not None:
            self._server.close()
        self._relay.closed(self, self._inner_port)

    def pass_back(self, data: bytes) -> None:
        if not self._carried:
            self._client.write(data)

    def server_left(self) -> None:
        if not self._carried:
            self._client.close()

    def pause_client(self) -> None:
        self._client.pause_reading()

    def resume_client(self) -> None:
        self._client.resume_reading()

    def end(self) -> None:
        self._client.abort()

    def carry(self, wire: Wire, head: bytes, body: bytes) -> None:
        """From here on the client sees only what the fault lets through."""
        self._carried = True
        self._task = asyncio.create_task(self._break(wire, head, body))

    async def _break(self, wire: Wire, head: bytes, body: bytes) -> None:
        match wire.style:
            case "reset":
                self._reset()
            case "lost_reply":
                await asyncio.sleep(wire.options["seconds"])
            case "bad_status_line":
                self._client.write(GARBAGE)
            case "drip":
                await self._drip(head + body, wire.options)
            case "slow_header":
                await self._drip(head, wire.options)
                self._client.write(body)
            case "truncated":
                self._client.write(head + body[: len(body) // 2])
            case "stall":
                self._client.write(head + body[: len(body) // 2])
                await asyncio.sleep(wire.options["seconds"])
        self._client.close()

    def _reset(self) -> None:
        """Lingering for no time makes the kernel answer with RST instead of FIN."""
        self._client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._client.abort()

    async def _drip(self, raw: bytes, options: Options) -> None:
        speed: float = options["bytes_per_second"]
        size = max(1, int(speed / PIECES_PER_SECOND))
        for start in range(0, len(raw), size):
            self._client.write(raw[start : start + size])
            await asyncio.sleep(size / speed)


class Inner(asyncio.Protocol):
    """The server's side of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.pass_back(data)

    def pause_writing(self) -> None:
        self._link.pause_client()

    def resume_writing(self) -> None:
        self._link.resume_client()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._link.server_left()
