"""Minimum hold: a market that was entered a moment ago is not entered again before the hold is over.

A close is never held back, by this rule neither. What it denies is what would come after: the opening half of a reversal, and a new
entry into an instrument whose last position was opened less than the hold ago.
"""

from datetime import timedelta

from ffe.clock import rfc3339
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.settings import RiskSettings

RULE, CODE = "minimum_hold", "minimum_hold"


def judge(signal: Signal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """Counts from the newest opening on record. A rest of unknown age does not count: it is dust, or there would be no entry."""
    symbol, seconds = signal.instrument.symbol, settings.min_hold_seconds
    openings = [held.opened_at for held in portfolio.positions if held.instrument == symbol]
    last = portfolio.last_trade(symbol)
    known = [moment for moment in (*openings, None if last is None else last.opened_at) if moment is not None]
    if not known:
        return passed(RULE, CODE, f"no entry of {symbol} on record, min_hold_seconds {seconds}")
    opened = max(known)
    age = (portfolio.now - opened).total_seconds()
    text = f"{symbol} was entered {age:.0f} s ago at {rfc3339(opened)}, min_hold_seconds {seconds}"
    until = opened + timedelta(seconds=seconds)
    return refused(RULE, CODE, text) if portfolio.now < until else passed(RULE, CODE, text)
