"""Processes that compute the cells of a sweep, each told one at a time, so that it is known what one was at when it died.

Started by spawn: a fork would take over threads and locks of whoever sweeps. A worker whose sweep was killed reads the end of its pipe and
ends too. One that dies itself (out of memory, a crash in compiled code) fails its cell and is replaced.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

# How long a worker that was asked to end may take before it is ended.
GRACE = 5.0

Compute = Callable[[Any, Any], Any]


class _Worker:
    def __init__(self, compute: Compute, shared: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_work, args=(theirs, compute, shared), daemon=True)
        self._process.start()
        # Ours would keep the pipe open, and its end unread, when the worker dies.
        theirs.close()
        self.index = -1

    def give(self, index: int, job: Any) -> None:
        self.index = index
        # A worker that has died meanwhile is met when its answer is read.
        with suppress(BrokenPipeError):
            self.pipe.send(job)

    def died(self) -> str:
        self._process.join(GRACE)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the worker was ended by {signal.Signals(-code).name}"
        return f"the worker ended with exit code {code}"

    def end(self) -> None:
        self.pipe.close()
        self._process.terminate()
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def computed(jobs: Sequence[Any], compute: Compute, shared: Any, workers: int) -> Iterator[tuple[int, Any, str | None]]:
    """For every job, as they are done: its index, what `compute(shared, job)` returned, or None and why there is nothing.

    `compute` is a function of a module. Ended early, the workers are ended too.
    """
    waiting = list(reversed(range(len(jobs))))
    busy: dict[Connection, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                fresh = _Worker(compute, shared)
                busy[fresh.pipe] = fresh
                _next(fresh, waiting, jobs)
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # only these connections were waited for
                index = worker.index
                try:
                    result, reason = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    result, reason = None, worker.died()
                    worker.end()
                    del busy[worker.pipe]
                else:
                    if waiting:
                        _next(worker, waiting, jobs)
                    else:
                        worker.end()
                        del busy[worker.pipe]
                yield index, result, reason
    finally:
        for worker in busy.values():
            worker.end()


def _next(worker: _Worker, waiting: list[int], jobs: Sequence[Any]) -> None:
    index = waiting.pop()
    worker.give(index, jobs[index])


def _work(pipe: Connection, compute: Compute, shared: Any) -> None:
    # Ctrl-C reaches the whole group; who sweeps ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(attempted(compute, shared, pipe.recv()))


def attempted(compute: Compute, shared: Any, job: Any) -> tuple[Any, str | None]:
    """What the job gave, or None and the failure in a line."""
    try:
        return compute(shared, job), None
    except Exception as error:  # noqa: BLE001 - the cell says it; the others go on
        return None, f"{type(error).__name__}: {error}"
