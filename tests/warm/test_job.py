"""What makes a fork into the client's run, piece by piece in this process."""

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ffe.warm import job, wire


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    valid = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = {number: signal.getsignal(number) for number in valid}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)


def request_in(folder: Path) -> wire.Request:
    return wire.Request("", "payload", os.fsencode(folder), ["exit", "4"], {b"ONLY": b"this", b"TZ": b"UTC"})


def test_folder_environment_arguments_and_path_become_the_clients(work: Path) -> None:
    job.take_surroundings(request_in(work))
    assert Path.cwd() == work
    assert dict(os.environ) == {"ONLY": "this", "TZ": "UTC"}
    assert sys.argv == ["payload", "exit", "4"]
    assert sys.path[0] == str(work)


def test_signals_are_as_python_sets_them_and_nothing_is_blocked() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    job.default_signals()
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_both_random_generators_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def draws() -> tuple[float, float]:
        random.seed(1)
        np.random.seed(1)
        job.reseed()
        return random.random(), float(np.random.random())

    first, second = draws(), draws()
    assert first[0] != second[0]
    assert first[1] != second[1]
    monkeypatch.delitem(sys.modules, "numpy")
    job.reseed()


def test_streams_are_put_in_place(tmp_path: Path) -> None:
    """In a fork: this process needs its own."""
    for name in ("out", "err"):
        (tmp_path / name).touch()
    (tmp_path / "in").write_text("given")
    pid = os.fork()
    if pid == 0:
        job.take_streams(
            [os.open(tmp_path / "in", os.O_RDONLY), *(os.open(tmp_path / name, os.O_WRONLY) for name in ("out", "err"))]
        )
        os.write(1, os.read(0, 100))
        os.write(2, b"said")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "out").read_text() == "given"
    assert (tmp_path / "err").read_text() == "said"


def test_a_run_calls_what_it_is_told_to_and_then_the_module(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(job, "take_streams", lambda streams: called.append(f"streams {streams}"))
    monkeypatch.setattr(random, "called", lambda: called.append(os.environ["ONLY"]), raising=False)
    with pytest.raises(SystemExit) as ended:
        job.run(job.Job(request_in(work), (3, 4, 5)), ["random:called"])
    assert ended.value.code == 4
    assert called == ["streams (3, 4, 5)", "this"]


def test_a_child_of_a_server_that_is_gone_does_not_start() -> None:
    pid = os.fork()
    if pid == 0:
        job.begin(server=1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGKILL


def test_a_child_has_a_session_of_its_own() -> None:
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        job.begin(server)
        os._exit(7 if os.getsid(0) == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
