"""What each attempt of a run began, ended and said, from Prefect's history and from this process."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow, task
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun

from tasks import attempts
from tasks.incidents import task_failed
from tasks.retrying import worth_retrying

AT = datetime(2018, 4, 4, tzinfo=UTC)


def state(name: str, seconds: float, message: str = "", type_: StateType = StateType.RUNNING) -> State[Any]:
    return State(type=type_, name=name, timestamp=AT + timedelta(seconds=seconds), message=message)


def run() -> TaskRun:
    return TaskRun(id=uuid4(), task_key="t", dynamic_key="0")


def test_attempts_are_read_from_a_history_with_their_delays() -> None:
    history = [
        state("Pending", 0, type_=StateType.PENDING),
        state("Running", 1),
        state("AwaitingRetry", 3, type_=StateType.SCHEDULED),
        state("Retrying", 4.5),
        state("Failed", 5, "broken for good", StateType.FAILED),
    ]
    first, second = attempts.tries(history, ["ConnectionError: no answer"])
    assert first == {
        "began": "2018-04-04T00:00:01Z",
        "ended": "2018-04-04T00:00:03Z",
        "state": "AwaitingRetry",
        "message": "ConnectionError: no answer",
        "delay_seconds": None,
    }
    assert (second["delay_seconds"], second["state"], second["message"]) == (1.5, "Failed", "broken for good")
    assert attempts.tries([state("Failed", 5, type_=StateType.FAILED)]) == []


def test_without_an_api_nothing_is_known_and_nothing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> Any:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(attempts, "_states", away)
    assert attempts.attempts_of(run(), state("Failed", 1, type_=StateType.FAILED)) == []


def test_errors_of_earlier_attempts_are_remembered_for_so_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST_RUNS", 2)
    runs = [run() for _ in range(3)]
    for each in runs:
        attempts.note(each, ValueError("GET /?token=secret-value"))
    attempts.note(runs[2], "ended without an exception")
    said = [attempts._noted.take(each.id) for each in runs]
    assert said == [
        [],
        ["ValueError: GET /?token=<masked>"],
        ["ValueError: GET /?token=<masked>", "ended without an exception"],
    ]


def test_a_real_tasks_attempts_come_from_prefects_own_history(
    prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_api
    found: list[list[dict[str, Any]]] = []
    monkeypatch.setattr("tasks.incidents._keep", lambda _, run: found.append(list(run.tries)))
    asked = []

    @task(
        retries=2, retry_delay_seconds=0.2, retry_condition_fn=worth_retrying(ConnectionError), on_failure=[task_failed]
    )
    def ask() -> None:
        asked.append(1)
        raise ConnectionError(f"no answer, asked {len(asked)}")

    @flow
    def asking() -> FlowRun | None:
        ask(return_state=True)
        return None

    asking()
    (tries,) = found
    assert [each["state"] for each in tries] == ["AwaitingRetry", "AwaitingRetry", "Failed"]
    assert [each["message"] for each in tries[:2]] == [f"ConnectionError: no answer, asked {n}" for n in (1, 2)]
    assert tries[0]["delay_seconds"] is None
    assert all(0.15 < each["delay_seconds"] < 30 for each in tries[1:])
    assert all(each["began"] <= each["ended"] for each in tries)
