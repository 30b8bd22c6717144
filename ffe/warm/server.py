"""The fork server: `python -m ffe.warm.server SOCKET --preload MODULE ... --watch PACKAGE ... --call MODULE:FUNCTION ...`.

It imports what runs need, says so in one JSON line, and then forks a process for each request. Ends when standard input closes, or
on SIGTERM or SIGINT. When the code on disk has changed and its last run has ended it executes itself anew.
"""

import argparse
import contextlib
import gc
import json
import os
import socket
import stat
import sys
import time
from pathlib import Path

from ffe.warm import job
from ffe.warm.forks import Forks
from ffe.warm.imported import preload

# Numerical libraries start their threads as they are imported, unless told not to. The last is of pyarrow's allocator.
SINGLE_THREADED = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
BACKLOG = 64


def main(arguments: list[str]) -> int:
    given = _parsed(arguments)
    os.environ.update(SINGLE_THREADED)
    started = time.monotonic()
    imported = preload(given.preload, given.watch)
    # What is imported stays: the collector need not look at it again, and its pages stay shared with the runs.
    gc.collect()
    gc.freeze()
    listener = listen(given.socket)
    forks = Forks(listener, imported, lifeline=0)
    _say({"ready": True, "refusal": imported.refusal(), "seconds": round(time.monotonic() - started, 2)})
    todo = forks.serve()
    if todo is not None:
        job.run(todo, given.call)
        return 0
    with contextlib.suppress(FileNotFoundError):
        given.socket.unlink()
    if forks.is_stale:
        print("fork server: the code has changed, starting anew", file=sys.stderr, flush=True)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the very command that this process is
    return 0


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ffe.warm.server")
    parser.add_argument("socket", type=Path, help="in a folder that nobody else can enter")
    parser.add_argument("--preload", nargs="*", default=[], metavar="MODULE", help="imported before the first fork")
    parser.add_argument("--watch", nargs="*", default=[], metavar="PACKAGE", help="whose sources may change")
    parser.add_argument("--call", nargs="*", default=[], metavar="MODULE:FUNCTION", help="called in each run first")
    return parser.parse_args(arguments)


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, in place of one that an earlier server left there.

    Raises:
        PermissionError: others could enter its folder.
    """
    folder = path.parent.stat()
    if folder.st_uid != os.getuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise PermissionError(f"{path.parent} has to belong to this user, with mode 700")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener


def _say(document: dict[str, object]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
