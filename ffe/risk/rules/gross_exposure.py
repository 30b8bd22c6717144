"""Gross exposure: the notional of all positions, longs and shorts added up, with what orders under way have reserved for."""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import bounded
from ffe.settings import RiskSettings

RULE, CODE = "gross_exposure", "max_gross"


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    return bounded(
        RULE,
        CODE,
        portfolio,
        share=settings.max_gross,
        used=portfolio.gross + proposal.reserved,
        unit=proposal.unit_notional,
        what="notional of all positions and reservations",
    )
