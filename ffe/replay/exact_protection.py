"""Stops and targets that the market reached inside a bar, as if somebody had looked at that very price.

The bar's open first, then the stop's level, then the target's: where a bar reaches both, the stop is taken to come first. Nobody knows
when within the bar it was, so that the fill's time is the bar's close. A trailing stop trails at the open, never at the extreme inside
the bar: whether that came before or after the stop is not known.
"""

from datetime import datetime
from decimal import Decimal

from ffe.replay.exact_account import Account
from ffe.replay.market import Tape, only
from ffe.venues.models import Quote
from ffe.venues.paper_models import Prices, Resting

# Share of a price within which floats are not trusted to say that a level was not reached.
_NEAR = 1e-9


def protect_during(account: Account, tape: Tape, at: datetime, moment: int) -> None:
    """Meets what rests for `tape` within its newest bar, which closed `at`; nothing else is touched."""
    if not _near(account, tape):
        return
    prices = account.prices(at)
    look(account, tape, tape.opening(at), prices, moment)
    for target in (False, True):
        level = _reached(account, tape, target=target)
        while level is not None:
            long = account.trips[tape.symbol].holding.units > 0
            look(account, tape, tape.at_level(level, at, long=long), prices, moment)
            level = _reached(account, tape, target=target)


def look(account: Account, tape: Tape, quote: Quote, prices: Prices, moment: int) -> None:
    """At one instrument while it stood at `quote`."""
    account.look(only(prices, tape.symbol, quote), moment)


def _near(account: Account, tape: Tape) -> bool:
    """Whether the bar can meet or move anything at all: cheap, for most bars can't."""
    resting = _resting(account, tape)
    if not resting:
        return False
    sign = 1 if account.trips[tape.symbol].holding.units > 0 else -1
    worst, best = tape.reach(long=sign > 0)
    return any(
        order.distance is not None
        or (order.stop is not None and (worst - float(order.stop)) * sign <= _NEAR * worst)
        or (order.target is not None and (best - float(order.target)) * sign >= -_NEAR * best)
        for order in resting
    )


def _resting(account: Account, tape: Tape) -> list[Resting]:
    if tape.symbol not in account.trips:
        return []
    return [order for order in account.book.resting if order.instrument == tape.symbol]


def _reached(account: Account, tape: Tape, *, target: bool) -> Decimal | None:
    """The level that the bar reaches first, of the stops or of the targets; None when it reaches none."""
    resting = _resting(account, tape)
    if not resting:
        return None
    long = account.trips[tape.symbol].holding.units > 0
    worst, best = tape.reach(long=long)
    levels = [order.target if target else order.stop for order in resting]
    edge, above = tape.price(best if target else worst), long is target
    met = [level for level in levels if level is not None and (edge >= level if above else edge <= level)]
    if not met:
        return None
    return min(met) if above else max(met)
