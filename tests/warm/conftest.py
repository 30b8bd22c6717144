"""A real fork server on a socket of its own, and small modules for it to run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from ffe.processes import Child

PAYLOAD = """
import json, os, random, signal, subprocess, sys, time
WARM = "json.tool" in sys.modules

def facts():
    return {"warm": WARM, "pid": os.getpid(), "parent": os.getppid(), "folder": os.getcwd(), "arguments": sys.argv[1:], "first": sys.path[0],
            "name": __name__, "environment": dict(os.environ), "random": random.random(), "session": os.getsid(0)}

what = sys.argv[1]
if what == "facts":
    print(json.dumps(facts()))
elif what == "echo":
    print("out:" + sys.stdin.read())
    print("err", file=sys.stderr)
elif what == "exit":
    sys.exit(int(sys.argv[2]))
elif what == "say":
    sys.exit("a reason")
elif what == "raise":
    raise KeyError("broken")
elif what == "die":
    os.kill(os.getpid(), int(sys.argv[2]))
elif what == "sleep":
    if len(sys.argv) > 2:
        signal.signal(int(sys.argv[2]), lambda number, _: sys.exit(number))
    child = subprocess.Popen(["sleep", "60"])
    print(json.dumps({**facts(), "child": child.pid}), flush=True)
    time.sleep(60)
"""


@dataclass
class Served:
    """A running fork server. `environment` is what its clients need."""

    child: Child
    folder: Path
    ready: dict[str, Any]
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {"FORK_SERVER": str(self.folder / "fork")}

    @property
    def socket(self) -> Path:
        return self.folder / "fork"


Serve = Callable[..., Served]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A socket's path has to be shorter than some folders of tests are."""
    folder = Path(tempfile.mkdtemp(prefix="ffe-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that clients run in, with the module `payload`."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "payload.py").write_text(PAYLOAD)
    return folder


@pytest.fixture
def serve(short_folder: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server that has imported `json.tool`, with further arguments; ended with the test."""
    children: list[Child] = []
    log = tmp_path / "server.log"

    def start(*arguments: str, modules: tuple[str, ...] = (), **variables: str) -> Served:
        command = [sys.executable, "-m", "ffe.warm.server", str(short_folder / "fork"), *arguments]
        command += ["--preload", "json.tool", *modules]
        with log.open("a") as stream:
            child = Child.spawn(
                "fork server", command, env=os.environ | variables, cwd=short_folder, log=stream, read=True
            )
        children.append(child)
        return Served(child, short_folder, child.ready(60), log)

    yield start
    for child in children:
        child.close()


@pytest.fixture
def start(work: Path) -> Iterator[Start]:
    """Starts `python -m ffe.warm payload ...` as a Prefect worker would."""
    started: list[subprocess.Popen[str]] = []

    def call(served: Served | dict[str, str], *arguments: str, module: str = "payload") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "ffe.warm", module, *arguments],
            env=served.environment if isinstance(served, Served) else served,
            cwd=work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that started these tests in its background has told them, and their children, to ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs here
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def is_gone() -> Callable[..., bool]:
    """Whether all of these process ids end within some seconds."""

    def wait(*pids: int, seconds: float = 10) -> bool:
        until = time.monotonic() + seconds
        while any(_lives(pid) for pid in pids):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    return wait


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
