"""Which number says how sure the model was, as the integer that the risk gate compares with its floor.

Rounded down, never up: 69.9 is below a floor of 70. A number that is asked for and not known is no reason to fall back on another one,
which the floor was not set for; the caller holds instead. Only a HOLD, which opens nothing, takes the stated one then.
"""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal

from ffe.decision.answer import Answer
from ffe.decision.models import Action, ConfidenceParts
from ffe.feedback.calibration import apply, usable
from ffe.feedback.models import Calibration
from ffe.settings import ConfidenceSettings, ConfidenceSource

DIGITS = 12


def weigh(
    answer: Answer,
    odds: Mapping[str, float] | None,
    calibration: Calibration | None,
    settings: ConfidenceSettings,
) -> tuple[int | None, ConfidenceParts]:
    """(confidence from 0 to 100 by `settings.source`, everything known of it).

    None when that source is not known for a BUY or SELL: `token` without usable odds, `calibrated` without a calibration or without the
    number that it is about. `odds` that are not three probabilities count as none. The parts then name the source that was missing.
    """
    parts = _parts(answer, odds, calibration)
    known = {ConfidenceSource.TOKEN: parts.token, ConfidenceSource.CALIBRATED: parts.calibrated}.get(settings.source)
    if known is not None:
        return _percent(known), parts.model_copy(update={"source": settings.source.value})
    if settings.source is ConfidenceSource.STATED or answer.action is Action.HOLD:
        return answer.confidence, parts
    return None, parts.model_copy(update={"source": settings.source.value})


def _parts(answer: Answer, odds: Mapping[str, float] | None, calibration: Calibration | None) -> ConfidenceParts:
    stated = answer.confidence / 100
    three = dict(odds) if odds is not None and usable(odds) else None
    token, share = (None, None) if calibration is None else apply(calibration, stated, three, answer.action)
    spoke = calibration is not None and (token is not None or share is not None)
    return ConfidenceParts(
        stated=stated,
        odds=three,
        token=None if three is None else three[answer.action.value],
        corrected=token,
        calibrated=share,
        calibration_id=calibration.id if calibration is not None and spoke else None,
    )


def _percent(share: float) -> int:
    """Whole percent of a share in [0, 1]. Twelve digits count: the noise of float arithmetic behind them is no reason to say 69 for 0.7."""
    return int((Decimal(repr(round(share, DIGITS))) * 100).to_integral_value(ROUND_FLOOR))
