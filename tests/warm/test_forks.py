"""The server's loop in this process: strangers, garbage, silence and signals. Only the fork itself is replaced, by a process of its own."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffe.warm import forks, peers, server, wire
from ffe.warm.changes import fingerprint
from ffe.warm.forks import Forks
from ffe.warm.imported import STALE, Imported

# A fork is made with signals blocked, and the run unblocks them.
SLEEP = ("-c", "import signal, time; signal.pthread_sigmask(signal.SIG_SETMASK, []); time.sleep(60)")


class Unchanged(Imported):
    """This process has threads and changes all the time; here nobody minds."""

    def refusal(self) -> str | None:
        return self.error


@pytest.fixture
def handlers() -> Iterator[None]:
    """The loop sets handlers for the process that it is meant to have for itself."""
    before = {number: signal.getsignal(number) for number in (*forks.BLOCKED, *forks.ENDING)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Process ids of the runs: instead of forks, interpreters that sleep."""
    children: list[subprocess.Popen[bytes]] = []
    pids: list[int] = []

    def fork() -> int:
        children.append(subprocess.Popen([sys.executable, *SLEEP], start_new_session=True))
        pids.append(children[-1].pid)
        return pids[-1]

    monkeypatch.setattr(os, "fork", fork)
    yield pids
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()


@pytest.fixture
def listener(short_folder: Path) -> Iterator[socket.socket]:
    with server.listen(short_folder / "fork") as listening:
        yield listening


def loop(served: Forks, drive: Callable[[], None]) -> None:
    """`serve` here, `drive` in a thread beside it, which then ends the server."""
    raised: list[BaseException] = []

    def driven() -> None:
        try:
            drive()
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            raised.append(error)
        finally:
            served.end()

    thread = threading.Thread(target=driven)
    thread.start()
    assert served.serve() is None
    thread.join()
    for error in raised:
        raise error


def connect(listener: socket.socket) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(listener.getsockname())
    return connection


def ask(listener: socket.socket, *, streams: int = 3, start: bytes = b"") -> tuple[socket.socket, bytes]:
    connection = connect(listener)
    environment = dict(os.environb)
    request = wire.Request(wire.interpreter(environment), "payload", b"/", [], environment)
    connection.sendall(wire.encode(request))
    answer = connection.recv(200)
    if start and answer == b"ready\n":
        socket.send_fds(connection, [start], [0, 1, 2, 0][:streams])
        answer = connection.recv(200)
    return connection, answer


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.usefixtures("handlers")
def test_a_client_that_goes_takes_its_run_along_and_signals_go_to_it(
    listener: socket.socket, forked: list[int]
) -> None:
    def drive() -> None:
        signalled, _ = ask(listener, start=wire.START + bytes([signal.SIGTERM, signal.SIGWINCH]))
        with signalled:
            assert signalled.recv(100) == b"exit 15\n"
        gone, answer = ask(listener, start=wire.START)
        assert answer == f"pid {forked[1]}\n".encode()
        gone.close()
        later, _ = ask(listener, start=wire.START)
        with later:
            later.sendall(bytes([signal.SIGSEGV, signal.SIGUSR1]))
            assert later.recv(100) == b"exit 10\n"

    loop(Forks(listener, Unchanged([], frozenset())), drive)
    assert not [pid for pid in forked if Path(f"/proc/{pid}").exists()]


@pytest.mark.usefixtures("handlers", "forked")
def test_what_still_runs_when_the_grace_is_over_is_killed(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "GRACE", 0.2)
    monkeypatch.setattr(forks, "TICK", 0.05)
    clients: list[socket.socket] = []

    def drive() -> None:
        clients.append(ask(listener, start=wire.START)[0])

    loop(Forks(listener, Unchanged([], frozenset())), drive)
    with clients[0] as client:
        assert client.recv(100) == b"exit 9\n"


@pytest.mark.usefixtures("handlers")
def test_garbage_and_too_much_close_the_connection_and_nothing_else(listener: socket.socket) -> None:
    def drive() -> None:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, (3).to_bytes(8, "big") + b"abc"):
            with connect(listener) as connection:
                connection.sendall(garbage)
                assert is_closed(connection)
        connection, _ = ask(listener)
        with connection:
            for _ in range(2):
                socket.send_fds(connection, [b"not the start"], [0, 1])
            assert is_closed(connection)
        connection, answer = ask(listener)
        with connection:
            assert answer == b"ready\n"
            connection.sendall(b"not the start")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)

    loop(Forks(listener, Unchanged([], frozenset())), drive)


@pytest.mark.usefixtures("handlers")
def test_a_stale_server_still_starts_the_run_that_it_has_said_yes_to(
    listener: socket.socket, forked: list[int]
) -> None:
    changing = Unchanged([], frozenset())
    served = Forks(listener, changing)

    def drive() -> None:
        taken, answer = ask(listener)
        with taken:
            assert answer == b"ready\n"
            object.__setattr__(changing, "error", STALE)
            ask(listener)[0].close()
            time.sleep(0.1)
            socket.send_fds(taken, [wire.START], [0, 1, 2])
            assert taken.recv(100).startswith(b"pid ")
            os.kill(forked[0], signal.SIGKILL)
            assert taken.recv(100) == b"exit 9\n"

    loop(served, drive)
    assert served.is_stale


@pytest.mark.usefixtures("handlers")
def test_a_run_that_has_ended_is_never_killed_again(listener: socket.socket, forked: list[int]) -> None:
    """Its process id may be another's by then."""
    served = Forks(listener, Unchanged([], frozenset()))

    def drive() -> None:
        connection, _ = ask(listener, start=wire.START + bytes([signal.SIGTERM]))
        with connection:
            assert connection.recv(100) == b"exit 15\n"

    loop(served, drive)
    served._runs.kill(forked[0])
    served._runs.kill(os.getpid())


@pytest.mark.usefixtures("handlers")
def test_a_request_may_come_in_pieces(listener: socket.socket) -> None:
    environment = {name: value for name, value in os.environb.items() if name.startswith(b"PYTHON")}
    message = wire.encode(wire.Request(wire.interpreter(environment), "payload", b"/", [], environment))

    def drive() -> None:
        with connect(listener) as connection:
            connection.sendall(message[:3])
            time.sleep(0.05)
            connection.sendall(message[3:40])
            time.sleep(0.05)
            connection.sendall(message[40:])
            assert connection.recv(100) == b"ready\n"

    loop(Forks(listener, Unchanged([], frozenset())), drive)


@pytest.mark.usefixtures("handlers")
def test_whoever_says_nothing_is_forgotten(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ASKING_SECONDS", 0.1)
    monkeypatch.setattr(forks, "TICK", 0.05)

    def drive() -> None:
        with connect(listener) as silent:
            assert is_closed(silent)

    loop(Forks(listener, Unchanged([], frozenset())), drive)


class Exhausted(socket.socket):
    """A listener in a process that has no descriptor left, for the first times that it is asked."""

    def __init__(self, listener: socket.socket, times: int) -> None:
        super().__init__(fileno=listener.detach())
        self.left, self.asked = times, 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.asked <= self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.mark.usefixtures("handlers")
def test_a_server_without_descriptors_rests_before_it_accepts_again(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "REST", 0.2)
    monkeypatch.setattr(forks, "TICK", 0.05)
    with Exhausted(listener, times=2) as exhausted:

        def drive() -> None:
            started = time.monotonic()
            connection, answer = ask(exhausted)
            connection.close()
            assert answer == b"ready\n"
            assert time.monotonic() - started >= 0.4
            assert exhausted.asked == 3

        loop(Forks(exhausted, Unchanged([], frozenset())), drive)


@pytest.mark.usefixtures("handlers")
def test_streams_that_did_not_arrive_are_a_cold_start(listener: socket.socket, forked: list[int]) -> None:
    """The kernel drops those for which the server has no descriptor left."""

    def drive() -> None:
        for streams in (0, 2):
            connection, answer = ask(listener, streams=streams, start=wire.START)
            with connection:
                assert answer == f"no {streams} of 3 standard streams arrived\n".encode()
                assert is_closed(connection)

    loop(Forks(listener, Unchanged([], frozenset())), drive)
    assert not forked


@pytest.mark.usefixtures("handlers")
def test_another_user_is_not_answered(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "peer_uid", lambda _: os.getuid() + 1)

    def drive() -> None:
        with connect(listener) as stranger:
            assert is_closed(stranger)

    loop(Forks(listener, Unchanged([], frozenset())), drive)


@pytest.mark.usefixtures("handlers")
def test_a_system_that_can_not_fork_is_a_cold_start(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refuse)

    def drive() -> None:
        connection, answer = ask(listener, start=wire.START)
        with connection:
            assert answer == b"no it can't fork: no more processes\n"

    loop(Forks(listener, Unchanged([], frozenset())), drive)


@pytest.mark.usefixtures("handlers")
def test_a_server_that_ends_refuses_and_a_closed_lifeline_ends_it(listener: socket.socket, forked: list[int]) -> None:
    kept, lifeline = os.pipe()
    served = Forks(listener, Unchanged([], frozenset()), lifeline=kept)

    def drive() -> None:
        running, _ = ask(listener, start=wire.START)
        os.write(lifeline, b"still here")
        os.close(lifeline)
        time.sleep(0.3)
        connection, answer = ask(listener)
        with connection, running:
            assert answer == b"no it is ending\n"
            os.kill(forked[0], signal.SIGKILL)
            assert running.recv(100) == b"exit 9\n"

    loop(served, drive)
    os.close(kept)
    assert not served.is_stale


@pytest.mark.usefixtures("handlers")
def test_stale_code_refuses_says_so_once_and_ends_the_loop_without_being_told(
    listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    served = Forks(listener, Unchanged([], frozenset(), STALE))
    answers: list[bytes] = []

    def client() -> None:
        connection, answer = ask(listener)
        connection.close()
        answers.append(answer)

    thread = threading.Thread(target=client)
    thread.start()
    assert served.serve() is None
    thread.join()
    assert served.is_stale
    assert answers == [f"no {STALE}\n".encode()]
    assert capfd.readouterr().err == f"fork server: refuses runs: {STALE}\n"


@pytest.mark.usefixtures("handlers")
def test_a_file_as_lifeline_never_ends(listener: socket.socket, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        served = Forks(listener, Unchanged([], frozenset()), lifeline=file.fileno())

        def drive() -> None:
            ask(listener)[0].close()

        loop(served, drive)


def test_a_folder_that_others_can_enter_is_refused(short_folder: Path) -> None:
    short_folder.chmod(0o755)
    with pytest.raises(PermissionError, match="mode 700"):
        server.listen(short_folder / "fork")


def test_a_socket_that_an_earlier_server_left_is_replaced(short_folder: Path) -> None:
    for _ in range(2):
        server.listen(short_folder / "fork").close()


def test_the_refusal_names_the_import_error_or_the_threads() -> None:
    seen = fingerprint([])
    assert Imported([], seen, "ImportError()").refusal() == "it could not import what it should: ImportError()"
    thread = threading.Event()
    other = threading.Thread(target=thread.wait)
    other.start()
    try:
        assert "threads, and a fork would copy only one" in str(Imported([], seen).refusal())
    finally:
        thread.set()
        other.join()
