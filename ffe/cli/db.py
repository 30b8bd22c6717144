"""`ffe db`: the ledger's schema and its safe copies. A backup needs no pause; a restore leaves the kill switch at halt."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.errors import RefusedError
from ffe.ledger import backup as copies
from ffe.ledger.database import shown
from ffe.ledger.migrate import upgrade as upgrade_ledger
from ffe.ledger.status import status as status_of
from ffe.observe.masking import masked

app = typer.Typer(help="The ledger's schema and its safe copies.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.command("upgrade")
def upgrade(as_json: JsonOption = False) -> None:
    """Bring the ledger to this version's schema. Nothing to do is fine; a newer schema is refused."""
    url = settings_from().resolved_ledger_url
    changed = upgrade_ledger(url)
    now = status_of(url).revision
    if as_json:
        print(json.dumps({"upgraded": changed, "revision": now}))
    else:
        console().print(f"the ledger is {'now' if changed else 'already'} at schema {now} ({shown(url)})")


@app.command("backup")
def backup(
    file: FileArgument,
    force: ForceOption = False,
    with_bars: Annotated[bool, typer.Option("--with-bars", help="The bars behind every decision, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write all of the ledger to FILE, as it is at one moment, while everything goes on."""
    settings = settings_from()
    bars_from = settings.data_dir if with_bars else None
    _say(copies.backup(settings.resolved_ledger_url, file, force=force, bars_from=bars_from), as_json=as_json)


@app.command("restore")
def restore(
    file: FileArgument,
    force: ForceOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill the ledger from FILE. The kill switch stands at halt afterwards: `ffe reconcile`, then `ffe resume`."""
    settings = settings_from()
    url = settings.resolved_ledger_url
    if force and not yes:
        _ask(f"replace everything in {shown(url)} by {file}")
    _say(copies.restore(file, url, force=force, bars_to=settings.data_dir), as_json=as_json)


@app.command("verify")
def verify(file: FileArgument, as_json: JsonOption = False) -> None:
    """Restore FILE into a ledger that is thrown away, and compare every row."""
    _say(copies.verify(file), as_json=as_json)


@app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Schema, rows and size of the ledger. Changes nothing."""
    _say(status_of(settings_from().resolved_ledger_url), as_json=as_json)


def _ask(what: str) -> None:
    # Not `typer.confirm`: it writes a blank to stdout, where only the JSON document belongs.
    print(f"{what}? [y/N]: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was restored")


def _say(report: BaseModel, *, as_json: bool) -> None:
    if as_json:
        print(report.model_dump_json())
        return
    document = report.model_dump(mode="json")
    rows: Mapping[str, int] = document.pop("rows")
    out = console()
    for name, value in document.items():
        out.print(f"{name.replace('_', ' ')}: {masked(_text(value))}", soft_wrap=True, markup=False)
    print_rows("rows", [{"table": name, "rows": count} for name, count in rows.items()], ("table", "rows"))


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
