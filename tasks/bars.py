"""Fetching and checking bars."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from ffe.cycle import bars, ordering, steps
from ffe.cycle.bars import Bars
from ffe.decision.models import Decision
from ffe.errors import TransientSourceError
from ffe.market.models import Instrument, Timeframe
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import record_failover, task_failed
from tasks.quality import validate_and_save
from tasks.retrying import worth_retrying


@task(
    name="fetch-bars",
    task_run_name="fetch-bars {instrument.symbol} {timeframe}",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_jitter_factor=0.3,
    retry_condition_fn=worth_retrying(TransientSourceError),
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def fetch_bars(instrument: Instrument, timeframe: Timeframe) -> Bars:
    """The newest complete bars of one instrument and of its pulse, each stored as a batch. Reads only, so it may be retried.

    A source that failed leaves its incident, also when the next one answered.
    """
    runtime.tell(instrument.symbol, "fetching bars")
    engine = runtime.engine()
    batch = bars.fetch_batch(engine, instrument, timeframe)
    record_failover(batch)
    return Bars(batch=batch, frames=bars.fetch_frames(engine, batch))


@task(
    name="check-bars",
    task_run_name="check-bars {fetched.batch.instrument.symbol}",
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def check_bars(cycle: steps.Cycle, fetched: Bars) -> steps.Checked:
    """Freshness, then the Great Expectations suite; either a HOLD by `data-gate` or the context for the model."""
    runtime.tell(fetched.batch.instrument.symbol, "checking bars")
    return steps.check_batch(runtime.engine(), cycle, fetched.batch, validate_and_save, fetched.frames)


def closed_market(cycle: steps.Cycle, instrument: Instrument) -> Decision | None:
    """HOLD by `market-hours` while the market is closed. Plain: it asks nobody."""
    return steps.closed_market(runtime.engine(), cycle, instrument)


def halted(cycle: steps.Cycle, instrument: Instrument) -> Decision | None:
    """HOLD by `halt` while the kill switch stops everybody. Plain: it reads one row."""
    return ordering.halted(runtime.engine(), cycle, instrument)
