"""One process of the plant and all that it has started: started, stopped and killed by id, never by name."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ffe.processes import KEEPER as KEEPER_FILE
from ffe.processes import Child

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS = 240.0
KEEPER = str(KEEPER_FILE)


class Part:
    """`kept`: under the keeper, for a command that does not end with its standard input. `ready` None: it announces itself in a JSON line."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        ready: Callable[[Child], None] | None = None,
        kept: bool = True,
    ) -> None:
        self.name, self.log, self._kept = name, log, kept
        self._command, self._environment, self._await = list(command), dict(environment), ready
        self._child: Child | None = None
        self.announced: dict[str, Any] = {}

    def start(self, prefix: Sequence[str] = (), **variables: str) -> dict[str, Any]:
        """Starts it, waits until it can be used, and returns what it announced. `prefix` is a command that runs the command."""
        assert self._child is None, f"{self.name} runs already"
        with self.log.open("a") as log:
            child = Child.spawn(
                self.name,
                [*prefix, *self._command],
                env=self._environment | variables,
                cwd=CHECKOUT,
                log=log,
                kept=self._kept,
                read=self._await is None,
            )
        self._child = child
        if self._await is None:
            self.announced = child.ready(READY_SECONDS)
        else:
            self._await(child)
        return self.announced

    def stop(self) -> None:
        """As a person or a service manager ends it. Safe to call twice."""
        if self._child is not None:
            self._child.close(60)
            self._child = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill9(self) -> None:
        """SIGKILL for all of it at once, runs included, as when the machine goes."""
        assert self._child is not None
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._child.close(20)
        psutil.wait_procs(family, timeout=20)
        self._child = None

    def family(self) -> list[psutil.Process]:
        """Its process and every descendant; empty when it does not run."""
        if self._child is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._child.pid)
            return [own, *own.children(recursive=True)]
        return []

    def member(self, word: str) -> psutil.Process:
        """The oldest process of the family with `word` among its arguments; no keeper, which has the whole command among its own."""
        found = [each for each in self.family() if word in arguments(each) and KEEPER not in arguments(each)]
        assert found, f"{self.name} has no process {word}: {[arguments(each) for each in self.family()]}"
        return min(found, key=psutil.Process.create_time)


def arguments(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []
