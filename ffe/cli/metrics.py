"""`ffe metrics`: the metrics of the ledger, served for Prometheus and pushed to OpenTelemetry, printed once, or listed."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ffe.cli.options import JsonOption, ModeOption, with_venues
from ffe.cli.surroundings import Surroundings
from ffe.clock import Clock, OffsetClock, SystemClock
from ffe.ledger.freshness import newest_bars
from ffe.ledger.ledger import Ledger
from ffe.settings import Mode, Settings, load_settings

if TYPE_CHECKING:
    from ffe.observe.metrics import LedgerMetrics

app = typer.Typer(help="Metrics for Prometheus and OpenTelemetry.", no_args_is_help=True)


@app.command("serve")
def serve(
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one; FFE_METRICS__PORT if left out.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to serve at; FFE_METRICS__HOST (127.0.0.1) if left out.")
    ] = None,
    mode: ModeOption = None,
) -> None:
    """Serves /metrics from the ledger until it is interrupted; nothing else needs to run. With FFE_METRICS__OTLP_ENDPOINT it pushes them too."""
    from ffe.observe.metrics import MetricsServer

    settings = _settings(mode)
    knobs = settings.metrics
    with _opened(settings) as metrics, ExitStack() as running:
        # Old rows are read once, and now: the first scrape is then as quick as every other.
        list(metrics.collect())
        address = knobs.port if port is None else port, knobs.host if host is None else host
        server = running.enter_context(closing(MetricsServer(metrics, *address)))
        pushed = ""
        if knobs.otlp_endpoint is not None:
            from ffe.observe.metrics.otlp import OtlpPush

            push = running.enter_context(closing(OtlpPush(metrics, knobs.otlp_endpoint, knobs)))
            pushed = f", pushed to {push.shown} every {knobs.otlp_seconds:g} s"
        typer.echo(f"{server.url} (Ctrl-C stops it){pushed}")
        server.wait()


@app.command("print")
def print_metrics(mode: ModeOption = None) -> None:
    """One exposition on stdout, as a scrape would get it."""
    from prometheus_client import generate_latest

    from ffe.observe.metrics.server import registry_of

    with _opened(_settings(mode)) as metrics:
        typer.echo(generate_latest(registry_of(metrics)).decode(), nl=False)


@app.command("list")
def list_metrics(as_json: JsonOption = False) -> None:
    """Every metric that there is: name, kind, labels and what it says."""
    from ffe.observe.metrics import METRICS

    if as_json:
        typer.echo(json.dumps([spec._asdict() for spec in METRICS.values()], indent=2))
        return
    for spec in METRICS.values():
        labels = f"{{{', '.join(spec.labels)}}}" if spec.labels else ""
        typer.echo(f"{spec.name}{labels}  {spec.kind}\n    {spec.help}")


def _settings(mode: str | None) -> Settings:
    """Unlike other commands this one works beside a data folder that it may only read, or has not got: the ledger may be elsewhere."""
    settings = load_settings(mode=mode)
    return settings.model_copy(update={"data_dir": settings.data_dir.resolve()})


@contextmanager
def _opened(settings: Settings) -> Iterator["LedgerMetrics"]:
    from ffe.observe.metrics import LedgerMetrics

    with closing(Ledger.open(settings.resolved_ledger_url)) as ledger:
        yield LedgerMetrics(ledger, market_clock(settings, ledger), settings)


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
