"""Which failures are worth another attempt: the named ones, and nothing else. A wrong key does not heal by asking again."""

from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun


def worth_retrying(*errors: type[BaseException]) -> Callable[[Task[..., Any], TaskRun, State[Any]], bool]:
    """A `retry_condition_fn` that retries on `errors` only."""

    def condition(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
        del task, run
        return isinstance(state.result(raise_on_failure=False), errors)

    return condition
