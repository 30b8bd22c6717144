"""Reads that retry and sends that never do, with every failure put into one of `ffe.errors`' names.

The rule for a send: certainly not sent, or refused by an answer that says so, or UNKNOWN. Nothing else exists, and what
nobody foresaw is UNKNOWN.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ffe.errors import (
    AuthenticationError,
    NotSentError,
    OrderRejectedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    VenueError,
    VenueReadError,
)
from ffe.observe.usage import METER
from ffe.venues import wire
from ffe.venues.wire import Limits, Lines, Outcome

S = TypeVar("S")
Reply = dict[str, Any]

# By these a gateway gives up on a request that it may already have passed on.
_GATEWAY_GAVE_UP = frozenset({408, 425, 499})


class Caller(Generic[S]):
    """Calls on one venue's SDK sessions. `reject_reason` finds the venue's own code in a 4xx body.

    `unauthorized_retries`: how often a read is repeated on 401, for a venue known to refuse valid tokens now and then.
    """

    def __init__(
        self,
        venue: str,
        lines: Lines[S],
        limits: Limits,
        *,
        hidden: tuple[str, ...],
        reject_reason: Callable[[Reply], str | None],
        unauthorized_retries: int = 0,
    ) -> None:
        self._venue, self._lines, self._limits = venue, lines, limits
        self._hidden, self._reject_reason, self._unauthorized = hidden, reject_reason, unauthorized_retries

    def close(self) -> None:
        self._lines.close()

    def read(self, name: str, action: Callable[[S], Any]) -> Reply:
        """The reply of a call that changes nothing, after bounded retries.

        Raises:
            AuthenticationError, PermissionDeniedError: the venue refused the key, or this account to it.
            VenueReadError: anything else; `transient` says whether a later call may do better.
        """
        until = time.monotonic() + self._limits.total
        pauses, unauthorized, attempts = wire.pauses(self._limits), self._unauthorized, 0
        while True:
            outcome = self._call(action, min(self._limits.call, max(0.0, wire.remaining(until))), expected=(404,))
            attempts += 1
            if isinstance(outcome.value, dict):
                return outcome.value
            again = wire.worth_another_read(outcome)
            if outcome.attempt.status == 401 and unauthorized > 0:
                again, unauthorized = True, unauthorized - 1
            pause = self._pause(outcome, next(pauses, None))
            if not again or pause is None or pause >= wire.remaining(until):
                raise self._read_error(name, outcome, attempts) from self._cause(outcome)
            time.sleep(pause)

    def send(self, name: str, action: Callable[[S], Any]) -> Reply:
        """The reply of a call that may change something at the venue. Sent at most once.

        Raises:
            NotSentError, OrderRejectedError, AuthenticationError, PermissionDeniedError: nothing was changed.
            OutcomeUnknownError: everything else.
        """
        outcome = self._call(action, self._limits.call)
        if isinstance(outcome.value, dict):
            return outcome.value
        raise self._send_error(name, outcome) from self._cause(outcome)

    def _call(self, action: Callable[[S], Any], seconds: float, expected: tuple[int, ...] = ()) -> Outcome[Any]:
        """One attempt, counted. Of the `expected` statuses a refusal is an answer: the venue has no such order."""
        started = time.perf_counter()
        outcome = self._lines.call(action, seconds)
        answered = isinstance(outcome.value, dict) or outcome.attempt.status in expected
        METER.add(self._venue, time.perf_counter() - started, error=not answered)
        return outcome

    def _pause(self, outcome: Outcome[Any], backoff: float | None) -> float | None:
        asked = wire.retry_after(outcome.attempt)
        if backoff is None or asked is None:
            return backoff
        return max(backoff, min(asked, self._limits.retry_after_cap))

    def _read_error(self, name: str, outcome: Outcome[Any], attempts: int) -> VenueError:
        denied = self._denied(name, outcome)
        if denied is not None:
            return denied
        message = self._message(name, outcome) + (f" (after {attempts} attempts)" if attempts > 1 else "")
        transient = wire.worth_another_read(outcome)
        return VenueReadError(message, transient=transient, **self._exchange(outcome))

    def _send_error(self, name: str, outcome: Outcome[Any]) -> VenueError:
        message, exchange, status = self._message(name, outcome), self._exchange(outcome), outcome.attempt.status
        if wire.certainly_not_sent(outcome):
            return NotSentError(message, **exchange)
        if status is None or not 400 <= status < 500 or status in _GATEWAY_GAVE_UP:
            return OutcomeUnknownError(message, **exchange)
        if status == 429:
            return NotSentError(message, **exchange)
        denied = self._denied(name, outcome)
        if denied is not None:
            return denied
        reason = self._reject_reason(_json_object(outcome)) or f"HTTP_{status}"
        return OrderRejectedError(message, reason=reason, **exchange)

    def _denied(self, name: str, outcome: Outcome[Any]) -> VenueError | None:
        """401 is the key, 403 the permission; OANDA also says 401 "forbidden" of an account that is not the token's."""
        status = outcome.attempt.status
        if status not in {401, 403}:
            return None
        forbidden = status == 403 or "forbidden" in wire.body_text(outcome.attempt).lower()
        kind = PermissionDeniedError if forbidden else AuthenticationError
        return kind(self._message(name, outcome), **self._exchange(outcome))

    def _message(self, name: str, outcome: Outcome[Any]) -> str:
        answer = wire.response_text(outcome.attempt)
        if answer is not None and (outcome.attempt.status or 0) >= 400:
            text = answer.replace("\n", " ", 1)[:300]
        elif outcome.error is None:
            text = f"the reply is {type(outcome.value).__name__}, not an object"
        else:
            text = f"{type(outcome.error).__name__}: {outcome.error}"
        return wire.masked(f"{self._venue} {name}: {text}", self._hidden)

    def _exchange(self, outcome: Outcome[Any]) -> dict[str, str | None]:
        texts = {"request": wire.request_text(outcome.attempt), "response": wire.response_text(outcome.attempt)}
        return {key: None if text is None else wire.masked(text, self._hidden) for key, text in texts.items()}

    def _cause(self, outcome: Outcome[Any]) -> BaseException | None:
        """The SDK's error for the traceback, unless its text holds a secret."""
        error = outcome.error
        return error if error is not None and wire.masked(str(error), self._hidden) == str(error) else None


def _json_object(outcome: Outcome[Any]) -> Reply:
    try:
        body = json.loads(wire.body_text(outcome.attempt))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
