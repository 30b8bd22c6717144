"""A child process that speaks one JSON object a line over its own stdin and stdout, read with a deadline.

No port and no key: nobody but the parent can reach it. A crash is an end of file, a hang is a passed deadline; both are told apart
here. The child starts in its own session, so that a Ctrl-C in the terminal is the parent's to handle, and ends by itself at the end
of its stdin, that is also when the parent is killed. Its environment is a short list: credentials never enter it.
"""

import json
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Any

PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
)
STDERR_TAIL = 800


def minimal_environment(extra: Mapping[str, str], source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Only what an interpreter and its shared libraries need, and `extra`."""
    return {name: source[name] for name in PASSED_ON if name in source} | dict(extra)


class LineProcess:
    """One running child. Not thread-safe, except for `kill`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._stderr = _scratch_file()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=dict(environment),
            start_new_session=True,
            bufsize=0,
        )
        self._buffer = b""
        self._end = weakref.finalize(self, _end, self._process, self._stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises EOFError when the child is gone."""
        pipe = self._process.stdin
        try:
            if pipe is None:
                raise BrokenPipeError("no stdin")
            pipe.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError) as error:
            raise EOFError(self._ended()) from error

    def receive(self, deadline: float) -> dict[str, Any]:
        """Next line as an object. `deadline` is a `time.monotonic` moment.

        Raises:
            EOFError: the child ended; carries its exit status and the end of its stderr.
            TimeoutError: nothing by `deadline`. The child still runs: kill it.
        """
        while b"\n" not in self._buffer:
            self._fill(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise EOFError(f"the child answered {line[:80]!r}, not an object")
        return message

    def _fill(self, deadline: float) -> None:
        pipe = self._process.stdout
        remaining = deadline - time.monotonic()
        try:
            ready = pipe is not None and select.select([pipe], [], [], max(0.0, remaining))[0]
            if not ready:
                raise TimeoutError("no answer in time")
            chunk = os.read(pipe.fileno(), 65536) if pipe is not None else b""
        except (ValueError, OSError) as error:  # the pipe was closed by `kill` in another thread
            if isinstance(error, TimeoutError):
                raise
            chunk = b""
        if not chunk:
            raise EOFError(self._ended())
        self._buffer += chunk

    def kill(self) -> None:
        """Ends the child and waits for it. Safe to call twice and from another thread."""
        self._end()

    def _ended(self) -> str:
        try:
            status = self._process.wait(timeout=2)
            self._stderr.seek(0)
            tail = self._stderr.read()[-STDERR_TAIL:].decode(errors="replace").strip()
        except (subprocess.TimeoutExpired, ValueError):
            return "closed"
        return f"exit status {status}{f': {tail}' if tail else ''}"


def _scratch_file() -> IO[bytes]:
    """Nameless: nothing is left behind, and a child that talks much never blocks on a full pipe."""
    return tempfile.TemporaryFile()


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, stderr):
        if pipe is not None:
            pipe.close()
