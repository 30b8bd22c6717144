"""Reward over risk after costs: what is left of the target once both fees and the spread are paid, against what the stop then costs.

Before costs the ratio is `reward_risk` by construction. After them it can be anything: with a stop of 1 % and a fee of 0.6 % on both
legs, 1.5 becomes 0.13. So the default stops no more than targets that lie inside their own costs; docs/risk.md says what that means.
"""

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import passed, refused
from ffe.settings import RiskSettings

RULE, CODE = "reward_risk", "reward_too_small"


def judge(proposal: Proposal, _portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """At the least ratio is enough. The reason names the share of winners at which the trade pays: 1 / (1 + ratio)."""
    found, least = proposal.reward_risk, settings.min_reward_risk
    if found < least:
        return refused(RULE, CODE, f"reward/risk after costs {found:.4f} is below min_reward_risk {least}")
    even = "never pays" if found <= 0 else f"pays from {100 / (1 + found):.0f} % winners"
    return passed(RULE, CODE, f"reward/risk after costs {found:.4f}, min_reward_risk {least}; {even}")
