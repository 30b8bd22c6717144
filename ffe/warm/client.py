"""The client's side: hand this process's environment, folder and standard streams over, pass signals on, end as the run ends.

Linux only. A client that dies, by whatever signal, closes its connection, and the server kills the run.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import time
from typing import NoReturn

from ffe.warm import wire

# An idle server answers in a millisecond; a busy or reloading one is not worth longer than an interpreter start and the imports.
PATIENCE = 3.0
LONGEST_LINE = 64 * 1024
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
# What a run's end is reported as when nobody can tell: a failure.
LOST = 1 << 8


def run(path: str, module: str, arguments: list[str], streams: tuple[int, int, int] = (0, 1, 2)) -> int | None:
    """Runs `python -m module arguments` in a fork of the server at `path`, and waits for it.

    Returns:
        Its status, as of waitpid. None when nothing was started: no server, not ours, or it refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            refusal = _ask(connection, path, module, arguments)
            if refusal is None:
                # One byte goes whole or not at all: where this raises, nothing was started.
                socket.send_fds(connection, [wire.START], list(streams))
        except (OSError, ValueError) as error:
            refusal = f"fork server: {error}"
        if refusal is None:
            return _follow(connection)
    _say_cold(refusal)
    return None


def _ask(connection: socket.socket, path: str, module: str, arguments: list[str]) -> str | None:
    """Why the server will not take it. Raises OSError or ValueError when it has not said so within PATIENCE, in all."""
    until = time.monotonic() + PATIENCE
    connection.settimeout(PATIENCE)
    connection.connect(path)
    if wire.peer_uid(connection) != os.getuid():
        return "the fork server belongs to another user"
    environment = dict(os.environb)
    request = wire.Request(wire.interpreter(environment), module, os.getcwdb(), arguments, environment)
    connection.settimeout(_left(until))
    connection.sendall(wire.encode(request))
    word, detail = _line(connection, until)
    return None if word == "ready" else detail or "the fork server went away"


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _follow(connection: socket.socket) -> int | None:
    """From here on the run may exist: it is never started a second time, unless the server says that it has not begun."""
    connection.settimeout(None)
    _forward_signals(connection)
    pid = status = None
    # A line that nobody understands is as good as none: the connection closes, and with it a server that is one kills the run.
    with contextlib.suppress(ValueError):
        word, detail = _line(connection)
        if word == "no":
            _stop_forwarding()
            _say_cold(detail)
            return None
        pid = wire.process_id(detail) if word == "pid" else None
        word, detail = _line(connection) if pid is not None else ("", "")
        status = wire.wait_status(detail) if word == "exit" else None
    return _lost(pid) if status is None else status


def _lost(pid: int | None) -> int:
    print("ffe.warm: the fork server has died, or is none: the run counts as failed", file=sys.stderr)
    if pid is not None:
        # The kernel has killed the run itself; this is for what it had started in its group.
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    return LOST


def _line(connection: socket.socket, until: float | None = None) -> tuple[str, str]:
    """One line, as its first word and the rest; empty when the server has gone. Read bytewise, so that nothing behind it is lost.

    Raises:
        TimeoutError: it was not whole at the time `until`.
        ValueError: it does not end.
    """
    line = b""
    while not line.endswith(b"\n"):
        if until is not None:
            connection.settimeout(_left(until))
        try:
            byte = connection.recv(1)
        except ConnectionError:
            byte = b""
        if not byte:
            return "", ""
        line += byte
        if len(line) > LONGEST_LINE:
            raise ValueError("its answer does not end")
    word, _, detail = line.decode(errors="replace").strip().partition(" ")
    return word, detail


def _say_cold(refusal: str) -> None:
    print(f"ffe.warm: cold start: {refusal}", file=sys.stderr, flush=True)


def _forward_signals(connection: socket.socket) -> None:
    def forward(number: int, _: object) -> None:
        with contextlib.suppress(OSError):
            connection.send(bytes([number]))

    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)


def _stop_forwarding() -> None:
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def end_like(status: int) -> NoReturn:
    """Ends this process as `status` says that the run ended: with its exit code, or of its signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # The run has left its core where that is wanted; this process has nothing to tell.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    os._exit(os.waitstatus_to_exitcode(status))
