"""Shadow mode in a cycle: after the orders, so that nothing waits for a strategy on trial, and failing nothing but itself."""

from collections.abc import Iterable

from prefect import task
from prefect.cache_policies import NO_CACHE

from ffe.cycle import shadowing, steps
from ffe.observe.masked_errors import keeps_secrets
from ffe.sources.models import BarBatch
from tasks import runtime
from tasks.incidents import task_failed

# A user's file may loop for ever; the next cycle must not wait for it.
SECONDS = 30


@task(
    name="shadow",
    task_run_name="shadow {batch.instrument.symbol}",
    retries=0,
    timeout_seconds=SECONDS,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def shadow(cycle_id: str, batch: BarBatch) -> int:
    """What the configured strategies say of the newest bar, written down. How many spoke."""
    runtime.tell(batch.instrument.symbol, "asking shadow strategies")
    return sum(each.error is None for each in shadowing.decide_beside(runtime.engine(), cycle_id, batch))


def record_shadows(cycle: steps.Cycle, batches: Iterable[BarBatch]) -> None:
    """For each batch that passed its gates, all at once. Nothing at all without a configured strategy; never raises for one."""
    if not runtime.engine().settings.shadow.strategies:
        return
    for asked in [shadow.submit(cycle.id, batch) for batch in batches]:
        asked.wait()
