"""Every failure leaves an incident: a row in the ledger and an artifact in Prefect, with the whole chained traceback.

Writing it must never hide the failure itself, so nothing here raises: what could not be written is logged.
"""

import json
import logging
import re
from typing import Any

from prefect import Flow, Task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.runtime import flow_run, task_run

from ffe.cycle import incidents
from ffe.cycle.incidents import Found
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import ModelError
from ffe.observe.masking import masked
from ffe.orders.findings import Trouble
from ffe.sources.models import BarBatch, Outcome
from tasks import runtime
from tasks.quality_text import cell

# Name of the state of a cycle that did all its steps and could not serve every instrument.
INSTRUMENTS_FAILED = "InstrumentsFailed"
# And of a reconciliation that did all its work and found what it may not settle.
DIFFERENCES = "DifferencesRemain"

FAILOVER = "source-failover"

log = logging.getLogger(__name__)


def incident_key(run_id: object) -> str:
    """Artifact key of a run's incident."""
    return f"incident-{run_id}"


def task_failed(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> None:
    """`on_failure` hook of every task."""
    _write(task.name, task_run, task_run.task_inputs, state, _cycle(flow_run.get_parameters(), task_run.flow_run_id))


def flow_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """`on_failure` and `on_crashed` hook of every flow. Named failures have an incident or a difference for each part already."""
    if state.name in (INSTRUMENTS_FAILED, DIFFERENCES):
        return
    _write(flow.name, flow_run, flow_run.parameters, state, _cycle(flow_run.parameters, flow_run.id))


def _cycle(parameters: Any, run_id: object) -> object:
    """A run that works for a cycle names it in its parameters; any other is its own."""
    return (parameters or {}).get("cycle_id", run_id)


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
) -> str:
    """Writes the incident as an artifact and to the ledger, each whether or not the other can be had. Returns the artifact's key."""
    found = incidents.of_error(error, cycle_id=cycle_id, inputs=inputs)
    return _keep(run_id, name, found, attempts)


def record_outage(error: ModelError, verdict: Verdict | None, context: Context, cycle_id: str) -> str:
    """The incident of a question that nobody answered, with what every call ran into."""
    key = f"{cycle_id}-{context.instrument.symbol.lower()}"
    attempts = 1 if verdict is None else len(verdict.calls)
    return _keep(key, "ask-model", incidents.of_verdict(error, verdict, context, cycle_id), attempts)


def record_trouble(run_id: str, name: str, trouble: Trouble, *, cycle_id: str | None = None) -> str:
    """The incident of something found wrong that no exception stands for, with what the ledger holds of its order."""
    held = None if trouble.order_id is None else incidents.ledger_holds(runtime.engine(), trouble.order_id)
    return _keep(run_id, name, incidents.of_trouble(trouble, cycle_id=cycle_id, inputs=held), attempts=1)


def record_failover(batch: BarBatch) -> None:
    """An incident for each source that failed before another one gave the batch: the cycle goes on, and a person should know.

    Never raises: what could not be written is logged.
    """
    for answer in batch.answers:
        if answer.outcome is Outcome.FAILED:
            try:
                found = incidents.of_answer(answer, batch, flow_run.get_id())
                _keep(str(task_run.get_id() or batch.id), FAILOVER, found, attempts=1)
            except Exception:
                log.exception("the incident of %s could not be written", answer.source)


def _keep(run_id: str, name: str, found: Found, attempts: int) -> str:
    """In the ledger and as an artifact, each whether or not the other can be had. Returns the artifact's key."""
    key = incident_key(run_id)
    try:
        incident = incidents.write(runtime.engine(), found, name, run_id=run_id, attempts=attempts)
        noted = f"ledger incident `{incident.id}`, seen {incident.count} time(s)"
    except Exception as failure:
        log.exception("the incident of %s could not be written to the ledger", name)
        noted = f"not in the ledger: {cell(f'{type(failure).__name__}: {failure}')}"
    try:
        _publish(key, _page(name, found, noted, attempts), f"{found.type} in {name}")
    except Exception:
        log.exception("the incident of %s could not be published as an artifact", name)
    return key


def _page(name: str, found: Found, noted: str, attempts: int) -> str:
    lines = [
        f"# {found.type} in {name}",
        _fenced(found.message),
        f"- {noted}",
        f"- attempts: {attempts}",
    ]
    if found.cycle_id is not None:
        lines.append(
            f"- cycle `{found.cycle_id}`: `ffe explain {found.cycle_id}` shows its chain, `ffe run` repeats it"
        )
    lines.append(f"\n## Traceback\n{_fenced(found.traceback)}")
    if found.request is not None:
        lines.append(f"## Venue request\n{_fenced(found.request)}\n## Venue response\n{_fenced(str(found.response))}")
    if found.inputs:
        inputs = masked(json.dumps(found.inputs, default=str, indent=1), most=4000)
        lines.append(f"## Inputs\n{_fenced(inputs, 'json')}")
    return "\n".join(lines)


def _fenced(text: str, language: str = "text") -> str:
    """A block of code that no backticks in `text` can close (CommonMark, section 4.5: a closing fence is as long as the opening one)."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _publish(key: str, markdown: str, description: str) -> None:
    # A hook runs on the loop of an async flow, where the plain call would hand back a coroutine that nobody awaits.
    create_markdown_artifact(markdown, key=key, description=description, _sync=True)  # type: ignore[call-arg]
