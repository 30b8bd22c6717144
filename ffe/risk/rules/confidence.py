"""Confidence floor: a model that is unsure by its own word opens nothing."""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.settings import RiskSettings

RULE, CODE = "confidence", "confidence_below_floor"


def judge(signal: Signal, _portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """At the floor is enough."""
    found, floor = signal.confidence, settings.min_confidence
    if found >= floor:
        return passed(RULE, CODE, f"confidence {found} is at least min_confidence {floor}")
    return refused(RULE, CODE, f"confidence {found} is below min_confidence {floor}")
