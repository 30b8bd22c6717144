"""Children end with their parent, however it ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from ffe.processes import KEEPER, Child, ProcessFailedError

SLEEPER = "import time\ntime.sleep(60)"
# A command with a child of its own, which prints both pids.
FAMILY = textwrap.dedent(
    """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(os.getpid(), child.pid, flush=True)
    time.sleep(60)
    """
)


def _gone(pids: list[int], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_the_keeper_ends_its_command_and_the_commands_children_when_its_input_closes(tmp_path: Path) -> None:
    out = tmp_path / "pids"
    with out.open("w") as log:
        child = Child.spawn("family", [sys.executable, "-c", FAMILY], env=os.environ, log=log, kept=True)
        while not out.read_text().strip():
            time.sleep(0.05)
        child.close()
    assert _gone([int(pid) for pid in out.read_text().splitlines()[0].split()])


def test_the_keeper_ends_its_command_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, subprocess, sys, time
keeper = subprocess.Popen([sys.executable, "-I", "-S", {str(KEEPER)!r}, sys.executable, "-c", {FAMILY!r}],
                          stdin=subprocess.PIPE, stdout=open({str(tmp_path / "pids")!r}, "w"), start_new_session=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    pids = tmp_path / "pids"
    while not (pids.exists() and pids.read_text().strip()):
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _gone([int(pid) for pid in pids.read_text().splitlines()[0].split()])


def test_the_command_can_be_interrupted_and_its_exit_code_passes_through(tmp_path: Path) -> None:
    code = "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('bye')"
    out = tmp_path / "out"
    with out.open("w") as log:
        child = Child.spawn("polite", [sys.executable, "-c", code], env=os.environ, log=log, kept=True)
        while "up" not in out.read_text():
            time.sleep(0.05)
        child.close()
    assert "bye" in out.read_text()
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER), sys.executable, "-c", "raise SystemExit(7)"], stdin=subprocess.PIPE
    )
    assert keeper.wait(20) == 7
    assert keeper.stdin is not None
    keeper.stdin.close()


def test_what_ignores_the_interrupt_is_killed_with_the_rest(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    family = f"import os, subprocess, sys, time\nc = subprocess.Popen([sys.executable, '-c', {stubborn!r}], stdout=subprocess.PIPE)\nc.stdout.readline()\nprint(os.getpid(), c.pid, flush=True)\ntime.sleep(60)"
    out = tmp_path / "pids"
    with out.open("w") as log:
        child = Child.spawn("family", [sys.executable, "-c", family], env=os.environ, log=log, kept=True)
        while not out.read_text().strip():
            time.sleep(0.05)
        child.close()
    assert _gone([int(pid) for pid in out.read_text().splitlines()[0].split()])


def _spawn(code: str, tmp_path: Path) -> Child:
    with (tmp_path / "log").open("w") as log:
        return Child.spawn("thing", [sys.executable, "-c", code], env=os.environ, log=log, read=True)


def test_a_child_says_once_that_it_is_ready(tmp_path: Path) -> None:
    child = _spawn(f"print('{json.dumps({'port': 1})}', flush=True)\n{SLEEPER}", tmp_path)
    assert child.ready(20) == {"port": 1}
    child.close(grace=0.1)
    assert child.exit_code is not None
    child.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no such folder')", "no such folder"),
        ("print('hello', flush=True)", "hello"),
        ("print('[1]', flush=True)", "instead of"),
    ],
)
def test_a_child_that_can_not_start_is_quoted(tmp_path: Path, code: str, said: str) -> None:
    child = _spawn(code, tmp_path)
    with pytest.raises(ProcessFailedError, match=said):
        child.ready(20)
    child.close()


def test_a_late_child_is_an_error(tmp_path: Path) -> None:
    child = _spawn(SLEEPER, tmp_path)
    with pytest.raises(ProcessFailedError, match="not ready within 0 s"):
        child.ready(0.2)
    child.close(grace=0.1)
