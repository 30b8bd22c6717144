"""`ffe simulator serve`: the venue simulator by itself."""

import subprocess
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer

from ffe.cli.options import BarsOption, StaleOption, settings_from
from ffe.errors import ConfigurationError, RefusedError

app = typer.Typer(help="The venue simulator: OANDA, Coinbase and Alpha Vantage on loopback.", no_args_is_help=True)


@app.callback()
def simulator() -> None:
    """The venue simulator."""


@app.command("serve")
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    bars: BarsOption = None,
    stale_minutes: StaleOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the generated market.")] = None,
    faults: Annotated[Path | None, typer.Option("--faults", help="JSON file of faults; see docs/simulator.md.")] = None,
    alpha_vantage_plan: Annotated[
        Literal["free", "premium"],
        typer.Option(
            "--alpha-vantage-plan", help="What the Alpha Vantage key has paid for: only premium reads intraday bars."
        ),
    ] = "free",
) -> None:
    """Prints one JSON line with base URLs and throw-away credentials, then serves until it is interrupted."""
    from ffe.cli.surroundings import simulator_command

    settings = settings_from(bars=bars, stale_minutes=stale_minutes)
    if seed is not None:
        settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update={"seed": seed})})
    command = [word for word in simulator_command(settings) if word != "--exit-with-stdin"]
    if faults is not None:
        command += ["--faults", str(faults)]
    raise typer.Exit(_call([*command, "--port", str(port), "--alpha-vantage-plan", alpha_vantage_plan]))


def _call(command: list[str]) -> int:
    """Runs it in the foreground; Ctrl-C and SIGTERM reach it, and this process waits for its clean end."""
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        return child.wait()


VenueOption = Annotated[str | None, typer.Option("--venue", help="oanda or coinbase.")]
InstrumentOption = Annotated[str | None, typer.Option("--instrument", help="BTCUSD, EURUSD ...")]


@app.command("halt")
def halt(venue: VenueOption = None, instrument: InstrumentOption = None) -> None:
    """Halts trading at a venue or in one instrument of the simulator that `ffe up` runs."""
    _control("/halt", venue, instrument)


@app.command("outage")
def outage(venue: VenueOption = None) -> None:
    """Lets a venue of the simulator that `ffe up` runs answer 503 to everything."""
    _control("/outage", venue, None)


@app.command("resume")
def resume(venue: VenueOption = None, instrument: InstrumentOption = None) -> None:
    """Ends halts and outages; all of them when none is named."""
    _control("/resume", venue, instrument)


def _control(path: str, venue: str | None, instrument: str | None) -> None:
    from ffe.cli.surroundings import running

    control = running(settings_from().data_dir).get("control")
    if not control:
        raise RefusedError("no simulator of `ffe up` runs on this data folder")
    body = {name: value for name, value in (("venue", venue), ("instrument", instrument)) if value is not None}
    headers = {"Authorization": f"Bearer {control['token']}"}
    reply = httpx.post(f"{control['base_url']}{path}", json=body, headers=headers, trust_env=False, timeout=10)
    if reply.is_error:
        raise ConfigurationError(f"the simulator refused {path}: {reply.text}")
    print(reply.text)
