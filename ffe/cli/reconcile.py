"""`ffe reconcile`: venue against ledger, once. Exit 3 while a difference remains."""

import json
from typing import Annotated, Any
from uuid import uuid4

import typer

from ffe.cli.listing import venues
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.cycle import account, incidents
from ffe.cycle.engine import Engine
from ffe.errors import ConfigurationError, VenueError
from ffe.observe.masking import masked
from ffe.orders.reconcile import acknowledge

AcceptOption = Annotated[
    str | None, typer.Option("--accept", help="Id (or its first 6 characters) of a difference that you have looked at.")
]
NoteOption = Annotated[str | None, typer.Option("--note", help="Why it is accepted; kept with it.")]


def reconcile(
    accept: AcceptOption = None, note: NoteOption = None, mode: ModeOption = None, as_json: JsonOption = False
) -> None:
    """Orders, fills, positions, protection and balances of every venue against the ledger; settles what it can."""
    if note is not None and accept is None:
        raise ConfigurationError("--note belongs to --accept ID")
    with venues(settings_from(mode=mode)) as engine:
        if accept is not None:
            _accept(engine, accept, note or "seen")
        results = [_one(engine, venue) for venue in engine.settings.venues]
    if as_json:
        print(json.dumps(results))
    else:
        _show(results)
    if any(result["error"] is not None or result["open"] for result in results):
        raise typer.Exit(3)


def _accept(engine: Engine, wanted: str, note: str) -> None:
    """Raises ConfigurationError when no open difference, or more than one, begins so."""
    found = [each for each in engine.ledger.differences() if each.id.startswith(wanted)]
    if len(wanted) < 6 or len(found) != 1:
        raise ConfigurationError(
            f"{wanted!r} names {len(found)} open differences; give the id that `ffe reconcile` shows"
        )
    acknowledge(engine.ledger, engine.broker(found[0].venue), engine.clock, found[0].id, note)


def _one(engine: Engine, venue: str) -> dict[str, Any]:
    """A venue that does not answer is an error of its own: nothing is known then, least of all that all is well."""
    run_id = f"reconcile-{uuid4().hex}"
    try:
        done = account.reconcile_venue(engine, venue, run_id)
    except VenueError as error:
        incidents.write(engine, incidents.of_error(error), "ffe reconcile", run_id=run_id)
        return {"venue": venue, "error": masked(f"{type(error).__name__}: {error}"), "settled": [], "open": []}
    for trouble in done.incidents:
        incidents.write(engine, incidents.of_trouble(trouble, cycle_id=None), "ffe reconcile", run_id=run_id)
    document = done.model_dump(mode="json", include={"venue", "account", "at", "settled", "open"})
    return document | {"error": None}


def _show(results: list[dict[str, Any]]) -> None:
    out = console()
    for result in results:
        if result["error"] is not None:
            out.print(f"{result['venue']}: not reconciled: {result['error']}", soft_wrap=True)
            continue
        out.print(f"{result['venue']} {result['account']}: {'differences remain' if result['open'] else 'agrees'}")
        for line in result["settled"]:
            out.print(f"  settled: {line}", soft_wrap=True)
    rows = [row for result in results for row in result["open"]]
    if rows:
        print_rows("differences", rows, ("id", "venue", "instrument", "kind", "venue_says", "ledger_says", "message"))
        out.print("New exposure there is blocked. `ffe reconcile --accept ID --note TEXT` acknowledges one.")
