"""What Prefect's client has not delivered yet when its API is about to end: events and log lines in queues of this process.

They are sent by threads which, at exit, try each item again for many seconds. Once the API has gone nobody would get them, and a command
that has printed its result would hang for minutes.
"""

import concurrent.futures
import queue
import sys
from typing import Any

SECONDS = 5.0


def deliver(seconds: float = SECONDS) -> int:
    """Sends what is queued, at most `seconds` long; forgets what is left then. How much that is.

    Call it while the API still answers. Prefect has no public way to give up: its queues are emptied from here.
    """
    services = sys.modules.get("prefect._internal.concurrency.services")
    started = [] if services is None else [each for each in list(services._active_services) if each._started]
    concurrent.futures.wait([each._drain(at_exit=True) for each in started], timeout=seconds)
    return sum(_forget(each._queue) for each in started)


def _forget(items: "queue.Queue[Any]") -> int:
    """Leaves the mark that ends a service where there is one."""
    with items.mutex:
        left = [item for item in items.queue if item is not None]
        items.queue = type(items.queue)(item for item in items.queue if item is None)
        items.unfinished_tasks -= len(left)
        return len(left)
