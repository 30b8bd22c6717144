"""`ffe models replay`: do the recorded answers still amount to the recorded decisions? Asks no model, changes nothing.

Exits with 3 when they do not: the record was changed, or this version of the engine decides otherwise on the same answers. So it does when
calls or decisions are there without their verdict, and when all that is there is older than verdicts: nothing vouches for it. An empty ledger is fine.
"""

from typing import Annotated, Any

import typer
from rich.text import Text

from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import SystemClock
from ffe.decision.prompt import PROMPT_VERSION
from ffe.decision.replay import ReplayReport, replay_all
from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="How many of the newest verdicts.")]
WHERE_SHOWN = 4
CALIBRATIONS = 100_000


def replay(limit: LimitOption = 500, as_json: JsonOption = False) -> None:
    """Makes the newest recorded decisions again from what was recorded, and compares them byte for byte."""
    settings = settings_from()
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        report = _replayed(ledger, limit)
    finally:
        ledger.close()
    if as_json:
        print(report.model_dump_json())
    else:
        _print(report)
    if not report.same:
        raise typer.Exit(3)


def _replayed(ledger: Ledger, limit: int) -> ReplayReport:
    try:
        asked = ledger.verdicts(limit)
        decisions, calibrations = ledger.decisions_on(asked), ledger.calibrations(CALIBRATIONS)
    except ValueError as error:  # what was changed outside is not even JSON, or no verdict, any more
        raise LedgerError(f"a recorded verdict can't be read: {error}") from error
    left = ledger.without_verdict()
    return replay_all(asked, decisions, SystemClock(), calibrations, unmatched=left.left, older=left.older)


def _print(report: ReplayReport) -> None:
    for title, found in (
        ("verdicts that came out otherwise", report.differing),
        ("on record without their verdict", report.unmatched),
    ):
        rows = [_row(each.model_dump()) for each in found]
        if rows:
            print_rows(title, rows, ("cycle_id", "instrument", "where"))
    decided = f"{report.decided} with their decision on record, {report.unheard} with a HOLD that was made without them"
    for line in (
        f"replayed {report.replayed}: {report.identical} identical, {len(report.differing)} differing; {decided}",
        f"other prompt version than {PROMPT_VERSION}, question not made anew: {report.other_version}",
        f"without their verdict: {len(report.unmatched)} unmatched; {report.older} older than verdicts are recorded",
        f"recorded sha256 {report.recorded_sha256}",
        f"replayed sha256 {report.replayed_sha256}",
    ):
        console().print(Text(line), soft_wrap=True)


def _row(difference: dict[str, Any]) -> dict[str, Any]:
    where = difference["where"]
    more = f" and {len(where) - WHERE_SHOWN} more" if len(where) > WHERE_SHOWN else ""
    return difference | {"where": ", ".join(where[:WHERE_SHOWN]) + more}
