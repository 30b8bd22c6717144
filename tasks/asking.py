"""Asking the language model about one instrument."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from ffe.cycle import steps
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import task_failed


@task(
    name="ask-model",
    task_run_name="ask-model {context.instrument.symbol}",
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def ask_model(cycle_id: str, context: Context, seconds: float | None = None) -> Verdict:
    """One question, recorded in the ledger before anyone uses the answer. The adapter retries what can be retried."""
    runtime.tell(context.instrument.symbol, "asking the model")
    return steps.ask_model(runtime.engine(), cycle_id, context, seconds)
