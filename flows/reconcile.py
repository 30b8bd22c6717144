"""reconcile: every venue against the ledger, on schedule. Ends Failed, and says where, while a difference remains.

Run it in process with `python -m flows.reconcile`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed

from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.accounts import reconcile_venue
from tasks.crashed import record_crashed_runs
from tasks.incidents import DIFFERENCES, flow_cancelled, flow_failed
from tasks.summaries import publish_reconciliation


@flow(name="reconcile", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def reconcile() -> dict[str, Any] | State[Any]:
    """Settles unknown outcomes, books what the ledger missed, checks positions, protection and money; blocks what differs."""
    record_crashed_runs()
    cycle_id = str(flow_run.get_id())
    running = [reconcile_venue.submit(venue, cycle_id) for venue in runtime.engine().settings.venues]
    results = [each.result() for each in running]
    publish_reconciliation(results)
    runtime.engine().record_usage()
    differing = [f"{each.venue}: {len(each.open)}" for each in results if each.open]
    if differing:
        return Failed(name=DIFFERENCES, message=f"differences between venue and ledger: {', '.join(differing)}")
    return {each.venue: list(each.settled) for each in results}


if __name__ == "__main__":
    reconcile()
