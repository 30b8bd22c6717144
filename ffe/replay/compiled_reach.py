"""How far float64 reaches: sizes, prices and money of more steps of their grid than it tells apart are the exact engine's.

A float of 1e12 steps is up to a ten-thousandth of a step wrong, and a size is made of several of them. It matters for cheap coins, whose
units are many: the published lot of a coin is a hundred millionth.
"""

from ffe.replay.compiled_input import MARGIN_MONEY, SPOT_MONEY
from ffe.replay.models import ASK, Feed, Plan
from ffe.settings import RiskSettings, SizingMethod

# At this many one size in some 3000 may come out a lot larger than the exact one, and an account may still grow tenfold.
MOST_LOTS = 1e11
# Prices are on the grid from the start, and one rounding away from it.
MOST_TICKS = 1e12
# Whole up to 2**53; each fill adds an error of its own.
MOST_MONEY = 1e15


def out_of_reach(feed: Feed, plan: Plan) -> str | None:
    """What of the feed has more steps of its grid than float64 tells apart under this plan; None where nothing has."""
    if not len(feed.bars):
        return None
    symbol, spec = feed.bars.instrument.symbol, feed.spec
    lots = _largest_size(feed, plan) / float(spec.size_increment)
    if lots > MOST_LOTS:
        return f"up to {lots:.1e} lots of {spec.size_increment:f} {symbol}, and float64 counts {MOST_LOTS:.0e}"
    ticks = float(feed.bars.after[:, ASK].max()) / float(spec.price_increment)
    if ticks > MOST_TICKS:
        return (
            f"{ticks:.1e} ticks of {spec.price_increment:f} in a price of {symbol}, and float64 counts {MOST_TICKS:.0e}"
        )
    scale = SPOT_MONEY if spec.margin_rate is None else MARGIN_MONEY
    if plan.capital * scale > MOST_MONEY:
        return f"a capital of {plan.capital:.0f} for {symbol}, and float64 books up to {MOST_MONEY / scale:.0f} exactly"
    return None


def _largest_size(feed: Feed, plan: Plan) -> float:
    """Units of the largest entry that the rules, the venue and the balance let through at the lowest price."""
    spec = feed.spec
    share = _largest_share(plan.risk, 1.0 if spec.margin_rate is None else 1 / float(spec.margin_rate))
    notional = share * plan.capital
    if spec.max_notional is not None:
        notional = min(notional, float(spec.max_notional))
    units = notional / float(feed.bars.after.min())
    return units if spec.max_size is None else min(units, float(spec.max_size))


def _largest_share(risk: RiskSettings, balance: float) -> float:
    """Of equity; `balance`: what the free balance of an account without positions pays for."""
    limits = [balance, *(float(each) for each in (risk.max_position, risk.max_gross, risk.max_leverage))]
    if risk.sizing is SizingMethod.FIXED_FRACTION:
        limits.append(float(risk.fixed_fraction))
    return min(limits)
