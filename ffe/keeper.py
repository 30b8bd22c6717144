"""Runs one command and ends it when standard input closes: the parent's death, even by SIGKILL, leaves no child behind.

Run by path (`python -I -S keeper.py COMMAND...`) so that it starts in milliseconds. Portable, unlike the kernel's own parent-death signal.
The command gets its own process group; that group is interrupted, and killed when it has not gone after GRACE seconds.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 6.0


def main(command: list[str]) -> int:
    # A handler, not SIG_IGN: the command would inherit being ignored, and could then not be interrupted.
    signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _end(child))
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    _sweep(child.pid)
    return code


def _sweep(group: int) -> None:
    """What the command has left in its group gets as long again, then goes too."""
    until = time.monotonic() + GRACE
    try:
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _watch(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
