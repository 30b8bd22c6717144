"""VaR(95 %) over one day by historical simulation: today's positions with this trade, put through the daily returns of the past.

The k-th worst day counts, k = floor(5 % of the days) but at least 1 (Hull, Options, Futures, and Other Derivatives: the fifth
worst of a hundred). Off unless `max_var` is set. Set, it answers or refuses: an instrument with under 30 days is `var_unknown`.
"""

from collections.abc import Sequence
from decimal import Decimal

from ffe.money import ZERO
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal
from ffe.risk.rules.verdicts import passed, refused
from ffe.risk.wording import cut, percent, show
from ffe.settings import RiskSettings

RULE, CODE = "value_at_risk", "max_var"
LEAST_DAYS = 30
TAIL = Decimal("0.05")


def judge(proposal: Proposal, portfolio: Portfolio, settings: RiskSettings) -> Verdict:
    """`most` is the size up to which VaR stays within the limit: at the limit is allowed."""
    if settings.max_var is None:
        return passed(RULE, CODE, "no max_var is set")
    symbols = list(dict.fromkeys([proposal.instrument.symbol, *(held.instrument for held in portfolio.positions)]))
    days = {symbol: len(portfolio.returns.get(symbol, ())) for symbol in symbols}
    short = [f"{symbol} has {found}" for symbol, found in days.items() if found < LEAST_DAYS]
    if short:
        return refused(RULE, "var_unknown", f"VaR needs {LEAST_DAYS} daily returns: {', '.join(short)}")
    limit, count = settings.max_var * portfolio.equity, min(days.values())
    held, unit = _losses(proposal, portfolio, count)
    now = value_at_risk(held)
    text = (
        f"VaR(95 %) over {count} days is {show(now)} {portfolio.currency} as it is held, "
        f"limit {show(limit)}: {percent(settings.max_var)} of equity {show(portfolio.equity)}"
    )
    most = _most(held, unit, limit)
    if most is None:
        return passed(RULE, CODE, text)
    return Verdict(rule=RULE, allowed=most > 0, code=CODE, reason=text, most=most)


def value_at_risk(losses: Sequence[Decimal]) -> Decimal:
    """The loss, positive, that is reached or passed on 5 % of the days; zero when the tail earns."""
    return max(ZERO, sorted(losses, reverse=True)[_tail(len(losses)) - 1])


def _tail(days: int) -> int:
    return max(1, int(days * TAIL))


def _losses(proposal: Proposal, portfolio: Portfolio, count: int) -> tuple[list[Decimal], list[Decimal]]:
    """Loss of every one of the last `count` days: of what is held, and of one unit more on the proposal's side."""
    own = portfolio.returns[proposal.instrument.symbol][-count:]
    unit = [-proposal.side.sign * proposal.unit_notional * share for share in own]
    held = [ZERO] * count
    for position in portfolio.positions:
        signed = position.notional.copy_sign(position.units)
        past = portfolio.returns[position.instrument][-count:]
        held = [loss - signed * share for loss, share in zip(held, past, strict=True)]
    return held, unit


def _most(held: Sequence[Decimal], unit: Sequence[Decimal], limit: Decimal) -> Decimal | None:
    """Units up to which fewer than k days lose more than `limit`; None for any number.

    A day's loss is a line in the units. Going up from zero, the k-th day to cross the limit ends it.
    """
    lines = list(zip(held, unit, strict=True))
    starts = sorted({max(ZERO, (limit - base) / slope) for base, slope in lines if slope > 0} | {ZERO})
    for units in starts:
        over = sum(_over(base, slope, units, limit) for base, slope in lines)
        if over >= _tail(len(lines)):
            return cut(units)
    return None


def _over(base: Decimal, slope: Decimal, units: Decimal, limit: Decimal) -> bool:
    """Whether this day loses more than `limit` just above `units`; the division is the one that made `units`."""
    if slope > 0:
        return (limit - base) / slope <= units
    return base + slope * units > limit
