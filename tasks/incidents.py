"""Every failure leaves an incident: a row in the ledger and an artifact in Prefect, with the whole chained traceback.

Writing it must never hide the failure itself, so nothing here raises: what could not be written is logged.
"""

import json
import logging
import traceback
from typing import Any

from prefect import Flow, Task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun, State, TaskRun

from ffe.errors import VenueError
from ffe.observe.masking import masked
from tasks import runtime

# Artifacts live in Prefect's database: longer tracebacks are cut in the middle, where the frames repeat.
MOST = 40_000
# Name of the state of a cycle that did all its steps and could not serve every instrument.
INSTRUMENTS_FAILED = "InstrumentsFailed"

log = logging.getLogger(__name__)


def incident_key(run_id: object) -> str:
    """Artifact key of a run's incident."""
    return f"incident-{run_id}"


def task_failed(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> None:
    """`on_failure` hook of every task."""
    _write(task.name, task_run, task_run.task_inputs, state, task_run.flow_run_id)


def flow_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """`on_failure` and `on_crashed` hook of every flow. A cycle whose instruments failed has an incident for each already."""
    if state.name == INSTRUMENTS_FAILED:
        return
    _write(flow.name, flow_run, flow_run.parameters, state, flow_run.id)


def _write(name: str, run: TaskRun | FlowRun, inputs: Any, state: State[Any], cycle_id: object) -> None:
    cycle = None if cycle_id is None else str(cycle_id)
    try:
        record(str(run.id), name, _error_of(state), attempts=run.run_count, inputs=inputs, cycle_id=cycle)
    except Exception:
        log.exception("the incident of %s could not be written", name)


def _error_of(state: State[Any]) -> BaseException:
    if isinstance(state.data, BaseException):
        return state.data
    # A hook of an async flow runs on its loop, where the plain call would hand back a coroutine.
    found = state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]
    if isinstance(found, BaseException):
        return found
    return RuntimeError(state.message or f"ended {state.name} without an exception")


def record(
    run_id: str,
    name: str,
    error: BaseException,
    *,
    attempts: int = 1,
    inputs: Any = None,
    cycle_id: str | None = None,
    instrument: str | None = None,
) -> str:
    """Writes the incident as an artifact and to the ledger, each whether or not the other can be had. Returns the artifact's key."""
    key = incident_key(run_id)
    trace = masked("".join(traceback.format_exception(error)), most=MOST)
    request, response = _exchange(error)
    try:
        engine = runtime.engine()
        incident = engine.ledger.record_incident(
            type=type(error).__name__,
            message=masked(str(error)),
            traceback=trace,
            at=engine.clock.now(),
            cycle_id=cycle_id,
            instrument=instrument,
            request=request,
            response=response,
            attempts=[{"run": run_id, "task": name, "attempts": attempts}],
        )
        noted = f"ledger incident `{incident.id}`, seen {incident.count} time(s)"
    except Exception as failure:
        log.exception("the incident of %s could not be written to the ledger", name)
        noted = f"not in the ledger: {masked(f'{type(failure).__name__}: {failure}')}"
    lines = [
        f"# {type(error).__name__} in {name}",
        f"```text\n{masked(str(error))}\n```",
        f"- {noted}",
        f"- attempts: {attempts}",
    ]
    if cycle_id is not None:
        lines.append(f"- cycle `{cycle_id}`: `ffe explain {cycle_id}` shows its chain, `ffe run` repeats it")
    lines.append(f"\n## Traceback\n```text\n{trace}\n```")
    if request is not None:
        lines.append(f"## Venue request\n```text\n{request}\n```\n## Venue response\n```text\n{response}\n```")
    if inputs:
        lines.append(f"## Inputs\n```json\n{masked(json.dumps(inputs, default=str, indent=1), most=4000)}\n```")
    try:
        _publish(key, "\n".join(lines), f"{type(error).__name__} in {name}")
    except Exception:
        log.exception("the incident of %s could not be published as an artifact", name)
    return key


def _exchange(error: BaseException) -> tuple[str | None, str | None]:
    """Request and response of the venue error nearest the top of the chain."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VenueError) and seen.request is not None:
            return masked(seen.request), masked(seen.response or "no response")
        seen = seen.__cause__ or seen.__context__
    return None, None


def _publish(key: str, markdown: str, description: str) -> None:
    # A hook runs on the loop of an async flow, where the plain call would hand back a coroutine that nobody awaits.
    create_markdown_artifact(markdown, key=key, description=description, _sync=True)  # type: ignore[call-arg]
