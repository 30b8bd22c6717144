"""Spread ceiling: an entry that has lost this much by crossing the market is not worth making."""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.risk.wording import percent
from ffe.settings import RiskSettings

RULE, CODE = "spread", "spread_too_wide"


def judge(signal: Signal, _portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """The spread as a share of the mid price; at the ceiling is still allowed."""
    share, most = signal.quote.spread / signal.quote.mid, settings.max_spread
    text = f"{signal.instrument.symbol} spread {percent(share)} of the price"
    if share <= most:
        return passed(RULE, CODE, f"{text}, max_spread {percent(most)}")
    return refused(RULE, CODE, f"{text} is above max_spread {percent(most)}")
