"""Every failure leaves an incident: a row in the ledger and an artifact in Prefect, with the whole chained traceback.

Writing it must never hide the failure itself, so nothing here raises: what could not be written is logged. The key of the artifact is made
of what failed, as the ledger counts it: a failure that comes back is one line in the UI's list, with a history, and each of its runs shows
its own version.
"""

import inspect
import logging
import threading
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import Flow, Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.exceptions import CancelledRun, CrashedRun
from prefect.runtime import flow_run, task_run

from ffe.cycle import incident_files, incidents
from ffe.cycle.incidents import Found, Run
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import ModelError
from ffe.ledger.incidents import artifact_key
from ffe.ledger.models import Incident
from ffe.orders.findings import Trouble
from ffe.settings import load_settings
from ffe.sources.models import BarBatch, Outcome
from tasks import runtime, under_way
from tasks.attempts import attempts_of
from tasks.incident_links import links, quality_page
from tasks.incident_page import page
from tasks.limits import ACCOUNT_BUSY
from tasks.quality_text import cell

# Name of the state of a cycle that did all its steps and could not serve every instrument.
INSTRUMENTS_FAILED = "InstrumentsFailed"
# And of a reconciliation that did all its work and found what it may not settle.
DIFFERENCES = "DifferencesRemain"
# And of a reality check that found a standing invariant broken.
INVARIANTS_BROKEN = "InvariantsBroken"

FAILOVER = "source-failover"
# Runs of one process whose artifacts it can still name.
MOST_RUNS = 1000

log = logging.getLogger(__name__)


# What stands for the exception of a run that has none, by the name of its state.
ENDED = {"Cancelling": CancelledRun, "Cancelled": CancelledRun, "Crashed": CrashedRun}


class _Published:
    """Keys of artifacts by the run that they tell of, in this process; the oldest are forgotten."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, run_id: str, key: str) -> None:
        with self._lock:
            self._keys[run_id] = key
            while len(self._keys) > MOST_RUNS:
                self._keys.popitem(last=False)

    def get(self, run_id: str) -> str | None:
        with self._lock:
            return self._keys.get(run_id)


_published = _Published()


def incident_key(run_id: object) -> str:
    """Artifact key of the incident that a run of this process has left."""
    return _published.get(str(run_id)) or f"incident-{run_id}"


def _key(found: Found) -> str:
    return artifact_key(found.type, found.subject.instrument, found.message)


def task_failed(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> None:
    """`on_failure` hook of every task."""
    try:
        error = _error_of(state)
        inputs = _arguments(task, error) or task_run.task_inputs
        found = _of(error, inputs, _cycle(flow_run.get_parameters(), task_run.flow_run_id))
        _keep(found, _run(task.name, task_run, task_run.flow_run_id, state))
    except Exception:
        log.exception("the incident of %s could not be written", task.name)


def flow_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """`on_failure` and `on_crashed` hook of every flow. Named failures have an incident or a difference for each part already."""
    if state.name in (INSTRUMENTS_FAILED, DIFFERENCES, INVARIANTS_BROKEN):
        return
    _flow_ended(flow, flow_run, state)


def flow_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """`on_cancellation` hook of every flow: a run that a person or Prefect stopped, with what it was told and what it had ordered.

    A cycle that found its account taken did nothing, and the one that holds it is well.
    """
    if state.name != ACCOUNT_BUSY:
        _flow_ended(flow, flow_run, state)


def _flow_ended(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    try:
        _keep(ended_of(flow_run, state), _run(flow.name, flow_run, flow_run.id, state))
    except Exception:
        log.exception("the incident of %s could not be written", flow.name)


def ended_of(flow_run: FlowRun, state: State[Any]) -> Found:
    """The failure of a flow run; of one that was stopped from outside, with the tasks that were under way."""
    error = _error_of(state)
    found = _of(error, flow_run.parameters, _cycle(flow_run.parameters, flow_run.id))
    if error.__traceback__ is not None:
        return found
    return replace(found, traceback=f"{found.traceback}\n{under_way.told(flow_run.id)}\n")


def keep(found: Found, flow_run: FlowRun, name: str, state: State[Any]) -> str:
    """As the hooks of a flow do, for a run that is not this one. Returns the artifact's key."""
    return _keep(found, _run(name, flow_run, flow_run.id, state))


def _of(error: BaseException, inputs: Any, cycle_id: object) -> Found:
    cycle = None if cycle_id is None else str(cycle_id)
    return incidents.of_error(error, cycle_id=cycle, inputs=inputs, with_locals=_with_locals())


def _with_locals() -> bool:
    """Off when the settings can't be read: then they are what failed."""
    try:
        return runtime.engine().settings.incidents.locals
    except Exception:  # noqa: BLE001 - said by the incident itself
        return False


def _run(name: str, run: TaskRun | FlowRun, flow_run_id: object, state: State[Any]) -> Run:
    of = None if flow_run_id is None else str(flow_run_id)
    return Run(str(run.id), name, run.run_count, flow_run_id=of, tries=attempts_of(run, state))


def _arguments(task: Task[Any, Any], error: BaseException) -> Mapping[str, Any]:
    """What the task was called with, from the frame in which it failed: Prefect tells a hook nothing of it."""
    code = getattr(inspect.unwrap(task.fn), "__code__", None)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is code:
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            return {name: frame.f_locals[name] for name in names if name in frame.f_locals}
    return {}


def _cycle(parameters: Any, run_id: object) -> object:
    """A run that works for a cycle names it in its parameters; any other is its own."""
    return (parameters or {}).get("cycle_id", run_id)


def _error_of(state: State[Any]) -> BaseException:
    if isinstance(state.data, BaseException):
        return state.data
    found = _result(state)
    if isinstance(found, BaseException):
        return found
    return ENDED.get(str(state.name), RuntimeError)(state.message or f"ended {state.name} without an exception")


def _result(state: State[Any]) -> object:
    """What a final state holds; a process that was killed left nothing that could be read."""
    try:
        # A hook of an async flow runs on its loop, where the plain call would hand back a coroutine.
        return state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]
    except Exception as error:  # noqa: BLE001 - its own reason is the state's message
        log.debug("the result of state %s could not be read: %s", state.name, error)
        return None


def record(
    run_id: str,
    name: str,
    error: BaseException,
    *,
    attempts: int = 1,
    inputs: Any = None,
    cycle_id: str | None = None,
    flow_run_id: str | None = None,
) -> str:
    """Writes the incident as an artifact and to the ledger, each whether or not the other can be had. Returns the artifact's key."""
    found = _of(error, inputs, cycle_id)
    return _keep(found, Run(run_id, name, attempts, flow_run_id=flow_run_id or _here()))


def record_outage(error: ModelError, verdict: Verdict | None, context: Context, cycle_id: str) -> str:
    """The incident of a question that nobody answered, with what every call ran into."""
    run_id = f"{cycle_id}-{context.instrument.symbol.lower()}"
    attempts = 1 if verdict is None else len(verdict.calls)
    found = incidents.of_verdict(error, verdict, context, cycle_id)
    return _keep(found, Run(run_id, "ask-model", attempts, flow_run_id=_here()))


def record_trouble(run_id: str, name: str, trouble: Trouble, *, cycle_id: str | None = None) -> str:
    """The incident of something found wrong that no exception stands for, with what the ledger holds of its order."""
    return _keep(incidents.of_trouble(trouble, cycle_id=cycle_id), Run(run_id, name, flow_run_id=_here()))


def record_failover(batch: BarBatch) -> None:
    """An incident for each source that failed before another one gave the batch: the cycle goes on, and a person should know.

    Never raises: what could not be written is logged.
    """
    for answer in batch.answers:
        if answer.outcome is Outcome.FAILED:
            try:
                found = incidents.of_answer(answer, batch, _here())
                _keep(found, Run(str(task_run.get_id() or batch.id), FAILOVER, flow_run_id=_here()))
            except Exception:
                log.exception("the incident of %s could not be written", answer.source)


def _here() -> str | None:
    """Id of the flow run that this is in."""
    found = flow_run.get_id()
    return None if found is None else str(found)


def _keep(found: Found, run: Run) -> str:
    """In the ledger (or a file) and as an artifact, each whether or not the other can be had. Returns the artifact's key."""
    key = _key(found)
    _published.add(run.id, key)
    try:
        made, noted, page_of = _written(found, run)
        shown = {**links(run.id, run.flow_run_id, key), **page_of}
        _publish(key, run, page(made, shown, noted), f"{found.type} in {run.name}")
    except Exception:
        log.exception("the incident of %s could not be published as an artifact", run.name)
    return key


def _written(found: Found, run: Run) -> tuple[Incident, str, Mapping[str, str]]:
    """The incident as it is told in this run, where it is kept, and the page of its bars."""
    try:
        engine = runtime.engine()
    except Exception as failure:
        log.exception("the incident of %s could not be written to the ledger", run.name)
        return _without_engine(found, run, failure)
    made = incidents.describe(engine, found, run)
    pages = quality_page(engine, made.batch_id, found.subject.report_id)
    try:
        kept = incidents.record(engine, made)
    except Exception as failure:
        log.exception("the incident of %s could not be written to the ledger", run.name)
        incident_files.save(engine.settings.data_dir, made)
        return (
            made,
            f"incident `{made.id}`, not in the ledger yet: {cell(f'{type(failure).__name__}: {failure}')}",
            pages,
        )
    incidents.take_in(engine)
    return made, f"ledger incident `{kept.id}`, seen {kept.count} time(s): `ffe incidents {kept.id[:12]}`", pages


def _without_engine(found: Found, run: Run, failure: Exception) -> tuple[Incident, str, Mapping[str, str]]:
    made = incidents.without_engine(found, run)
    noted = f"incident `{made.id}`, not in the ledger: {cell(f'{type(failure).__name__}: {failure}')}"
    try:
        incident_files.save(load_settings().data_dir, made)
    except Exception:
        log.exception("the incident of %s could not be kept in a file either: no settings", run.name)
    return made, noted, {}


def _publish(key: str, run: Run, markdown: str, description: str) -> None:
    """With the API's client, because a hook may run where no run is under way: in a worker, or for a run of another process."""
    request = ArtifactCreate(
        key=key,
        type="markdown",
        description=description,
        data=markdown,
        flow_run_id=_uuid(run.flow_run_id),
        task_run_id=None if run.id == run.flow_run_id else _uuid(run.id),
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(request)


def _uuid(text: str | None) -> UUID | None:
    """None for the name that a finding gave itself."""
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
