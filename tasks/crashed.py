"""Incidents of runs that nobody was left to report: worker and process killed at once, a machine that has gone, a run cancelled while it waited.

A run's own hooks, or its worker's, write the incident of a crash or a cancellation where one of them lives on. Whoever calls this looks for
runs of our flows that ended so and have none, and writes it for them. Once a run: the ledger names the runs of its incidents.
"""

import logging
from datetime import datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from ffe.clock import SystemClock
from ffe.cycle import incidents
from tasks import runtime
from tasks.incidents import ended_of, keep
from tasks.limits import ACCOUNT_BUSY

# Of flows that this project has; others may use the same server.
FLOWS = (
    "trading-cycle",
    "decide",
    "reconcile",
    "watch-exits",
    "reality-check",
    "grade-decisions",
    "preflight",
    "sync-instruments",
    "backfill-bars",
    "retention",
    "replay",
    "sweep",
)
# How far back is looked, and how long a run's own hook has to write first.
BACK = timedelta(hours=24)
HOOKS = timedelta(seconds=60)
MOST = 50
# As many as the API gives at once: a burst of dropped runs must not hide a crash.
LOOKED_AT = 200
SECONDS = 5.0

log = logging.getLogger(__name__)


def record_crashed_runs() -> int:
    """Writes the incidents that are missing, at most MOST; how many. Never raises. Takes in what waits in files, too."""
    try:
        engine = runtime.engine()
        incidents.take_in(engine)
        now = SystemClock().now()
        known = engine.ledger.runs_with_incidents(engine.clock.now() - BACK - timedelta(hours=1))
        found = [run for run in _ended(now - BACK, now - HOOKS) if str(run.id) not in known]
    except Exception:
        log.exception("crashed runs could not be looked for")
        return 0
    return sum(_record(run) for run in found)


def _ended(after: datetime, before: datetime) -> list[FlowRun]:
    """Runs of ours that ended Crashed or Cancelled within that time, oldest first."""
    kinds = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.CANCELLED]))
    ended = FlowRunFilterEndTime(after_=after, before_=before)
    with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
            flow_run_filter=FlowRunFilter(state=kinds, end_time=ended),
            sort=FlowRunSort.END_TIME_DESC,
            limit=LOOKED_AT,
        )
        # A run that was cancelled by its collision strategy never began: CANCEL_NEW is how one cycle at a time is kept. One that found its
        # account taken did nothing.
        begun = [run for run in runs if run.run_count > 0 and run.state_name != ACCOUNT_BUSY]
        return begun[:MOST][::-1]


def _record(run: FlowRun) -> bool:
    try:
        if run.state is None:
            return False
        keep(ended_of(run, run.state), run, _flow_name(run), run.state)
    except Exception:
        log.exception("the incident of run %s could not be written", run.id)
        return False
    return True


def _flow_name(run: FlowRun) -> str:
    with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
        return client.read_flow(run.flow_id).name
