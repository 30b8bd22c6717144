"""Leverage: everything open in a margin account, ours or not, as a multiple of equity.

What is open is taken from the margin in use and reserved, divided by this instrument's margin rate. Spot can't be levered.
"""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import bounded, passed
from ffe.settings import RiskSettings

RULE, CODE = "leverage", "max_leverage"


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    if proposal.open_notional is None:
        return passed(RULE, CODE, f"{proposal.instrument.symbol} is spot: no leverage, limit {settings.max_leverage} x")
    return bounded(
        RULE,
        CODE,
        portfolio,
        share=settings.max_leverage,
        used=proposal.open_notional,
        unit=proposal.unit_notional,
        what="open notional by the margin in use",
    )
