"""`ffe preflight`: five questions to every venue and provider. Exit 0 ready, 3 signal-only, 4 refused."""

import typer
from rich.table import Table
from rich.text import Text

from ffe.cli.listing import venues
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import console
from ffe.errors import RefusedError, VenueError
from ffe.observe.preflight_models import Preflight
from ffe.venues.probe import QUESTIONS

COLOURS = {"yes": "green", "no": "red", "unknown": "yellow", "not-needed": "dim"}
EXIT = {"ready": 0, "signal-only": 3, "refused": RefusedError.exit_code}


def preflight(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Authenticated checks of every venue and provider, the clocks, the ledger and the disk; the result is recorded."""
    found = _look(mode)
    if as_json:
        print(found.model_dump_json())
    else:
        show(found)
    if found.outcome != "ready":
        raise typer.Exit(EXIT[found.outcome])


def _look(mode: str | None) -> Preflight:
    """Raises RefusedError when in `sim` no venue tells the time: the engine's clock is theirs."""
    from ffe.cycle import readiness
    from ffe.observe.preflight import run_preflight

    try:
        with venues(settings_from(mode=mode)) as engine:
            return readiness.record(engine, run_preflight(engine))
    except VenueError as error:
        raise RefusedError(f"preflight refused: no venue answered: {error}") from error


def show(found: Preflight) -> None:
    out = console()
    table = Table(title=f"preflight in {found.mode}: {found.outcome}", title_justify="left")
    for heading in ("provider", *QUESTIONS):
        table.add_column(heading.replace("_", " "))
    for each in found.providers:
        says = [Text(answer.says, style=COLOURS[answer.says]) for answer in each.answers.values()]
        table.add_row(Text(each.provider if each.needed else f"{each.provider} (not needed)"), *says)
    out.print(table)
    for line in _lines(found):
        out.print(Text(line), soft_wrap=True)


def _lines(found: Preflight) -> list[str]:
    lines = [
        f"{each.provider}, {name.replace('_', ' ')}: {answer.detail}"
        for each in found.providers
        for name, answer in each.answers.items()
        if answer.says != "not-needed"
    ]
    lines += [f"{each.provider}: {why}" for each in found.providers for why in each.refusals]
    lines += [f"{each.name}: {'' if each.passed else 'FAILED: '}{each.detail}" for each in found.checks]
    spent = f"{found.took_ms:.0f} ms, {found.network_ms:.0f} of them waiting for replies"
    return [*lines, *found.notes, f"{found.outcome}: {found.reason} ({spent})"]
