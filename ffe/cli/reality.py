"""`ffe reality-check`: the standing invariants of ledger, venues and deployment, looked at now. Exit 3 when one is broken."""

import json
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from ffe.cli.listing import venues
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.pulse_table import sparkline
from ffe.cli.surroundings import deployed_api
from ffe.cli.tables import console, print_rows
from ffe.cycle import incidents
from ffe.cycle.engine import Engine
from ffe.observe.alarms import AUTOMATIONS
from ffe.observe.prefect_api import Api
from ffe.observe.reality import report
from ffe.observe.reality.check import check_reality
from ffe.observe.reality.history import RUNS, Point, counts, remember, trend
from ffe.observe.reality.models import Reality

HistoryOption = Annotated[int, typer.Option("--history", min=1, help="So many runs in the trend, this one included.")]


def reality_check(mode: ModeOption = None, history: HistoryOption = RUNS, as_json: JsonOption = False) -> None:
    """Everything that has to be true at any time: what orders rest on, money, positions, protection, alarms, workers."""
    settings = settings_from(mode=mode)
    api = deployed_api(settings)
    with venues(settings) as engine:
        found = _checked(engine, api)
        points = trend(engine.ledger, history, found.mode)
    if as_json:
        print(json.dumps(report.document(found, points)))
    else:
        _show(found, points)
    if not found.holds:
        raise typer.Exit(3)


def _checked(engine: Engine, api: Api | None) -> Reality:
    """Checked and on record, with an incident for each invariant that held until now."""
    found = remember(engine.ledger, check_reality(engine, api, AUTOMATIONS))
    run_id = f"reality-check-{uuid4().hex}"
    for trouble in report.troubles(found.news):
        incidents.write(engine, incidents.of_trouble(trouble, cycle_id=None), "ffe reality-check", run_id=run_id)
    return found.reality


def _show(found: Reality, points: list[Point]) -> None:
    out = console()
    rows: list[dict[str, Any]] = [*report.table(found)]
    print_rows(f"{found.mode} reality", rows, ("invariant", "holds", "detail"))
    for line in report.lines(found):
        out.print(Text(line), soft_wrap=True)
    past = counts(points)
    out.print(Text(f"broken in the last {len(past)} runs: {sparkline(past, out.encoding)}"))
    out.print(Text(report.sentence(found)))
