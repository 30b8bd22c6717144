"""The processes of a sweep: what they compute, how they fail, and that none stays."""

import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest

from ffe.replay.sweep_workers import computed


def worked(shared: int, job: Any) -> Any:
    """What the tests' workers do; imported by them by this module's name."""
    if job == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "leaves":
        os._exit(7)
    if job == "raises":
        raise ValueError("no such thing")
    if job == "who":
        return os.getpid()
    if job == "waits":
        time.sleep(600)
    return shared * job


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [each for each in found if "multiprocessing.spawn" in " ".join(each.cmdline())]


def test_one_that_dies_fails_its_own_job_and_another_does_the_rest() -> None:
    jobs = [1, "dies", 2, "raises", "leaves", 3]
    found = {index: (result, reason) for index, result, reason in computed(jobs, worked, 10, 1)}
    assert found == {
        0: (10, None),
        1: (None, "the worker was ended by SIGKILL"),
        2: (20, None),
        3: (None, "ValueError: no such thing"),
        4: (None, "the worker ended with exit code 7"),
        5: (30, None),
    }
    assert children() == []


def test_nothing_to_do_starts_nobody() -> None:
    assert list(computed([], worked, 1, 4)) == []
    assert children() == []


def test_stopped_early_it_leaves_no_process() -> None:
    running = computed(["who", "waits", "waits"], worked, 1, 1)
    index, pid, reason = next(running)
    assert (index, reason) == (0, None)
    assert pid in {each.pid for each in children()}
    running.close()
    assert not psutil.pid_exists(pid)
    assert children() == []


def test_a_worker_that_is_killed_between_two_jobs_costs_one_of_them() -> None:
    running = computed(["who", "waits", 4], worked, 1, 1)
    _, pid, _ = next(running)
    killing = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killing.start()
    rest = list(running)
    killing.join()
    assert rest == [(1, None, "the worker was ended by SIGKILL"), (2, 4, None)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once_whatever_the_number_of_workers(workers: int) -> None:
    found = list(computed(list(range(7)), worked, 3, workers))
    assert sorted(found) == [(number, 3 * number, None) for number in range(7)]
