"""The three answers a rule gives: nothing against it, no, and at most this much."""

from decimal import Decimal

from ffe.money import ZERO
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.wording import percent, show, units_within


def passed(rule: str, code: str, reason: str) -> Verdict:
    return Verdict(rule=rule, allowed=True, code=code, reason=reason)


def refused(rule: str, code: str, reason: str, *, trips: bool = False) -> Verdict:
    return Verdict(rule=rule, allowed=False, code=code, reason=reason, most=ZERO, trips=trips)


def bounded(
    rule: str, code: str, portfolio: Portfolio, *, share: Decimal, used: Decimal, unit: Decimal, what: str
) -> Verdict:
    """At most what is left of `share` of equity after `used`, at `unit` for one base unit; no when nothing is left.

    `used` and `unit` are in the account currency; `what` says in words what is used.
    """
    limit = share * portfolio.equity
    reason = (
        f"{what} {show(used)} of at most {show(limit)} {portfolio.currency}, "
        f"{percent(share)} of equity {show(portfolio.equity)}"
    )
    if used >= limit:
        return refused(rule, code, reason)
    return Verdict(rule=rule, allowed=True, code=code, reason=reason, most=units_within(limit - used, unit))
