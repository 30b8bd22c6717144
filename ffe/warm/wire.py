"""What client and fork server say to each other over a Unix stream socket.

client: a request (8 bytes length, then fields ended by NUL)
server: `ready` or `no REASON`
client: START with three descriptors, standard input, output and error. Nothing runs before it: a client that has waited too long
goes away and starts its run itself, never twice. The descriptors come no sooner, because a server that is stopped would keep them
open, and the reader of a run's output would see no end of it
server: `pid N` (or `no REASON`), and when the run has ended `exit STATUS`, a status as of waitpid
client, meanwhile: one byte for each signal that it was sent

Fields are bytes as the operating system has them, so nothing is lost to an encoding. No typing, dataclasses or json: the client
imports this.
"""

import os
import signal
import socket
import sys

START = b"\0"
LENGTH = 8
# Environment and arguments of a process are at most 2 MiB together on Linux with the usual stack limit.
MAX_REQUEST = 8 * 1024 * 1024
DESCRIPTORS = 3
DIGITS = 10


class Request:
    """`python -m module arguments` in `folder` with `environment`; `interpreter` is what has to be the same on both sides."""

    def __init__(
        self, interpreter: str, module: str, folder: bytes, arguments: list[str], environment: dict[bytes, bytes]
    ) -> None:
        self.interpreter, self.module, self.folder = interpreter, module, folder
        self.arguments, self.environment = arguments, environment


def interpreter(environment: dict[bytes, bytes]) -> str:
    """Version, installation, flags and PYTHON* variables: these act at an interpreter's start, so a fork can't take them over."""
    variables = sorted(item for item in environment.items() if item[0].startswith(b"PYTHON"))
    return repr((sys.version, sys.prefix, sys.flags, variables))


def encode(request: Request) -> bytes:
    fields = [
        os.fsencode(request.interpreter),
        os.fsencode(request.module),
        request.folder,
        str(len(request.arguments)).encode(),
        *(os.fsencode(argument) for argument in request.arguments),
        *(name + b"=" + value for name, value in request.environment.items()),
    ]
    body = b"\0".join(fields)
    return len(body).to_bytes(LENGTH, "big") + body


def decode(body: bytes) -> Request:
    """Raises ValueError for anything that `encode` does not make."""
    known, module, folder, count, *rest = body.split(b"\0")
    number = int(count)
    if not 0 <= number <= len(rest):
        raise ValueError(f"{number} arguments in {len(rest)} fields")
    pairs = [field.partition(b"=") for field in rest[number:]]
    if not module or not all(name and sign for name, sign, _ in pairs):
        raise ValueError("no module, or a variable without a name")
    return Request(
        os.fsdecode(known),
        os.fsdecode(module),
        folder,
        [os.fsdecode(argument) for argument in rest[:number]],
        {name: value for name, _, value in pairs},
    )


def process_id(text: str) -> int | None:
    """None for what is no run's: killpg takes 0 for the caller's own group and 1 for every process of the user."""
    number = _number(text)
    return number if number is not None and 1 < number < 2**31 else None


def wait_status(text: str) -> int | None:
    """The status of a process that has ended, as waitpid gives it: an exit code, or a signal with or without a core. Else None."""
    status = _number(text)
    if status is None:
        return None
    exited = status & 0xFF == 0 and status < 1 << 16
    signalled = 0 < status & 0x7F < signal.NSIG and status < 1 << 8
    return status if exited or signalled else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else None


def peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end, from the kernel (SO_PEERCRED: pid, uid, gid; Linux)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)
