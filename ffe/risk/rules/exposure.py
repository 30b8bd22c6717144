"""Exposure per instrument: the notional of one position as a share of equity, on spot and on margin alike."""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import bounded
from ffe.settings import RiskSettings

RULE, CODE = "exposure", "max_position"


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """What is held of it already counts: dust, or what a close that was too large for one order left."""
    symbol = proposal.instrument.symbol
    return bounded(
        RULE,
        CODE,
        portfolio,
        share=settings.max_position,
        used=portfolio.notional_of(symbol),
        unit=proposal.unit_notional,
        what=f"{symbol} notional held",
    )
