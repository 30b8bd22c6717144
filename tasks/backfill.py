"""History into the store, with its progress shown."""

from functools import partial
from typing import Any, cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from expectations.validate import validate_bars
from ffe.cycle import backfill
from ffe.cycle.backfill import Backfilled, Chunk
from ffe.market.models import Instrument, Timeframe
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import task_failed

FAILURES_KEY = "backfill-failures"


@task(
    name="backfill",
    task_run_name="backfill {instrument.symbol} {timeframe}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def backfill_bars(instrument: Instrument, timeframe: Timeframe, days: int) -> Backfilled:
    """What is missing of the newest `days` days, with a progress artifact. The next run goes on where this one was, not Prefect."""
    key = f"backfill-{instrument.symbol}-{timeframe.value}".lower()
    about = f"{instrument.symbol} {timeframe.value}, {days} days"
    # A task without a loop gets the id itself; the types allow a coroutine as well.
    shown = cast("UUID", create_progress_artifact(0.0, key=key, description=about))

    def told(chunk: Chunk, done: float) -> None:
        runtime.tell(instrument.symbol, f"{timeframe.value} {chunk.name}: {chunk.outcome.value}")
        update_progress_artifact(shown, round(done * 100, 1))

    validate = partial(validate_bars, history=True)
    return backfill.backfill(runtime.engine(), instrument, timeframe, days, validate, told=told)


def publish_failures(results: list[Backfilled]) -> None:
    """A table of the chunks that failed with their findings and rows; none when none did."""
    rows = [row for result in results for chunk in result.failed for row in _rows(result, chunk)]
    if rows:
        create_table_artifact(rows, key=FAILURES_KEY, description="chunks of history that were not kept")


def _rows(result: Backfilled, chunk: Chunk) -> list[dict[str, Any]]:
    about = {
        "instrument": result.instrument,
        "timeframe": result.timeframe.value,
        "source": result.source,
        "chunk": chunk.name,
    }
    if chunk.error is not None:
        return [about | {"check": "fetch", "severity": "critical", "message": chunk.error, "rows": ""}]
    return [
        about
        | {
            "check": finding.check,
            "severity": finding.severity.value,
            "message": finding.message,
            "rows": "; ".join(finding.examples),
        }
        for finding in chunk.findings
    ]
