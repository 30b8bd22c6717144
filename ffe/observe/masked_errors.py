"""An exception that leaves a step takes no secret with it: Prefect writes its text into the state of the run, where nothing else masks it."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from ffe.observe.masking import masked

F = TypeVar("F", bound=Callable[..., Any])
# A chain may lead back to where it began.
LONGEST_CHAIN = 20


def keeps_secrets(function: F) -> F:
    """`function`, sync or async, whose exceptions are masked in place: type, traceback and chain stay what they are."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                mask_error(error)
                raise

        return cast("F", awaited)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            mask_error(error)
            raise

    return cast("F", called)


def mask_error(error: BaseException) -> None:
    """Takes the secrets out of the texts of `error` and of every exception behind it."""
    link: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        if link is None:
            return
        link.args = tuple(_masked(each) for each in link.args)
        link = link.__cause__ or link.__context__


def _masked(value: Any) -> Any:
    return masked(value) if isinstance(value, str) else value
