"""What could not be delivered is given up within its time, and a service is still told to end."""

import queue
import sys
import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from tasks import undelivered


class Service:
    """A queue as Prefect keeps one, whose worker is stuck in an item, or done."""

    def __init__(self, *items: Any, stuck: bool = True, started: bool = True) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()
        self._started, self._stuck = started, stuck
        for item in items:
            self._queue.put(item)

    def _drain(self, *, at_exit: bool) -> Future[bool]:
        assert at_exit
        self._queue.put(None)
        done: Future[bool] = Future()
        if not self._stuck:
            done.set_result(True)
        return done


def installed(monkeypatch: pytest.MonkeyPatch, *services: Service) -> None:
    known = SimpleNamespace(_active_services=services)
    monkeypatch.setitem(sys.modules, "prefect._internal.concurrency.services", known)


def test_a_queue_that_nobody_empties_is_given_up_in_time_and_its_end_mark_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = Service("event", "event")
    installed(monkeypatch, stuck)
    started = time.monotonic()
    assert undelivered.deliver(0.2) == 2
    assert time.monotonic() - started < 5
    assert list(stuck._queue.queue) == [None]
    stuck._queue.get()
    stuck._queue.task_done()
    stuck._queue.join()


def test_what_is_done_or_never_began_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, Service(stuck=False), Service("event", started=False))
    assert undelivered.deliver(60) == 0


def test_without_prefect_there_is_nothing_to_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prefect._internal.concurrency.services", raising=False)
    assert undelivered.deliver() == 0
