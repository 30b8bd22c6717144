"""`ffe models calibration`: what each model's confidence has been worth, from the grades in the ledger."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.errors import ConfigurationError
from ffe.feedback.scores import ReliabilityBin
from ffe.feedback.summary import ConfidenceSummary, summarise
from ffe.ledger.ledger import Ledger
from ffe.settings import ConfidenceSettings

DIGEST_SHOWN = 12
_COLUMNS = (
    "model",
    "prompt",
    "graded_entries",
    "holds",
    "paid",
    "source",
    "method",
    "brier_before",
    "brier_after",
    "ece_before",
    "ece_after",
    "known_until",
)
_BINS = ("curve", "bin", "decisions", "said", "paid")


def calibration(
    as_json: JsonOption = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the reliability curves as a PNG.")] = None,
) -> None:
    """Per model digest: graded entries, the calibration in force, its scores before and after, and how what was said compares with what paid."""
    settings = settings_from()
    summaries = _read(settings.resolved_ledger_url)
    if plot is not None:
        _draw(summaries, plot)
    if as_json:
        print(json.dumps([_plain(each, settings.confidence) for each in summaries]))
        return
    print_rows("graded model decisions", [_row(each) for each in summaries], _COLUMNS)
    for each in summaries:
        console().print(Text(_standing(each, settings.confidence)), soft_wrap=True)
        if each.bins:
            print_rows(f"reliability of {_name(each)}", list(_bin_rows(each)), _BINS)


def _read(url: str) -> list[ConfidenceSummary]:
    ledger = Ledger.open(url)
    try:
        return summarise(ledger.grades(opinions=True), ledger.calibrations())
    finally:
        ledger.close()


def _row(each: ConfidenceSummary) -> dict[str, Any]:
    found = each.calibration
    row = {
        "model": each.model_digest[:DIGEST_SHOWN],
        "prompt": each.prompt_version,
        "graded_entries": each.entries,
        "holds": each.holds,
        "paid": None if each.paid is None else f"{each.paid:.1%}",
    }
    if found is None:
        return row
    scores = {
        name: f"{getattr(found, name):.4f}" for name in ("brier_before", "brier_after", "ece_before", "ece_after")
    }
    known = {"source": found.source, "method": found.method, "known_until": f"{found.known_until:%Y-%m-%d %H:%M}"}
    return row | known | scores


def _standing(each: ConfidenceSummary, settings: ConfidenceSettings) -> str:
    """One sentence on what there is to calibrate with."""
    name, found = _name(each), each.calibration
    if found is not None:
        return (
            f"{name}: calibrated by {found.method} on {found.grades} graded entries, scores on the newest 30 % of them"
        )
    if each.entries < settings.min_grades:
        return f"{name}: no calibration: {each.entries} graded entries are fewer than min_grades {settings.min_grades}"
    return (
        f"{name}: no calibration, although {each.entries} graded entries are at least min_grades {settings.min_grades}: "
        "`ffe grade` makes one once 10 of them were known before the newest 30 % were decided"
    )


def _bin_rows(each: ConfidenceSummary) -> list[dict[str, Any]]:
    return [
        {
            "curve": curve,
            "bin": f"{at.low:.0%} to {at.high:.0%}",
            "decisions": at.count,
            "said": f"{at.mean_probability:.1%}",
            "paid": f"{at.share:.1%}",
        }
        for curve, bins in each.bins.items()
        for at in bins
    ]


def _plain(each: ConfidenceSummary, settings: ConfidenceSettings) -> dict[str, Any]:
    return each.model_dump(mode="json") | {"standing": _standing(each, settings)}


def _name(each: ConfidenceSummary) -> str:
    return f"{each.model_digest[:DIGEST_SHOWN]} with prompt {each.prompt_version}"


def _draw(summaries: Sequence[ConfidenceSummary], path: Path) -> None:
    """Curves of every model in one picture, by its digest where there are several."""
    from ffe.feedback.plots import reliability_plot

    curves: dict[str, Sequence[ReliabilityBin]] = {}
    for each in summaries:
        lead = "" if len(summaries) == 1 else f"{_name(each)}: "
        curves |= {f"{lead}{curve}": bins for curve, bins in each.bins.items()}
    if not curves:
        raise ConfigurationError("--plot: there is no graded decision to draw")
    title = f"reliability of {_name(summaries[0])}" if len(summaries) == 1 else "reliability by model"
    try:
        path.write_bytes(reliability_plot(curves, title))
    except OSError as error:
        raise ConfigurationError(f"--plot {path} can't be written: {error.strerror}") from error
