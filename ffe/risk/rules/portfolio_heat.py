"""Portfolio heat: what is lost if every stop is hit at once, this trade's with them.

A position without a stop counts with all of its notional, so that nothing new is opened beside it before it is protected again.
"""

from ffe.money import ZERO
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import bounded
from ffe.settings import RiskSettings

RULE, CODE = "portfolio_heat", "max_heat"


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    bare = [held.instrument for held in portfolio.positions if held.stop_risk is None]
    return bounded(
        RULE,
        CODE,
        portfolio,
        share=settings.max_heat,
        used=sum((held.at_risk for held in portfolio.positions), ZERO),
        unit=proposal.unit_risk,
        what=f"loss at all stops ({', '.join(bare)} without one)" if bare else "loss at all stops",
    )
