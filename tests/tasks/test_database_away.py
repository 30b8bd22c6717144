"""What a Prefect server answers while its database is away."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from tasks.database_away import AwayIsBusy

Message = MutableMapping[str, Any]


def _answered(status: int, error: Exception | None) -> list[Message]:
    """What a client sees of an app that answers `status` and then raises `error`, as Prefect's server does."""
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})
        if error is not None:
            raise error

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        asyncio.run(AwayIsBusy(app)({"type": "http"}, None, send))  # type: ignore[arg-type]
    except (OSError, ValueError) as raised:
        sent.append({"raised": type(raised).__name__})
    return sent


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "refused"), TimeoutError(), ConnectionResetError()])
def test_a_database_that_cannot_be_reached_is_busy(error: Exception) -> None:
    start, body = _answered(500, error)
    assert start["status"] == 503
    assert b"can't be reached" in body["body"]


def test_any_other_failure_stays_one_and_its_cause_is_raised() -> None:
    start, body, raised = _answered(500, ValueError("a bug"))
    assert (start["status"], body["body"], raised) == (500, b"said", {"raised": "ValueError"})


def test_a_failure_without_a_cause_is_passed_on() -> None:
    assert [message.get("status") for message in _answered(500, None)] == [500, None]


def test_an_answer_that_went_out_is_not_answered_again() -> None:
    start, _, raised = _answered(200, ConnectionResetError("the client has gone"))
    assert (start["status"], raised) == (200, {"raised": "ConnectionResetError"})


def test_what_is_not_http_passes_through_untouched() -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    asyncio.run(AwayIsBusy(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert passed == ["lifespan"]
