"""The client's side in this process, against servers that a test plays by hand."""

import contextlib
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

from ffe.warm import __main__ as entry
from ffe.warm import client, wire

Script = list[bytes]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in client.FORWARDED}
    # Ignored where a shell has started the tests in its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def play(short_folder: Path) -> Iterator[Callable[[Script], tuple[str, Script]]]:
    """A server that answers the request with the first lines of a script, and START with the rest, and then goes."""
    threads: list[threading.Thread] = []

    def start(script: Script) -> tuple[str, Script]:
        path = str(short_folder / f"fork{len(threads)}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen()
        heard: Script = []

        def act() -> None:
            with listener, listener.accept()[0] as connection:
                heard.append(connection.recv(1 << 20))
                for line in script:
                    if line is not script[0]:
                        data, descriptors, _, _ = socket.recv_fds(connection, 100, 3)
                        heard.append(data)
                        for descriptor in descriptors:
                            os.close(descriptor)
                    # A client that has heard enough may have gone.
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(line)

        threads.append(threading.Thread(target=act))
        threads[-1].start()
        return path, heard

    yield start
    for thread in threads:
        thread.join()


def ask(path: str) -> int | None:
    with open(os.devnull, "r+") as null:
        number = null.fileno()
        return client.run(path, "payload", ["one"], (number, number, number))


def test_the_status_is_what_the_server_says(play: Callable[[Script], tuple[str, Script]]) -> None:
    path, heard = play([b"ready\n", b"pid 77\nexit 768\n"])
    assert ask(path) == 768
    request = wire.decode(heard[0][wire.LENGTH :])
    assert (request.module, request.arguments) == ("payload", ["one"])
    assert heard[1] == wire.START


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([b"no the code on disk has changed\n"], "cold start: the code on disk has changed"),
        ([], "the fork server went away"),
        ([b"ready\n", b"no it can't fork\n"], "cold start: it can't fork"),
    ],
)
def test_a_refusal_before_the_run_exists_is_a_cold_start(
    play: Callable[[Script], tuple[str, Script]], capfd: pytest.CaptureFixture[str], script: Script, said: str
) -> None:
    path, _ = play(script)
    assert ask(path) is None
    assert said in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_server_that_goes_after_the_start_never_means_a_second_run(
    play: Callable[[Script], tuple[str, Script]], capfd: pytest.CaptureFixture[str]
) -> None:
    path, _ = play([b"ready\n", b""])
    assert ask(path) == client.LOST
    assert "has died" in capfd.readouterr().err


def test_what_a_dead_server_has_left_of_a_run_is_killed(
    play: Callable[[Script], tuple[str, Script]], capfd: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as left:
        path, _ = play([b"ready\n", f"pid {left.pid}\n".encode()])
        assert ask(path) == client.LOST
        assert left.wait() == -signal.SIGKILL
    assert "has died" in capfd.readouterr().err


def test_a_silent_server_is_not_waited_for(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(short_folder / "fork"))
        listener.listen()
        assert ask(str(short_folder / "fork")) is None
    assert "timed out" in capfd.readouterr().err


def test_a_server_that_never_answers_never_holds_the_streams(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped one, say: the reader of the cold run's output would wait for its end as long as the server lives."""
    monkeypatch.setattr(client, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(short_folder / "fork"))
        listener.listen()
        reader, writer = os.pipe()
        assert client.run(str(short_folder / "fork"), "payload", [], (writer, writer, writer)) is None
        os.close(writer)
        os.set_blocking(reader, False)
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_either(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.3)
    path = str(short_folder / "fork")

    def trickle() -> None:
        with listener.accept()[0] as connection, contextlib.suppress(ConnectionError):
            connection.recv(1 << 20)
            for _ in range(60):
                connection.sendall(b"x")
                time.sleep(0.05)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=trickle)
        thread.start()
        started = time.monotonic()
        assert ask(path) is None
        assert time.monotonic() - started < 2
        thread.join()
    assert "timed out" in capfd.readouterr().err


ENDLESS = b"x" * (client.LONGEST_LINE + 1)


def test_an_endless_line_is_no_answer(
    play: Callable[[Script], tuple[str, Script]], capfd: pytest.CaptureFixture[str]
) -> None:
    path, _ = play([ENDLESS])
    assert ask(path) is None
    assert "cold start" in capfd.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [
        b"pid zz\n",
        b"pid \n",
        b"pid 0\n",
        b"pid 1\n",
        b"pid -1\n",
        b"pid 99999999999999999999\n",
        b"\xff\xff\n",
        b"exit 0\n",
        b"pid 77 7\nexit 0\n",
        ENDLESS,
    ],
)
def test_a_start_that_nobody_understands_is_a_lost_run_and_nobody_is_killed(
    play: Callable[[Script], tuple[str, Script]], monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """killpg takes 0 for the caller's own group and 1 for every process of this user."""
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    path, _ = play([b"ready\n", answer])
    assert ask(path) == client.LOST
    assert not killed


@pytest.mark.parametrize(
    "answer",
    [b"exit zz", b"exit", b"exit 127", b"exit 32512 1", b"exit 99999999999999", b"exit -1", b"exit 66", b"no", b""],
)
def test_an_end_that_nobody_understands_is_a_lost_run_and_its_group_is_killed(
    play: Callable[[Script], tuple[str, Script]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    answer: bytes,
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    path, _ = play([b"ready\n", b"pid 4194304\n" + answer + b"\n"])
    assert ask(path) == client.LOST
    assert killed == [4194304]
    assert "counts as failed" in capfd.readouterr().err


def test_a_server_that_goes_between_its_yes_and_the_start_is_a_cold_start(
    play: Callable[[Script], tuple[str, Script]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> int:
        raise BrokenPipeError("gone")

    monkeypatch.setattr(socket, "send_fds", gone)
    path, _ = play([b"ready\n"])
    assert ask(path) is None
    assert "cold start: fork server: gone" in capfd.readouterr().err


def test_a_server_of_another_user_gets_nothing(
    play: Callable[[Script], tuple[str, Script]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wire, "peer_uid", lambda _: os.getuid() + 1)
    path, heard = play([])
    assert ask(path) is None
    assert "another user" in capfd.readouterr().err
    assert heard in ([], [b""])


def test_signals_are_passed_on_and_what_was_ignored_stays_ignored() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        client._forward_signals(ours)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert theirs.recv(1) == bytes([signal.SIGUSR1])
        assert theirs.recv(1) == bytes([signal.SIGTERM])
        theirs.close()
        os.kill(os.getpid(), signal.SIGUSR1)
        client._stop_forwarding()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3 << 8, 3), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
def test_the_client_ends_like_the_run(status: int, code: int) -> None:
    program = f"from ffe.warm import client; client.end_like({int(status)})"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code


def test_the_entry_runs_the_module_in_this_process_when_nobody_offers_another(
    monkeypatch: pytest.MonkeyPatch, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.setattr(sys, "argv", ["before"])
    monkeypatch.delenv(entry.SERVER, raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main(["payload", "exit", "5"])
    assert ended.value.code == 5
    monkeypatch.setenv(entry.SERVER, str(work / "nothing"))
    with pytest.raises(SystemExit) as ended:
        entry.main(["payload", "exit", "6"])
    assert ended.value.code == 6
    assert "cold start" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="usage"):
        entry.main([])


def test_the_entry_ends_as_the_run_that_was_taken_has(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(client, "run", lambda *arguments: seen.extend(arguments) or 7)
    monkeypatch.setattr(client, "end_like", end)
    monkeypatch.setenv(entry.SERVER, "there")
    with pytest.raises(SystemExit) as ended:
        entry.main(["module", "a"])
    assert ended.value.code == 7
    assert seen == ["there", "module", ["a"]]
