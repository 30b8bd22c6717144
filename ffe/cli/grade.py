"""`ffe grade`: what became of the decisions whose horizon is over, graded in this process. Exit 3 when an instrument failed."""

import json
from functools import partial
from typing import Any

import typer
from rich.text import Text

from ffe.cli.listing import venues
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.feedback.report import AuthorGrades, GradingReport, by_author
from ffe.feedback.run import grade_all

_MARKETS = ("instrument", "timeframe", "graded", "pending", "missing")
_AUTHORS = ("author", "action", "decisions", "paid", "mean_net_return", "mean_regret")


def grade(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Grades every decision at its horizon, HOLDs too: return after costs, stop or target first, against doing nothing."""
    with venues(settings_from(mode=mode)) as engine:
        from expectations.validate import validate_bars

        report = grade_all(engine, engine.clock.now(), partial(validate_bars, history=True))
        authors = by_author(engine.ledger.grades())
    if as_json:
        document = report.model_dump(mode="json") | {"authors": [row.model_dump(mode="json") for row in authors]}
        print(json.dumps(document))
    else:
        _show(report, authors)
    if report.failed:
        raise typer.Exit(3)


def _show(report: GradingReport, authors: list[AuthorGrades]) -> None:
    out = console()
    print_rows("decisions to grade", [market.model_dump(mode="json") for market in report.markets], _MARKETS)
    print_rows("grades on record", [_row(row) for row in authors], _AUTHORS)
    for made in report.calibrations:
        text = f"calibrated {made.model_digest[:12]} {made.prompt_version}: {made.method} of {made.grades} grades"
        out.print(Text(text), soft_wrap=True)
    problems = [(f"{each.instrument} {each.timeframe.value}", each.problem) for each in report.markets]
    for name, problem in [*problems, ("calibrations", report.problem)]:
        if problem is not None:
            out.print(Text(f"{name}: {problem}"), soft_wrap=True)


def _row(row: AuthorGrades) -> dict[str, Any]:
    return {
        "author": row.decided_by.value,
        "action": row.action.value,
        "decisions": row.count,
        "paid": f"{row.paid:.1%}",
        "mean_net_return": f"{row.net_return:+.3%}",
        "mean_regret": f"{row.regret:.3%}",
    }
