"""Half-Kelly: the share of equity that the account's own record earns, halved and capped.

K = p - q / R      p, q: share of winners and losers; R: average win / average loss, both as shares of notional (Kelly 1956)

The stake is taken to be the whole notional, as if all of it could be lost. Taken as what the stop loses, K would call for several
times the equity. Half of it, because p and R are estimates: half the stake keeps three quarters of the growth (Thorp 2006),
and an edge that is overestimated twofold still does not shrink the account. Locked until 50 trades: over 50 a share of winners is known to seven
points either way (sqrt(0.25 / 50)), over fewer it is not known.
"""

from collections.abc import Sequence
from decimal import Decimal

from ffe.ledger.models import ClosedTrade
from ffe.money import ZERO
from ffe.risk.methods import atr_risk
from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.models import Clamp, Denial
from ffe.risk.wording import percent, units_within
from ffe.settings import RiskSettings, SizingMethod

LEAST_TRADES = 50


def size(basis: Basis, settings: RiskSettings) -> Wanted | Denial:
    """Like atr-risk until it is unlocked. Denied `no_edge` when the record says that no stake is the best one."""
    graded = len(basis.trades)
    if graded < LEAST_TRADES:
        return _locked(basis, settings, graded)
    share = kelly(basis.trades)
    if share <= 0:
        reason = f"Kelly share over {graded} trades is {percent(share)}, not above 0 %: no stake pays"
        return Denial(code="no_edge", reason=reason)
    half = share / 2
    units = units_within(half * basis.equity, basis.unit_notional)
    most = units_within(settings.kelly_cap * basis.equity, basis.unit_notional)
    if units <= most:
        return Wanted(method=SizingMethod.HALF_KELLY.value, units=units)
    rule = f"half-Kelly {percent(half)} of equity is cut to kelly_cap {percent(settings.kelly_cap)}"
    clamp = Clamp(name="kelly_cap", before=units, after=most, rule=rule)
    return Wanted(method=SizingMethod.HALF_KELLY.value, units=most, clamps=(clamp,))


def kelly(trades: Sequence[ClosedTrade]) -> Decimal:
    """K of at least one trade, by their returns on notional; a trade that came out even is neither won nor lost."""
    won = [trade.return_on_notional for trade in trades if trade.return_on_notional > 0]
    lost = [-trade.return_on_notional for trade in trades if trade.return_on_notional < 0]
    if not won:
        return Decimal(-len(lost)) / len(trades)
    average_win, average_loss = sum(won, ZERO) / len(won), sum(lost, ZERO) / max(1, len(lost))
    return (len(won) - len(lost) * average_loss / average_win) / len(trades)


def _locked(basis: Basis, settings: RiskSettings, graded: int) -> Wanted:
    wanted = atr_risk.size(basis, settings)
    rule = f"half-kelly is locked until {LEAST_TRADES} graded trades, {graded} of {LEAST_TRADES} so far: sized as {wanted.method}"
    clamp = Clamp(name="kelly_locked", before=wanted.units, after=wanted.units, rule=rule)
    return wanted.model_copy(update={"clamps": (clamp,)})
