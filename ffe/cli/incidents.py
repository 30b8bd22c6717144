"""`ffe incidents [ID]`: the failures of the ledger, and one of them whole. Those that no ledger would take yet are read from their files."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from ffe.cli.listing import LimitOption
from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import PlainSpoken, console, print_rows
from ffe.cycle import incident_files
from ffe.errors import ConfigurationError, LedgerError, RefusedError
from ffe.ledger.incidents import SHORTEST_PREFIX
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Incident
from ffe.settings import Settings

WIDTH = 80
IdArgument = Annotated[
    str | None,
    typer.Argument(
        help="An incident's id or its first 6 characters, the artifact of it, or the id of a run that it is of."
    ),
]


def incidents(
    id: IdArgument = None,  # noqa: A002 - what the argument is called
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Failures of the ledger, newest first; with an ID everything that is known of one."""
    settings = settings_from()
    if id is not None:
        _show_one(_one(settings, id.strip()), as_json=as_json)
        return
    rows, refused = _all(settings, limit)
    if as_json:
        print(json.dumps(rows))
    else:
        print_rows("incidents", rows, ("created_at", "type", "message", "count", "cycle_id", "id"))
        if rows:
            print("one of them whole: ffe incidents ID")
    if refused is not None:
        print(f"ffe: {refused}; what waits in files is shown", file=sys.stderr)
        raise typer.Exit(refused.exit_code)


def _all(settings: Settings, limit: int) -> tuple[list[dict[str, Any]], RefusedError | LedgerError | None]:
    """The newest `limit`, each with where it is kept, and why the ledger's are missing where they are."""
    waiting = incident_files.files(settings.data_dir)
    recorded: Sequence[Incident] = ()
    refused: RefusedError | LedgerError | None = None
    try:
        recorded = _from_ledger(settings, limit)
    except (RefusedError, LedgerError) as error:
        refused = error
    rows = [_row(each, "ledger") for each in recorded] + [_row(each, "file") for each in waiting]
    return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)[:limit], refused


def _from_ledger(settings: Settings, limit: int) -> Sequence[Incident]:
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        return ledger.incidents(limit)
    finally:
        ledger.close()


def _row(made: Incident, kept_in: str) -> dict[str, Any]:
    return made.model_dump(mode="json") | {"kept_in": kept_in}


def _one(settings: Settings, text: str) -> dict[str, Any]:
    """Raises ConfigurationError when there is none, or several; RefusedError when it may be in a ledger that can't be opened."""
    waiting = [each for each in incident_files.files(settings.data_dir) if _is(each, text)]
    if len(waiting) == 1:
        return _row(waiting[0], "file")
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        found = ledger.incident(text)
    except LedgerError as error:
        raise ConfigurationError(str(error)) from error
    finally:
        ledger.close()
    if found is None:
        hint = "" if len(text) >= SHORTEST_PREFIX else f": give {SHORTEST_PREFIX} characters of it or more"
        raise ConfigurationError(f"no incident has the id {text!r}{hint}; `ffe incidents` lists them")
    return _row(found, "ledger")


def _is(made: Incident, text: str) -> bool:
    return len(text) >= SHORTEST_PREFIX and (made.id.startswith(text) or text in (made.run_id, made.flow_run_id))


def _show_one(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(row))
        return
    shown = console()
    out = shown if shown.is_terminal else PlainSpoken(width=WIDTH, no_color=True)
    for line in _lines(row):
        out.print(Text(line), overflow="fold")


def _lines(row: dict[str, Any]) -> Iterator[str]:
    seen = "once" if row["count"] == 1 else f"{row['count']} times, last at {row['last_at']}"
    yield f"{row['type']} in {row['name'] or 'an older version'}, at {row['created_at']}, seen {seen}"
    yield f"incident {row['id']}" + ("" if row["kept_in"] == "ledger" else " (in a file: no ledger has taken it yet)")
    yield ""
    yield row["message"]
    yield from _where(row)
    if row["reproduce"]:
        yield from ("", "AGAIN", f"  {row['reproduce']}")
    yield from _attempts(row["attempts"])
    for title, name in (("VENUE REQUEST", "request"), ("VENUE RESPONSE", "response")):
        if row[name]:
            yield from ("", title, *_indented(row[name]))
    for title, name in (("PARAMETERS", "parameters"), ("ORDERS AND RESERVATIONS IN THE LEDGER", "holds")):
        if row[name]:
            yield from ("", title, *_indented(json.dumps(row[name], indent=1)))
    yield from ("", "TRACEBACK", *_indented(row["traceback"]))


def _where(row: dict[str, Any]) -> Iterator[str]:
    names = (
        ("instrument", "instrument"),
        ("cycle", "cycle_id"),
        ("flow run", "flow_run_id"),
        ("task run", "run_id"),
        ("order", "order_id"),
        ("bars", "batch_id"),
    )
    known = [
        (said, row[name]) for said, name in names if row[name] and (name != "run_id" or row[name] != row["flow_run_id"])
    ]
    if known:
        yield from ("", "WHERE")
        yield from (f"  {said:<10} {value}" for said, value in known)


def _attempts(attempts: Sequence[Any]) -> Iterator[str]:
    """The first run's in full; of the others, how many there were."""
    runs = [each for each in attempts if isinstance(each, dict)]
    if not runs:
        return
    yield from ("", "ATTEMPTS", f"  {runs[0].get('attempts', 1)} in run {runs[0].get('run', '-')}")
    for number, tried in enumerate(runs[0].get("tries") or (), 1):
        delay = tried.get("delay_seconds")
        waited = "" if delay is None else f", {delay:.1f} s after the one before"
        yield f"  {number}. {tried.get('began', '-')} to {tried.get('ended', '-')}{waited}"
        yield f"     {tried.get('state', '-')}: {tried.get('message') or '-'}"
    if len(runs) > 1:
        yield f"  and the same in {len(runs) - 1} other run(s), the newest {runs[-1].get('run', '-')}"


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in str(text).splitlines())
