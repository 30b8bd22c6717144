"""Child processes that end with their parent, however it ends."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from ffe.errors import FfeError

KEEPER = Path(__file__).with_name("keeper.py")
GRACE = 15.0


# Exit codes with which a child of ours says that it was asked for something impossible or refused.
TOLD = (2, 4)


class ProcessFailedError(FfeError):
    """A child ended, or said nothing usable, before it was ready. Ends the command as the child ended."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code in TOLD:
            self.exit_code = exit_code


class Child:
    """One running child. Closing its standard input asks it to end; `close` waits, then kills."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", said: Path | None = None) -> None:
        self.name, self._process, self._said = name, process, said
        self._lines: queue.Queue[str | None] = queue.Queue()
        if process.stdout is not None:
            threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    @classmethod
    def spawn(
        cls,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: IO[Any] | None = None,
        kept: bool = False,
        read: bool = False,
    ) -> Self:
        """Starts `command`. `kept` wraps it in the keeper, for programs that don't watch their own standard input.

        `read` keeps standard output for `ready`; otherwise it goes to `log` with standard error (None: this process's own stderr).
        """
        whole = [sys.executable, "-I", "-S", str(KEEPER), *command] if kept else list(command)
        target: Any = sys.stderr if log is None else log
        process = subprocess.Popen(
            whole,
            env=dict(env),
            cwd=cwd,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if read else target,
            stderr=target,
            start_new_session=True,
        )
        return cls(name, process, None if log is None else Path(log.name))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def ready(self, timeout: float) -> dict[str, Any]:
        """The JSON line that a child prints when it can be used.

        Raises:
            ProcessFailedError: it ended first, or was late.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ProcessFailedError(f"{self.name} was not ready within {timeout:.0f} s") from None
        if line is None:
            code = self._process.wait()
            raise ProcessFailedError(f"{self.name}: {self._last_line()} (exit code {code})", code)
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ProcessFailedError(f"{self.name} said {line.strip()[:200]!r} instead of a JSON object")
        return document

    def _last_line(self) -> str:
        """The last thing that it said on standard error, without its own name in front."""
        lines = [] if self._said is None else self._said.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix(f"{self.name}: ") if lines else "ended before it was ready"

    def close(self, grace: float = GRACE) -> None:
        """Ends the child and waits for it. Safe to call twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)
