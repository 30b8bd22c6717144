"""Whether a model answers otherwise than it did: this evaluation against an earlier one on the same cases.

The limits are wide enough that a few odd answers of sixty don't ring, and narrow enough that a changed runtime, driver or chat template
does. Each side of a limit counts as within: it is passed only by more. Latency depends on who else uses the machine, so it only
warns.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ffe.errors import ConfigurationError
from ffe.evals.metrics import action_shares
from ffe.evals.models import CaseSet
from ffe.feedback.models import ModelEval

SCHEMA_VALID_FALL = 0.02
FLIP_RATE_RISE = 0.02
ACTION_DISTANCE = 0.15
ECE_RISE = 0.1
LATENCY_FACTOR = 2.0
# Sums of binary fractions: 0.98 - 0.96 is a hair above 0.02.
HAIR = 1e-9
ID_CHARACTERS = 6


class Movement(BaseModel):
    """A metric that moved by more than its limit, or could not be measured any more (`now` None). `alarm` false only warns."""

    model_config = ConfigDict(frozen=True)

    metric: str
    before: float
    now: float | None
    limit: str
    alarm: bool = True

    def __str__(self) -> str:
        now = "not measured" if self.now is None else f"{self.now:.4g}"
        return f"{self.metric}: {self.before:.4g} before, {now} now (limit: {self.limit})"


class Drift(BaseModel):
    """What moved since evaluation `baseline_id`."""

    model_config = ConfigDict(frozen=True)

    baseline_id: str
    movements: tuple[Movement, ...]

    @property
    def drifted(self) -> bool:
        return any(movement.alarm for movement in self.movements)


def baseline_of(evals: Sequence[ModelEval], now: ModelEval) -> ModelEval | None:
    """The newest of `evals`, newest first, that asked the same model the same questions; None when there is none."""
    same = (
        each for each in evals if each.model_digest == now.model_digest and each.prompt_version == now.prompt_version
    )
    return next((each for each in same if comparable(each, now.cases_sha256, now.metrics["cases"])), None)


def comparable(earlier: ModelEval, cases_sha256: str, cases: float) -> bool:
    """Whether it asked the same cases: the same file and as many of them, for they are asked from the first on."""
    return earlier.cases_sha256 == cases_sha256 and earlier.metrics.get("cases") == cases


def named(evals: Sequence[ModelEval], wanted: str, cases: CaseSet) -> ModelEval:
    """The one evaluation whose id begins with `wanted`, of whichever model.

    Raises:
        ConfigurationError: none or several do, or it asked other cases.
    """
    found = [each for each in evals if each.id.startswith(wanted)]
    if len(wanted) < ID_CHARACTERS or len(found) != 1:
        raise ConfigurationError(
            f"--baseline {wanted!r} names {len(found)} evaluations; give at least {ID_CHARACTERS} characters of an id"
        )
    if not comparable(found[0], cases.sha256, len(cases.cases)):
        raise ConfigurationError(
            f"--baseline {wanted}: it asked {found[0].metrics.get('cases', 0):.0f} cases of file "
            f"{found[0].cases_sha256[:12]}, not {len(cases.cases)} of {cases.sha256[:12]}"
        )
    return found[0]


def drift(before: ModelEval, now: ModelEval) -> Drift:
    """Every limit that `now` passes, seen from `before`. Metrics that `before` has not are no ground for an alarm."""
    old, new = before.metrics, now.metrics
    moved = [
        _changed(old, new, "schema_valid_first", -SCHEMA_VALID_FALL),
        _changed(old, new, "schema_valid_repaired", -SCHEMA_VALID_FALL),
        _changed(old, new, "flip_rate", FLIP_RATE_RISE),
        _distance(old, new),
        _changed(old, new, "ece_stated", ECE_RISE),
        _changed(old, new, "ece_token", ECE_RISE),
        _slower(old, new),
    ]
    return Drift(baseline_id=before.id, movements=tuple(each for each in moved if each is not None))


def drift_line(found: Drift | None) -> str:
    """One sentence on it."""
    if found is None:
        return "drift: no earlier evaluation of this model, prompt version and cases to compare with"
    if found.drifted:
        return f"drift: ALARM, this is not how it answered in evaluation {found.baseline_id}"
    return f"drift: none against evaluation {found.baseline_id}"


def _changed(old: dict[str, float], new: dict[str, float], metric: str, step: float) -> Movement | None:
    """A rise by more than a positive `step`, or a fall by more than a negative one."""
    if metric not in old:
        return None
    limit = f"{step:+g}"
    if metric not in new:
        return Movement(metric=metric, before=old[metric], now=None, limit=limit, alarm=False)
    change = new[metric] - old[metric]
    passed = change > step + HAIR if step > 0 else change < step - HAIR
    return Movement(metric=metric, before=old[metric], now=new[metric], limit=limit) if passed else None


def _distance(old: dict[str, float], new: dict[str, float]) -> Movement | None:
    """Total variation: half the sum of what each action's share moved by, the share of answers that are different ones."""
    shares = action_shares(old), action_shares(new)
    names = set(shares[0]) | set(shares[1])
    moved = sum(abs(shares[0].get(name, 0.0) - shares[1].get(name, 0.0)) for name in names) / 2
    if moved <= ACTION_DISTANCE + HAIR:
        return None
    return Movement(metric="action_distance", before=0.0, now=moved, limit=f"+{ACTION_DISTANCE:g}")


def _slower(old: dict[str, float], new: dict[str, float]) -> Movement | None:
    name = "latency_p95_ms"
    if name not in old or name not in new or new[name] <= LATENCY_FACTOR * old[name] * (1 + HAIR):
        return None
    return Movement(metric=name, before=old[name], now=new[name], limit=f"x{LATENCY_FACTOR:g}", alarm=False)
