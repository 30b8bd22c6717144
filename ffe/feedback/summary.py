"""What the ledger knows of each model's confidence: how many entries were graded, the calibration in force, and the reliability bins.

The bins of `stated` and `token` are the model's own words. Those of `calibrated` are on the very grades that the curve was made from, so they
flatter it; the scores of the calibration, before and after, are on held-out ones.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Author
from ffe.feedback.calibration import ENTRIES, STATED, TOKEN, apply, raw
from ffe.feedback.models import Calibration, Grade
from ffe.feedback.scores import ReliabilityBin, reliability

CALIBRATED = "calibrated"


class ConfidenceSummary(BaseModel):
    """One model with one prompt. `entries` are its graded BUYs and SELLs, `paid` the share of them that paid (None without any).

    `bins` by name: `stated`, `token` where every entry says it, `calibrated` where there is a calibration.
    """

    model_config = ConfigDict(frozen=True)

    model_digest: str
    prompt_version: str
    entries: int
    holds: int
    paid: float | None
    calibration: Calibration | None
    bins: dict[str, list[ReliabilityBin]]


def summarise(grades: Sequence[Grade], calibrations: Sequence[Calibration]) -> list[ConfidenceSummary]:
    """One summary a model and prompt among the model's own `grades`, most entries first; `calibrations` in any order, the newest known counts."""
    own: dict[tuple[str, str], list[Grade]] = {}
    for grade in grades:
        if grade.decided_by is Author.MODEL and grade.model_digest is not None and grade.prompt_version is not None:
            own.setdefault((grade.model_digest, grade.prompt_version), []).append(grade)
    found = [_summary(*model, of_model, calibrations) for model, of_model in own.items()]
    return sorted(found, key=lambda each: (-each.entries, each.model_digest, each.prompt_version))


def _summary(
    digest: str, prompt: str, grades: Sequence[Grade], calibrations: Sequence[Calibration]
) -> ConfidenceSummary:
    entries = [grade for grade in grades if grade.action in ENTRIES]
    fitting = [each for each in calibrations if (each.model_digest, each.prompt_version) == (digest, prompt)]
    calibration = max(fitting, key=lambda each: (each.known_until, each.fitted_at), default=None)
    return ConfidenceSummary(
        model_digest=digest,
        prompt_version=prompt,
        entries=len(entries),
        holds=len(grades) - len(entries),
        paid=sum(grade.paid for grade in entries) / len(entries) if entries else None,
        calibration=calibration,
        bins=_bins(entries, calibration),
    )


def _bins(entries: Sequence[Grade], calibration: Calibration | None) -> dict[str, list[ReliabilityBin]]:
    said = {source: [(raw(grade, source), grade.paid) for grade in entries] for source in (STATED, TOKEN)}
    if calibration is not None:
        said[CALIBRATED] = [(_share(calibration, grade), grade.paid) for grade in entries]
    known = {name: [(value, paid) for value, paid in pairs if value is not None] for name, pairs in said.items()}
    return {
        name: reliability([value for value, _ in pairs], [paid for _, paid in pairs])
        for name, pairs in known.items()
        if pairs
    }


def _share(calibration: Calibration, grade: Grade) -> float | None:
    return apply(calibration, raw(grade, STATED), grade.odds, grade.action)[1]
