"""Drawdown: an account this far below its best opens nothing, and trips the kill switch.

Without a mark the peak is what there is now. Money that is taken out looks like a loss here; a person who sets the switch back to
normal starts a new peak.
"""

from decimal import Decimal

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.risk.wording import percent, show
from ffe.settings import RiskSettings

RULE, CODE = "drawdown", "drawdown"


def judge(_signal: Signal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    return judge_equity(portfolio.equity, portfolio.peak_equity, settings)


def judge_equity(equity: Decimal, peak: Decimal | None, settings: RiskSettings) -> Verdict:
    """At the limit is over it. A peak that is not positive trips: the account was never worth anything."""
    limit = percent(settings.max_drawdown)
    if peak is None:
        return passed(RULE, CODE, f"the peak is equity {show(equity)} now, max_drawdown {limit}")
    if peak <= 0:
        return refused(RULE, CODE, f"the peak was equity {show(peak)}, max_drawdown {limit}", trips=True)
    down = (peak - equity) / peak
    text = f"equity {show(equity)} is {percent(down)} below its peak {show(peak)}, max_drawdown {limit}"
    return refused(RULE, CODE, text, trips=True) if down >= settings.max_drawdown else passed(RULE, CODE, text)
