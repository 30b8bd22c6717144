"""`ffe health`: the components of the running system. Exit 0 healthy, 3 degraded, 4 unhealthy."""

import os
import threading

import typer
from rich.table import Table
from rich.text import Text

from ffe.cli.options import JsonOption, ModeOption, settings_from, with_venues
from ffe.cli.surroundings import deployed_api, running
from ffe.cli.tables import console
from ffe.clock import Clock
from ffe.cycle.engine import open_clock
from ffe.errors import FfeError
from ffe.observe.health import check_health
from ffe.observe.health_models import Health, Status
from ffe.settings import Mode, Settings

COLOURS = {Status.HEALTHY: "green", Status.DEGRADED: "yellow", Status.UNHEALTHY: "red"}
EXIT = {Status.HEALTHY: 0, Status.DEGRADED: 3, Status.UNHEALTHY: 4}
CLOCK_SECONDS = 10.0


def health(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Server, workers, late runs, GPU, ledger, disk, age of bars, cycles and checks, unresolved orders, kill switch."""
    settings = settings_from(mode=mode)
    found = check_health(settings, deployed_api(settings), _clock(settings))
    if as_json:
        print(found.model_dump_json())
    else:
        _show(found)
    if found.status is not Status.HEALTHY:
        raise typer.Exit(EXIT[found.status])


def _clock(settings: Settings) -> Clock | None:
    """The engine's. In `sim` the simulator tells it: None where none runs, or it does not answer in time."""
    if settings.mode is Mode.SIM and settings.clock is None and not settings.venue_urls:
        simulator = running(settings.data_dir).get("simulator")
        if not simulator:
            return None
        os.environ.update(simulator)
        settings = with_venues(settings)
    found: list[Clock] = []

    def ask() -> None:
        try:
            found.append(open_clock(settings))
        except FfeError:
            return

    thread = threading.Thread(target=ask, name="clock", daemon=True)
    thread.start()
    thread.join(CLOCK_SECONDS)
    return found[0] if found else None


def _show(found: Health) -> None:
    out = console()
    table = Table(title=f"{found.status} in {found.mode}", title_justify="left")
    for heading in ("component", "status", "what was found"):
        table.add_column(heading, overflow="fold")
    for each in found.components:
        table.add_row(Text(each.name), Text(each.status, style=COLOURS[each.status]), Text(each.detail))
    out.print(table)
