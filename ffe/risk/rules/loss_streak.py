"""Loss streak: after this many losing trades in a row the account pauses, whichever instruments they were in.

The pause counts from the newest of them. After it one more try is allowed; if that loses too, the next pause begins.
"""

from datetime import timedelta
from itertools import takewhile

from ffe.clock import rfc3339
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.settings import RiskSettings

RULE, CODE = "loss_streak", "loss_streak"


def judge(_signal: Signal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """A trade lost when it returned less than nothing after known fees. At the end of the pause it is over."""
    losses = list(takewhile(lambda trade: trade.return_on_notional < 0, portfolio.trades))
    text = f"{len(losses)} losing trades in a row, pause at loss_streak {settings.loss_streak}"
    if len(losses) < settings.loss_streak:
        return passed(RULE, CODE, text)
    until = losses[0].closed_at + timedelta(seconds=settings.loss_streak_pause_seconds)
    if portfolio.now >= until:
        return passed(RULE, CODE, f"{text}; the pause ended at {rfc3339(until)}")
    return refused(RULE, CODE, f"{text} for {settings.loss_streak_pause_seconds} s, until {rfc3339(until)}")
