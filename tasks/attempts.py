"""The attempts of a run: when each began and ended, how, what it said, and how long Prefect waited before it.

The history of states is the API's; what failed before a retry is only known to the process that retried, which notes it here. Both are
read for an incident, and an API that does not answer takes nothing else away from it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun

from ffe.clock import rfc3339
from ffe.observe.masking import masked

SECONDS = 3.0
MOST_RUNS = 200
MOST_TEXT = 500
RUNNING = ("Running", "Retrying", "Rerunning")

log = logging.getLogger(__name__)


class _Noted:
    """Errors of attempts that were followed by another one, by task run; the oldest runs are forgotten."""

    def __init__(self) -> None:
        self._errors: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, run_id: object, error: str) -> None:
        with self._lock:
            self._errors.setdefault(str(run_id), []).append(error)
            while len(self._errors) > MOST_RUNS:
                self._errors.popitem(last=False)

    def take(self, run_id: object) -> list[str]:
        with self._lock:
            return self._errors.pop(str(run_id), [])


_noted = _Noted()


def note(run: TaskRun, error: object) -> None:
    """Remembers what one attempt of a task failed with, for the incident of the last one."""
    said = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    _noted.add(run.id, masked(said, most=MOST_TEXT))


def attempts_of(run: TaskRun | FlowRun, state: State[Any]) -> list[dict[str, Any]]:
    """One dict an attempt, oldest first: `began`, `ended`, `state`, `message`, `delay_seconds`; `state` is how the newest ended. Never raises."""
    errors = _noted.take(run.id)
    try:
        return tries([*_states(run), state], errors)
    except Exception as failure:  # noqa: BLE001 - without the API's history the incident says less, and is written
        log.debug("the attempts of %s could not be read: %s", run.id, failure)
        return tries([state], errors)


def _states(run: TaskRun | FlowRun) -> list[State[Any]]:
    with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
        if isinstance(run, TaskRun):
            return client.read_task_run_states(run.id)
        return client.read_flow_run_states(run.id)


def tries(states: Sequence[State[Any]], errors: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Attempts from a history of states: each begins by running and ends by the next state. `errors` are those of all but the last."""
    found: list[dict[str, Any]] = []
    ended: datetime | None = None
    for state in sorted(states, key=lambda each: each.timestamp):
        if state.name in RUNNING:
            delay = None if ended is None else round((state.timestamp - ended).total_seconds(), 3)
            found.append({"began": rfc3339(state.timestamp), "delay_seconds": delay})
        elif found and "ended" not in found[-1]:
            ended = state.timestamp
            found[-1] |= {"ended": rfc3339(ended), "state": state.name, "message": _message(state, errors, len(found))}
    return found


def _message(state: State[Any], errors: Sequence[str], number: int) -> str:
    said = state.message or (errors[number - 1] if number <= len(errors) else "")
    return masked(said, most=MOST_TEXT)
