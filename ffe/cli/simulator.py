"""`ffe simulator serve`: the venue simulator by itself."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ffe.cli.options import BarsOption, StaleOption, settings_from

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
) -> None:
    """Prints one JSON line with base URLs and throw-away credentials, then serves until it is interrupted."""
    from ffe.cli.surroundings import simulator_command

    settings = settings_from(bars=bars, stale_minutes=stale_minutes)
    if seed is not None:
        settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update={"seed": seed})})
    command = [word for word in simulator_command(settings) if word != "--exit-with-stdin"]
    raise typer.Exit(_call([*command, "--port", str(port)], settings.data_dir))


def _call(command: list[str], data_dir: Path) -> int:
    """Runs it in the foreground; Ctrl-C and SIGTERM reach it, and this process waits for its clean end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        return child.wait()


if __name__ == "__main__":
    sys.exit("use: ffe simulator serve")
