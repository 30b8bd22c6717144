"""Cooldown: an instrument that was left a moment ago is not entered again, however it was left.

With `reverse` the opposite side is not held back: turning around was asked for, and the minimum hold stands guard over it.
"""

from datetime import timedelta

from ffe.clock import rfc3339
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Signal
from ffe.risk.rules.verdicts import passed, refused
from ffe.settings import RiskSettings

RULE, CODE = "cooldown", "cooldown"


def judge(signal: Signal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """Measured from the last fill of the newest exit; over once the seconds have passed."""
    symbol, seconds = signal.instrument.symbol, settings.cooldown_seconds
    last = portfolio.last_trade(symbol)
    if last is None:
        return passed(RULE, CODE, f"no exit of {symbol} on record, cooldown_seconds {seconds}")
    age = (portfolio.now - last.closed_at).total_seconds()
    text = f"{symbol} was left {age:.0f} s ago at {rfc3339(last.closed_at)}, cooldown_seconds {seconds}"
    if settings.reverse and signal.side is not last.side:
        return passed(RULE, CODE, f"{text}; reverse allows the other side")
    until = last.closed_at + timedelta(seconds=seconds)
    return refused(RULE, CODE, text) if portfolio.now < until else passed(RULE, CODE, text)
