"""Keeping ledger and venue the same: reconciliation, and exits that the venue can't hold."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from ffe.cycle import account
from ffe.observe.masked_errors import keeps_secrets
from ffe.orders.findings import Reconciliation
from ffe.orders.models import Order
from tasks import runtime
from tasks.incidents import record_trouble, task_failed


@task(
    name="reconcile-venue",
    task_run_name="reconcile-venue {venue}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def reconcile_venue(venue: str, cycle_id: str) -> Reconciliation:
    """Orders, fills, positions, protection and money of one venue against the ledger. The next run repeats it, not Prefect."""
    runtime.tell(venue, "reconciling")
    result = account.reconcile_venue(runtime.engine(), venue, cycle_id)
    for number, trouble in enumerate(result.incidents):
        record_trouble(f"{task_run.get_id()}-{number}", "reconcile-venue", trouble, cycle_id=cycle_id)
    return result


@task(
    name="watch-exits",
    task_run_name="watch-exits {venue}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def watch_exits(venue: str, cycle_id: str) -> list[Order]:
    """Closes, reduce-only, what has reached a stop or target that rests nowhere but in the ledger."""
    return account.watch_exits(runtime.engine(), venue, cycle_id)
