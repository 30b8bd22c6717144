"""Correlated exposure: positions that move together are one position.

Crypto is one group. A forex pair belongs together with every pair that shares a currency with it. Counted gross: whether two of them
offset each other depends on a correlation that breaks when it matters.
"""

from ffe.market.models import AssetClass, Instrument, parse_instrument
from ffe.money import ZERO
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import bounded
from ffe.settings import RiskSettings

RULE, CODE = "correlated_exposure", "max_correlated"


def correlated(one: Instrument, other: Instrument) -> bool:
    """An instrument with itself too."""
    if one.asset_class is not other.asset_class:
        return False
    return one.asset_class is AssetClass.CRYPTO or bool({one.base, one.quote} & {other.base, other.quote})


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    group = [held for held in portfolio.positions if correlated(proposal.instrument, parse_instrument(held.instrument))]
    names = ", ".join(held.instrument for held in group) or "none"
    return bounded(
        RULE,
        CODE,
        portfolio,
        share=settings.max_correlated,
        used=sum((held.notional for held in group), ZERO),
        unit=proposal.unit_notional,
        what=f"notional held together with {proposal.instrument.symbol} ({names})",
    )
