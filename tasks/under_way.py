"""What a run was doing when it was stopped from outside: no exception says it, Prefect's list of its task runs does."""

import logging
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from ffe.clock import rfc3339
from ffe.observe.masking import masked

SECONDS = 3.0
MOST = 60

log = logging.getLogger(__name__)


def told(flow_run_id: object) -> str:
    """One line for each task run in the order of their start, the unfinished ones marked. Never raises: without an API it says so."""
    try:
        runs = _task_runs(flow_run_id)
    except Exception as error:  # noqa: BLE001 - the incident is written without it
        log.debug("the task runs of %s could not be read: %s", flow_run_id, error)
        return "its task runs could not be read"
    if not runs:
        return "no task had started"
    return "\n".join(_line(run) for run in runs)


def _task_runs(flow_run_id: object) -> list[TaskRun]:
    of = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(str(flow_run_id))]))
    with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
        return client.read_task_runs(flow_run_filter=of, sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=MOST)[::-1]


def _line(run: TaskRun) -> str:
    state = run.state
    began = "not begun" if run.start_time is None else f"since {rfc3339(run.start_time)}"
    if state is None or not state.is_final():
        return f"UNDER WAY  {run.name}: {'unknown' if state is None else state.name}, {began}"
    return f"finished   {run.name}: {masked(state.name or state.type.value)}"
