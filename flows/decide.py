"""decide: one model answer for every instrument of a cycle, made for the GPU work pool.

It asks and records; it never sizes and never orders. Whoever called reads the answers from the ledger, so that the two
may run on different machines. A run that starts after `valid_until` does nothing, and one that gets there asks no further and
drops the answer that came too late: its cycle has given up on it and holds.
"""

from datetime import datetime

from prefect import flow

from ffe.clock import SystemClock
from ffe.cycle import steps
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import ModelUnavailableError
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.asking import ask_model
from tasks.incidents import flow_cancelled, flow_failed


@flow(
    name="decide",
    flow_run_name="decide-{cycle_id}",
    on_failure=[flow_failed],
    on_crashed=[flow_failed],
    on_cancellation=[flow_cancelled],
    persist_result=False,
)
@keeps_secrets
async def decide(cycle_id: str, contexts: list[Context], valid_until: datetime) -> dict[str, Verdict]:
    """Verdicts by instrument, of as many as there was time for.

    Args:
        cycle_id: the trading cycle that asks.
        contexts: what the model is told, one an instrument.
        valid_until: wall-clock time after which nobody waits for the answer any more.

    Raises:
        ModelUnavailableError: started too late, or the model is not where the placement policy wants it.
    """
    clock = SystemClock()
    late = (clock.now() - valid_until).total_seconds()
    if late > 0:
        raise ModelUnavailableError(
            f"started {late:.0f} s after the cycle stopped waiting at {valid_until.isoformat()}"
        )
    refusal = steps.refused_placement(runtime.engine())
    if refusal is not None:
        raise ModelUnavailableError(refusal)
    verdicts = {}
    for context in contexts:
        left = (valid_until - clock.now()).total_seconds()
        if left <= 0:
            break
        verdict = ask_model(cycle_id, context, left)
        if clock.now() <= valid_until:
            verdicts[context.instrument.symbol] = verdict
    runtime.engine().record_usage()
    return verdicts
