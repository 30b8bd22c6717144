"""Slippage ceiling: the price bound that goes with the order gives away no more than this.

The bound is made from the same setting; what this rule catches is the rounding of it to a price increment that is too coarse.
"""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import passed, refused
from ffe.risk.wording import percent, show
from ffe.settings import RiskSettings

RULE, CODE = "slippage", "slippage_too_wide"


def judge(proposal: Proposal, _portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """|bound - entry| / entry as the bound is sent; at the ceiling is still allowed."""
    share, most = proposal.slippage, settings.max_slippage
    text = f"price bound {show(proposal.bound)} is {percent(share)} from entry {show(proposal.entry)}"
    if share <= most:
        return passed(RULE, CODE, f"{text}, max_slippage {percent(most)}")
    return refused(RULE, CODE, f"{text}, above max_slippage {percent(most)}")
