"""Which failures are worth another attempt: the named ones, and a failed chain of sources one of which may heal.

Nothing else: a wrong key does not get better by asking again.
"""

from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from ffe.errors import NoSourceError
from tasks.attempts import note


def worth_retrying(*errors: type[BaseException]) -> Callable[[Task[..., Any], TaskRun, State[Any]], bool]:
    """A `retry_condition_fn` that retries on `errors`, and on a NoSourceError that calls itself transient."""

    def condition(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
        del task
        error = state.result(raise_on_failure=False)
        note(run, error)
        return isinstance(error, errors) or (isinstance(error, NoSourceError) and error.transient)

    return condition
