"""backfill-bars: old bars into the store, newest first. Ends Failed, and names the chunks, when some could not be had or did not pass.

    for every instrument and timeframe                  a progress artifact each
        cut the days into chunks                        a month, or less where pages are small
        ask for what is not covered                     a run that was stopped goes on where it was
        hold each chunk to the suite                    what passes is kept
    publish the chunks that failed, with their rows

Run it in process with `python -m flows.backfill_bars`.
"""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import Field

from ffe.cycle.backfill import Backfilled
from ffe.market.models import parse_instrument, parse_timeframe
from ffe.observe.masked_errors import keeps_secrets
from flows.parameters import InstrumentName, TimeframeName
from tasks import runtime
from tasks.backfill import backfill_bars as backfill_one
from tasks.backfill import publish_failures
from tasks.incidents import flow_cancelled, flow_failed

# Name of the state of a backfill that did all it could and did not get everything.
CHUNKS_FAILED = "ChunksFailed"


@flow(name="backfill-bars", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def backfill_bars(
    instruments: list[InstrumentName] | None = None,
    timeframes: list[TimeframeName] | None = None,
    days: Annotated[int, Field(ge=1, le=3650)] = 30,
) -> dict[str, Any] | State[Any]:
    """What became of every chunk, by instrument and timeframe.

    Args:
        instruments: names such as BTCUSD or EUR_USD; the settings' own when left empty.
        timeframes: any of 1m, 5m, 15m, 30m, 1h, 4h and 1d; the settings' own when left empty.
        days: how many days back from now; what is stored already is not asked again.
    """
    settings = runtime.engine().settings
    wanted = [parse_instrument(name) for name in instruments] if instruments else list(settings.instruments)
    frames = [parse_timeframe(name) for name in timeframes] if timeframes else [settings.timeframe]
    results: list[Backfilled] = []
    failed: list[str] = []
    for instrument in wanted:
        for timeframe in frames:
            state = backfill_one(instrument, timeframe, days, return_state=True)
            result = state.result(raise_on_failure=False)
            if isinstance(result, Backfilled):
                results.append(result)
                failed += [f"{instrument.symbol} {timeframe.value} {chunk.name}" for chunk in result.failed]
            else:
                failed.append(f"{instrument.symbol} {timeframe.value}: {state.message}")
    publish_failures(results)
    if failed:
        return Failed(name=CHUNKS_FAILED, message=f"{len(failed)} chunks failed: {'; '.join(failed)}")
    return {f"{result.instrument} {result.timeframe.value}": result.model_dump(mode="json") for result in results}


if __name__ == "__main__":
    backfill_bars()
