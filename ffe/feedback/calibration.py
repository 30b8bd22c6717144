"""From what a model says to what its decisions have been worth: its habit taken off, then a curve fitted on graded decisions.

What is predicted is whether a BUY or a SELL paid after its costs. A HOLD makes no such claim, so it is no example and gets no share of
its own; for the habit it counts, because what a model leans to shows in everything it says. Only opinions of the model enter, and only those whose outcome
was known: a calibration may be used for any bar that closed at `known_until` or later.

The scores before and after come from the newest 30 % of the grades, against a curve of grades that were known before the first of
these was decided. Grades whose outcome still lay open then are left out of that curve (purged: López de Prado, "Advances in
financial machine learning", 2018, chapter 7), because neighbouring horizons share their bars. The curve that is kept is then fitted on all of them.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any, NamedTuple

from ffe.decision.models import Action, Author
from ffe.feedback.methods import ISOTONIC, TEMPERATURE, fit_curve, on_curve
from ffe.feedback.models import Calibration, Grade
from ffe.feedback.scores import brier, ece
from ffe.settings import ConfidenceSettings

STATED, TOKEN = "stated", "token"
ENTRIES = (Action.BUY, Action.SELL)
HELD_OUT = 0.3
# As many grades as the smallest `min_grades` that settings allow: a curve from fewer says nothing about the method.
LEAST_TRAINING = 10
# A probability of 0 has no logarithm, and one such answer must not outweigh a thousand others in a mean of logarithms.
LEAST_ODDS = 1e-6


def habit(odds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean natural log-probability of BUY, SELL and HOLD over n answers: what the model leans to whatever it is shown.

    Without any answer it is that of no leaning at all. An action that is missing from an answer counts as one in a million.
    Contextual calibration (Zhao et al., "Calibrate before use", ICML 2021), with real questions instead of an empty one.
    """
    if not odds:
        return {action.value: math.log(1 / len(Action)) for action in Action}
    return {action.value: fmean(_log(each, action) for each in odds) for action in Action}


def corrected(odds: Mapping[str, float], habit: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of the three actions, sum 1, once the model's leaning is taken off: softmax of log p - habit."""
    scores = {action.value: _log(odds, action) - habit[action.value] for action in Action}
    highest = max(scores.values())
    weights = {action: math.exp(score - highest) for action, score in scores.items()}
    total = math.fsum(weights.values())
    return {action: weight / total for action, weight in weights.items()}


def usable(odds: Mapping[str, float] | None) -> bool:
    """Whether `odds` are three probabilities that are numbers, at least one of them above 0."""
    if odds is None or not all(action.value in odds for action in Action):
        return False
    values = [odds[action.value] for action in Action]
    return all(0 <= value <= 1 for value in values) and sum(values) > 0


def source_of(entries: Sequence[Grade]) -> str:
    """The number that a calibration of these is about: `token` when all of them carry odds, else `stated`."""
    return TOKEN if entries and all(usable(grade.odds) for grade in entries) else STATED


def fit(grades: Sequence[Grade], *, settings: ConfidenceSettings, now: datetime) -> Calibration | None:
    """The calibration of one model with one prompt from those of its grades that were known at `now`.

    None with fewer than `min_grades` graded entries that say how sure the model was, or when fewer than 10 of them were known before the
    newest 30 % were decided. Isotonic from `isotonic_grades` on, temperature below. The same grades give the same id.

    Raises:
        ValueError: the grades are of several models or prompts.
    """
    opinions = [grade for grade in grades if _is_opinion(grade) and grade.known_at <= now]
    model = _one_model(opinions)
    source = source_of([grade for grade in opinions if grade.action in ENTRIES])
    entries = _entries(opinions, source)
    if model is None or len(entries) < settings.min_grades:
        return None
    method = ISOTONIC if len(entries) >= settings.isotonic_grades else TEMPERATURE
    scores = _scores(opinions, entries, source, method)
    if scores is None:
        return None
    leaning = _leaning(opinions, source)
    parameters = _curve(method, entries, leaning)
    leaned = [] if leaning is None else [grade for grade in opinions if usable(grade.odds)]
    known_until = max(grade.known_at for grade in [*leaned, *(entry.grade for entry in entries)])
    return Calibration(
        id=_identity(*model, source, method, parameters, leaning, len(entries), known_until.isoformat()),
        model_digest=model[0],
        prompt_version=model[1],
        source=source,
        method=method,
        parameters=parameters,
        habit=leaning,
        grades=len(entries),
        known_until=known_until,
        fitted_at=now,
        **scores,
    )


def apply(
    calibration: Calibration, stated: float | None, odds: Mapping[str, float] | None, action: Action
) -> tuple[float | None, float | None]:
    """(token probability of `action` with the model's habit taken off, share of such decisions that paid).

    The first is None without odds, or when the calibration is about stated confidence. The second is None for HOLD, which the
    calibration is not about, and when the number that it is about is not known.
    """
    token = None
    if calibration.habit is not None and odds is not None and usable(odds):
        token = corrected(odds, calibration.habit)[action.value]
    value = token if calibration.source == TOKEN else stated
    if action not in ENTRIES or value is None or not 0 <= value <= 1:
        return token, None
    return token, on_curve(calibration.method, calibration.parameters, value)


def raw(grade: Grade, source: str) -> float | None:
    """What the model said of its action, in [0, 1], before anything is done to it; None when that is not known."""
    if source == TOKEN:
        return grade.odds[grade.action.value] if grade.odds is not None and usable(grade.odds) else None
    return grade.stated if grade.stated is not None and 0 <= grade.stated <= 1 else None


class _Entry(NamedTuple):
    """A graded BUY or SELL and what the model itself said of it, in [0, 1]."""

    grade: Grade
    said: float


def _entries(opinions: Sequence[Grade], source: str) -> list[_Entry]:
    """In the order of their bars, without those that do not say how sure the model was."""
    ordered = sorted(opinions, key=lambda grade: (grade.bar_close, grade.known_at, grade.decision_id))
    said = [(grade, raw(grade, source)) for grade in ordered if grade.action in ENTRIES]
    return [_Entry(grade, value) for grade, value in said if value is not None]


def _scores(opinions: Sequence[Grade], entries: Sequence[_Entry], source: str, method: str) -> dict[str, float] | None:
    """Brier score and ECE on the newest 30 % of `entries`, before and after a curve of what was known when the first of them was decided."""
    first = len(entries) - math.ceil(HELD_OUT * len(entries))
    begin = entries[first].grade.bar_close
    known = [entry for entry in entries[:first] if entry.grade.known_at <= begin]
    if len(known) < LEAST_TRAINING:
        return None
    leaning = _leaning([grade for grade in opinions if grade.known_at <= begin], source)
    curve = _curve(method, known, leaning)
    held = entries[first:]
    outcomes = [entry.grade.paid for entry in held]
    before = [entry.said for entry in held]
    after = [on_curve(method, curve, _input(entry, leaning)) for entry in held]
    return {
        "brier_before": brier(before, outcomes),
        "brier_after": brier(after, outcomes),
        "ece_before": ece(before, outcomes),
        "ece_after": ece(after, outcomes),
    }


def _curve(method: str, entries: Sequence[_Entry], leaning: Mapping[str, float] | None) -> dict[str, Any]:
    return fit_curve(method, [_input(entry, leaning) for entry in entries], [entry.grade.paid for entry in entries])


def _input(entry: _Entry, leaning: Mapping[str, float] | None) -> float:
    """What the curve starts from: with `leaning`, the token probability of the action without it."""
    if leaning is None or entry.grade.odds is None:
        return entry.said
    return corrected(entry.grade.odds, leaning)[entry.grade.action.value]


def _leaning(opinions: Sequence[Grade], source: str) -> dict[str, float] | None:
    """The habit of all opinions, HOLDs too; stated confidence has none."""
    if source != TOKEN:
        return None
    return habit([grade.odds for grade in opinions if grade.odds is not None and usable(grade.odds)])


def _is_opinion(grade: Grade) -> bool:
    return grade.decided_by is Author.MODEL and grade.model_digest is not None and grade.prompt_version is not None


def _one_model(opinions: Sequence[Grade]) -> tuple[str, str] | None:
    models = {(grade.model_digest or "", grade.prompt_version or "") for grade in opinions}
    if len(models) > 1:
        raise ValueError(f"a calibration is of one model and prompt, these grades are of {sorted(models)}")
    return next(iter(models), None)


def _log(odds: Mapping[str, float], action: Action) -> float:
    return math.log(max(odds.get(action.value, 0.0), LEAST_ODDS))


def _identity(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
