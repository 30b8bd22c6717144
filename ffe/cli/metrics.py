"""`ffe metrics serve`: the metrics of the ledger for Prometheus, on loopback."""

from typing import Annotated

import typer

from ffe.cli.options import ModeOption, settings_from, with_venues
from ffe.cli.surroundings import Surroundings
from ffe.clock import Clock, OffsetClock, SystemClock
from ffe.ledger.freshness import newest_bars
from ffe.ledger.ledger import Ledger
from ffe.settings import Mode, Settings

PORT = 9464  # what OpenTelemetry's own Prometheus exporter takes by default

app = typer.Typer(help="Metrics for Prometheus.", no_args_is_help=True)


@app.callback()
def metrics() -> None:
    """Metrics for Prometheus."""


@app.command("serve")
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = PORT,
    mode: ModeOption = None,
) -> None:
    """Serves /metrics on 127.0.0.1 from the ledger until it is interrupted; nothing else needs to run."""
    from ffe.observe.metrics import LedgerMetrics, MetricsServer

    settings = settings_from(mode=mode)
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        clock = market_clock(settings, ledger)
        server = MetricsServer(LedgerMetrics(ledger, clock, settings), port)
        try:
            typer.echo(f"{server.url} (Ctrl-C stops it)")
            server.wait()
        finally:
            server.close()
    finally:
        ledger.close()


def market_clock(settings: Settings, ledger: Ledger) -> Clock:
    """The clock that a cycle would have.

    In `sim` that is the simulator's, where one runs. Where none does, its market stands still and will go on from where it stopped:
    the clock goes on from the newest fetch on record.
    """
    with Surroundings(settings) as around:
        around.await_simulator()
        if around.simulator_environment:
            settings = with_venues(settings)
    if settings.mode is Mode.SIM and settings.clock is None and not settings.venue_urls:
        with ledger.database.read() as session:
            fetched = [newest.fetched_at for newest in newest_bars(session)]
        return OffsetClock(max(fetched)) if fetched else SystemClock()
    from ffe.cycle.engine import open_clock

    return open_clock(settings)
