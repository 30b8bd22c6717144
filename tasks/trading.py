"""Sizing and sending orders. The task that sends has no retries: only the resolver may look at an order again."""

from datetime import datetime
from decimal import Decimal

from prefect import task
from prefect.cache_policies import NO_CACHE

from ffe.cycle import ordering
from ffe.decision.models import Context, Decision
from ffe.errors import VenueReadError
from ffe.market.models import Instrument
from ffe.observe.masked_errors import keeps_secrets
from ffe.orders.models import Order
from ffe.risk.gate import TradePlan
from ffe.sources.models import BarBatch
from tasks import runtime
from tasks.incidents import task_failed
from tasks.retrying import worth_retrying


@task(
    name="plan-order",
    task_run_name="plan-order {decision.instrument} {decision.action}",
    retries=1,
    retry_delay_seconds=1,
    retry_condition_fn=worth_retrying(VenueReadError),
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def plan_order(decision: Decision, context: Context, batch: BarBatch) -> ordering.Planned:
    """Size, stop and target from the venue's own balance and rules; or HOLD by the gate that said no. Reads only."""
    runtime.tell(decision.instrument, "sizing")
    return ordering.plan_order(runtime.engine(), decision, context, batch)


@task(
    name="submit-order",
    task_run_name="submit-order {plan.intent.side} {plan.intent.instrument}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def submit_order(plan: TradePlan, batch: BarBatch, available: Decimal, available_at: datetime) -> Order:
    """Sends at most one request. Never retried: an unknown outcome is looked up, not sent again."""
    runtime.tell(plan.intent.instrument, "submitting the order")
    return ordering.submit(runtime.engine(), plan, batch, available, available_at)


@task(
    name="resume-order",
    task_run_name="resume-order {instrument.symbol}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def resume_order(order: Order, instrument: Instrument) -> Order:
    """Carries on the order that a crash left unsent on this very bar."""
    runtime.tell(instrument.symbol, "resuming the order")
    return ordering.resume(runtime.engine(), order, instrument)
