"""`ffe run`: one trading cycle in this process, shown in Prefect."""

import asyncio
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import typer

from ffe.cli.options import (
    BarsOption,
    Instruments,
    JsonOption,
    ModelOption,
    ModeOption,
    StaleOption,
    TimeframeOption,
    settings_from,
    with_venues,
)
from ffe.cli.progress import Progress, progress
from ffe.cli.surroundings import Surroundings, check_shadow
from ffe.errors import FfeError, RefusedError
from ffe.llm.factory import check_model_file
from ffe.settings import Mode, Settings

if TYPE_CHECKING:
    from ffe.cycle.engine import Engine


def run(
    instruments: Instruments = None,
    timeframe: TimeframeOption = None,
    mode: ModeOption = None,
    model: ModelOption = None,
    bars: BarsOption = None,
    stale_minutes: StaleOption = None,
    as_json: JsonOption = False,
) -> None:
    """One trading cycle, in process: fetch, check, decide, size, order, report."""
    settings = settings_from(
        instruments=instruments, timeframe=timeframe, mode=mode, model=model, bars=bars, stale_minutes=stale_minutes
    )
    report = run_cycle(settings)
    if as_json:
        print(json.dumps(report))
    else:
        from ffe.cli.tables import print_cycle

        print_cycle(report)
    _warn_of_switch(settings)
    if any(row["error"] is not None for row in report["instruments"]):
        raise typer.Exit(3)
    if all((row["decision"] or {}).get("decided_by") == "halt" for row in report["instruments"]):
        raise typer.Exit(RefusedError.exit_code)


def _warn_of_switch(settings: Settings) -> None:
    """A switch that is set explains orders that are missing from the table, also where another gate spoke first."""
    from ffe.ledger.ledger import Ledger
    from ffe.orders.switch import SwitchState

    ledger = Ledger.open(settings.resolved_ledger_url)
    standing = ledger.switch()
    ledger.close()
    if standing.state is not SwitchState.NORMAL:
        print(f"ffe: the kill switch is at {standing}", file=sys.stderr)


def run_cycle(settings: Settings) -> dict[str, Any]:
    """The report of one cycle, as the ledger keeps it."""
    check_model_file(settings)
    check_shadow(settings)
    if settings.mode is not Mode.SIM or settings.venue_urls:
        from ffe.cycle.engine import check_ready

        check_ready(settings)
    with Surroundings(settings) as around, progress(settings.instruments) as tell:
        around.start_simulator()
        around.start_api()
        tell("", "starting the venue, the model and Prefect")
        from ffe.cycle.engine import Engine
        from ffe.cycle.readiness import require
        from ffe.llm.embedded import EmbeddedModel

        around.await_simulator()
        engine = Engine.open(with_venues(settings))
        try:
            require(engine)
            if isinstance(engine.model, EmbeddedModel):
                engine.model.start()
            from expectations.validate import warm

            threading.Thread(target=warm, name="warm-expectations").start()
            around.await_api()
            return _in_prefect(engine, tell)
        finally:
            engine.close()


def _in_prefect(engine: "Engine", tell: Progress) -> dict[str, Any]:
    from prefect.client.schemas.objects import State

    from flows.trading_cycle import trading_cycle
    from tasks import runtime
    from tasks.limits import ACCOUNT_BUSY

    runtime.use(engine, tell)
    names = [instrument.symbol for instrument in engine.settings.instruments]

    async def cycle() -> State[Any]:
        return await trading_cycle(names, engine.settings.timeframe.value, return_state=True)

    state = asyncio.run(cycle())
    if state.name == ACCOUNT_BUSY:
        raise RefusedError(f"{state.message}; nothing was done")
    report = engine.ledger.cycle(str(state.state_details.flow_run_id)).summary
    if report is None:
        state.result()
        raise FfeError(f"the cycle ended {state.name} without a report: {state.message}")
    return report
