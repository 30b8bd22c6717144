"""trading-cycle: from bars to reconciled orders, once. Read it from top to bottom.

    take the accounts that it trades              another cycle holds one: this one is Cancelled, AccountBusy
    reconcile every venue with the ledger             unknown outcomes, fills, positions, protection; differences block entries
    read the kill switch                              HOLD by `halt`, and nobody is asked
    fetch and check the bars of every instrument      closed market, stale or bad bars -> HOLD with its author
    ask the model about the ones that passed          one `decide` run for all of them, on the GPU pool or inline
    size and order, the most confident first          HOLD by the risk gate, or one order at the venue
    write down what shadow strategies say             only where some are configured; they never order
    publish the report

One instrument's failure never stops the others: it becomes an incident, and the run ends Failed when every step is done.
Run it in process with `python -m flows.trading_cycle`.
"""

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from ffe.cycle import steps
from ffe.cycle.report import CycleReport
from ffe.decision.models import Context, Decision
from ffe.errors import AccountBusyError
from ffe.market.models import Instrument, parse_instrument, parse_timeframe
from ffe.observe.masked_errors import keeps_secrets
from ffe.sources.models import BarBatch
from flows.parameters import InstrumentName, TimeframeName
from flows.row import Row, cycle_report
from flows.verdicts import verdicts_for
from tasks import runtime
from tasks.accounts import reconcile_venue
from tasks.bars import check_bars, closed_market, fetch_bars, halted
from tasks.incidents import INSTRUMENTS_FAILED, flow_cancelled, flow_failed
from tasks.limits import ACCOUNT_BUSY, account_limits
from tasks.quality import publish_quality, publish_trend
from tasks.shadow import record_shadows
from tasks.stages import Stages
from tasks.summaries import publish_report
from tasks.trading import plan_order, resume_order, submit_order


@flow(
    name="trading-cycle",
    flow_run_name="trading-cycle-{timeframe}",
    task_runner=ThreadPoolTaskRunner(max_workers=4),  # type: ignore[arg-type]
    on_failure=[flow_failed],
    on_crashed=[flow_failed],
    on_cancellation=[flow_cancelled],
)
@keeps_secrets
async def trading_cycle(
    instruments: list[InstrumentName] | None = None, timeframe: TimeframeName | None = None
) -> dict[str, Any] | State[Any]:
    """One cycle; its report, which the ledger keeps too.

    Args:
        instruments: names such as BTCUSD or EUR_USD; the settings' own when left empty.
        timeframe: 1m, 5m, 15m, 30m, 1h, 4h or 1d; the settings' own when left empty.
    """
    engine = runtime.engine()
    wanted = [parse_instrument(name) for name in instruments] if instruments else list(engine.settings.instruments)
    frame = engine.settings.timeframe if timeframe is None else parse_timeframe(timeframe)
    try:
        async with account_limits({instrument.venue for instrument in wanted}):
            report = await run_cycle(steps.Cycle(id=str(flow_run.get_id()), timeframe=frame), wanted)
    except AccountBusyError as busy:
        return Cancelled(name=ACCOUNT_BUSY, message=str(busy))
    if report.failed:
        names = ", ".join(row.instrument for row in report.failed)
        return Failed(
            name=INSTRUMENTS_FAILED,
            message=f"{len(report.failed)} of {len(report.instruments)} instruments failed: {names}",
        )
    return report.model_dump(mode="json")


async def run_cycle(cycle: steps.Cycle, instruments: list[Instrument]) -> CycleReport:
    """The cycle itself, inside a flow run."""
    engine, stages = runtime.engine(), Stages()
    started_at = engine.clock.now()
    engine.ledger.start_cycle(cycle.id, engine.settings.mode.value, cycle.timeframe.value, started_at)
    rows = [Row(cycle, instrument) for instrument in instruments]

    with stages.timed("reconcile"):
        venues = sorted({row.instrument.venue for row in rows})
        for venue, reconciled in [(venue, reconcile_venue.submit(venue, cycle.id)) for venue in venues]:
            for row in rows:
                if row.instrument.venue == venue:
                    row.settle(reconciled, "reconcile-venue")

    with stages.timed("bars"):
        for row in rows:
            row.decision = row.decision or halted(cycle, row.instrument) or closed_market(cycle, row.instrument)
        fetching = [(row, fetch_bars.submit(row.instrument, cycle.timeframe)) for row in rows if row.undecided]
        for row, fetched in fetching:
            row.bars = row.settle(fetched, "fetch-bars")

    with stages.timed("quality"):
        checking = [(row, check_bars.submit(cycle, row.bars)) for row in rows if row.undecided and row.bars is not None]
        for row, checked in checking:
            row.checked = row.settle(checked, "check-bars")
            row.decision = None if row.checked is None else row.checked.hold

    with stages.timed("decide"):
        for row in rows:
            row.find_earlier_order()
        asking = [row for row in rows if row.undecided and row.context is not None]
        verdicts = await verdicts_for(cycle, [row.context for row in asking if row.context is not None], stages)
        for row in asking:
            row.decide(verdicts)

    with stages.timed("orders"):
        for row in sorted(rows, key=Row.rank):
            place_order(row)
    record_shadows(cycle, [row.batch for row in rows if row.batch is not None and row.context is not None])

    with stages.timed("publish"):
        report = cycle_report(cycle, rows, started_at, stages)
        publish_report(report, published_pages(rows))
        publish_trend.submit().wait()
    engine.ledger.finish_cycle(cycle.id, report.finished_at, report.model_dump(mode="json"))
    engine.record_usage()
    return report


def published_pages(rows: list[Row]) -> dict[str, str | None]:
    """Publishes the quality of every batch that was checked; where the page behind each decision is."""
    publishing = [
        (row, publish_quality.submit(row.batch, row.checked.report, *row.standing, frames=row.checked.frames))
        for row in rows
        if row.batch is not None and row.checked is not None
    ]
    places = {row.instrument.symbol: published.result(raise_on_failure=False) for row, published in publishing}
    return {symbol: place if isinstance(place, str) else None for symbol, place in places.items()}


def place_order(row: Row) -> None:
    """Takes up the order of an earlier run, or plans and sends a new one where the decision asks for it."""
    if row.earlier is not None:
        row.order = row.settle(resume_order.submit(row.earlier, row.instrument), "resume-order")
    if row.earlier is not None or row.tradeable is None:
        return
    plan_and_send(row, *row.tradeable)
    if row.reversing:
        plan_and_send(row, *row.tradeable)


def plan_and_send(row: Row, decision: Decision, context: Context, batch: BarBatch) -> None:
    row.planned = row.settle(plan_order.submit(decision, context, batch), "plan-order")
    if row.planned is not None and row.planned.plan is not None:
        planned = row.planned
        sent = submit_order.submit(row.planned.plan, batch, planned.available, planned.available_at)
        row.order = row.settle(sent, "submit-order")


if __name__ == "__main__":
    asyncio.run(trading_cycle())
