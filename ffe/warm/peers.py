"""One client's connection as the fork server sees it: bytes and descriptors in, short lines out. Nothing here blocks."""

import contextlib
import os
import socket
import time

from ffe.warm import wire

CHUNK = 64 * 1024
# A client sends its request at once; whoever has not within this time never will.
ASKING_SECONDS = 10.0


class Peer:
    """`request` is there once it has come whole, `pid` once its run exists."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        self.connection = connection
        self.request: wire.Request | None = None
        self.pid: int | None = None
        self.streams: list[int] = []
        self.deadline = time.monotonic() + ASKING_SECONDS
        self._buffer = bytearray()

    def read(self) -> bytes:
        """What came after the request: START, then signal numbers.

        Raises:
            EOFError: the client has gone.
            ValueError: it speaks something else.
        """
        self._receive()
        if self.request is None:
            self._take_request()
        if self.request is None:
            return b""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _receive(self) -> None:
        try:
            data, streams, _, _ = socket.recv_fds(self.connection, CHUNK, wire.DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionError:
            raise EOFError from None
        self.streams += streams
        if not data:
            raise EOFError
        if len(self.streams) > wire.DESCRIPTORS:
            raise ValueError(f"more than {wire.DESCRIPTORS} descriptors")
        self._buffer += data

    def _take_request(self) -> None:
        if len(self._buffer) < wire.LENGTH:
            return
        length = int.from_bytes(self._buffer[: wire.LENGTH], "big")
        if length > wire.MAX_REQUEST:
            raise ValueError(f"a request of {length} bytes, more than {wire.MAX_REQUEST}")
        end = wire.LENGTH + length
        if len(self._buffer) < end:
            return
        self.request = wire.decode(bytes(self._buffer[wire.LENGTH : end]))
        del self._buffer[:end]

    def say(self, line: str) -> None:
        """A client that is gone hears nothing; its end of file follows."""
        with contextlib.suppress(OSError):
            self.connection.send(line.encode() + b"\n")

    def close(self) -> None:
        self.connection.close()
        self.close_streams()

    def close_streams(self) -> None:
        """The run has its own copies: as long as one is open here, the reader of its output sees no end."""
        for descriptor in self.streams:
            os.close(descriptor)
        self.streams = []
