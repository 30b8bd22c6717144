"""Daily loss: an account that has lost this much since midnight UTC opens nothing, and trips the kill switch.

Equity counts, so that an open loss is a loss. Without a mark of the day's start the day starts now: a new account must be able to
trade, and the first look at it is the mark for every later one.
"""

from decimal import Decimal

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.risk.wording import percent, show
from ffe.settings import RiskSettings

RULE, CODE = "daily_loss", "daily_loss"


def judge(_signal: Signal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    return judge_equity(portfolio.equity, portfolio.day_start_equity, settings)


def judge_equity(equity: Decimal, day_start: Decimal | None, settings: RiskSettings) -> Verdict:
    """At the limit is over it. A start that is not positive trips: nothing was there to lose."""
    limit = percent(settings.max_daily_loss)
    if day_start is None:
        return passed(RULE, CODE, f"the day starts now at equity {show(equity)}, max_daily_loss {limit}")
    if day_start <= 0:
        return refused(RULE, CODE, f"the day started at equity {show(day_start)}, max_daily_loss {limit}", trips=True)
    lost = (day_start - equity) / day_start
    text = f"equity {show(equity)} is {percent(lost)} below the day's start {show(day_start)}, max_daily_loss {limit}"
    return refused(RULE, CODE, text, trips=True) if lost >= settings.max_daily_loss else passed(RULE, CODE, text)
