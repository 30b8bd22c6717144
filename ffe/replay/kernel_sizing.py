"""Where the stop, the target and the price bound of an entry go, and how many units: twins of `ffe.risk.levels` and `ffe.risk.sizing`."""

from ffe.replay.jit import compiled
from ffe.replay.kernel_records import (
    ALLOWED,
    BELOW_MINIMUM,
    EXIT_NOT_PLACEABLE,
    FEE,
    LOT,
    LOT_SCALE,
    MARGIN,
    MAX_NOTIONAL,
    MAX_SIZE,
    MIN_NOTIONAL,
    MIN_SIZE,
    QUOTE_SCALE,
    SPOT,
    STOP_MAX,
    STOP_MIN,
    TICK,
    TICK_SCALE,
    Book,
    Levels,
    Market,
    Quote,
    Replay,
)
from ffe.replay.kernel_rounding import below, down, exact, nearest, up
from ffe.replay.models import CLOSE, HIGH, LOW

ATR_PERIOD = 14
# `money.from_float`; above this a float has no twelfth place.
ATR_SCALE, ATR_MOST = 1e12, 4096.0


@compiled
def true_range(market: Market, row: int) -> float:
    high, low, before = market.mid[row, HIGH], market.mid[row, LOW], market.mid[row - 1, CLOSE]
    return float(max(high - low, abs(before - high), abs(before - low)))


@compiled
def atr_at(replay: Replay, k: int, row: int) -> float:
    """Wilder's ATR over the window of a live cycle, in TA-Lib's order of additions; negative where there are too few bars."""
    market = replay.market
    if market.starts.size:
        start = market.first[k] + market.starts[row]
    else:
        start = max(market.first[k], row - replay.limits.lookback + 1)
    if row - start < ATR_PERIOD:
        return -1.0
    found = 0.0
    for bar in range(start + 1, start + 1 + ATR_PERIOD):
        found += true_range(market, bar)
    found /= ATR_PERIOD
    for bar in range(start + 1 + ATR_PERIOD, row + 1):
        found = (found * (ATR_PERIOD - 1) + true_range(market, bar)) / ATR_PERIOD
    return exact(found, ATR_SCALE) if found < ATR_MOST else found


@compiled
def price_bound(book: Book, k: int, side: float, entry: float, slippage: float) -> float:
    """Worst acceptable price, quantised towards the entry but never past it."""
    tick, scale = book.terms[k, TICK], book.terms[k, TICK_SCALE]
    if side > 0:
        return max(down(entry + slippage, tick, scale), up(entry, tick, scale))
    return min(up(entry - slippage, tick, scale), down(entry, tick, scale))


@compiled
def stop_distance(book: Book, k: int, entry: float, stop: float) -> float:
    return abs(exact(entry - stop, book.terms[k, QUOTE_SCALE]))


@compiled
def levels_of(replay: Replay, k: int, side: float, quote: Quote, atr: float) -> Levels:
    book, limits = replay.book, replay.limits
    terms, entry = book.terms[k], quote.ask if side > 0 else quote.bid
    distance = min(max(limits.stop_atr_multiple * atr, entry * terms[STOP_MIN]), entry * terms[STOP_MAX])
    stop = _level(entry - side * distance, terms[TICK], terms[TICK_SCALE])
    distance = stop_distance(book, k, entry, stop)
    target = _level(entry + side * distance * limits.reward_risk, terms[TICK], terms[TICK_SCALE])
    bound = price_bound(book, k, side, entry, min(distance / 2.0, limits.max_slippage * entry))
    return Levels(side, entry, stop, target, bound)


@compiled
def _level(value: float, tick: float, scale: float) -> float:
    """A level below zero is no level, however it is rounded."""
    return nearest(value, tick, scale) if value > 0.0 else -1.0


@compiled
def placeable(levels: Levels, quote: Quote) -> bool:
    """A long's stop triggers at the bid and its target must lie above the ask; a short's mirrored."""
    if levels.side > 0:
        return 0.0 < levels.stop < quote.bid and levels.target > quote.ask
    return levels.stop > quote.ask and 0.0 < levels.target < quote.bid


@compiled
def reserve_of(book: Book, k: int, worst: float, spread: float) -> float:
    """What one unit sets aside at the worst price accepted, fee included; on margin its margin and the spread."""
    fee = worst * book.terms[k, FEE]
    if book.terms[k, SPOT] == 1.0:
        return float(worst + fee)
    return float(worst * book.terms[k, MARGIN] + spread + fee)


@compiled
def size(replay: Replay, k: int, levels: Levels, unit_risk: float, room: tuple[float, float, float]) -> float:
    """Units within every limit. `room`: equity, units that the rules allow, units that the free balance pays for."""
    limits, terms, equity = replay.limits, replay.book.terms[k], room[0]
    units = limits.per_trade * equity / unit_risk
    if limits.fraction:
        units = min(units, limits.fixed_fraction * equity / levels.entry)
    most = terms[MAX_NOTIONAL] / max(levels.entry, levels.bound)
    return down(min(units, room[1], room[2], terms[MAX_SIZE], most), terms[LOT], terms[LOT_SCALE])


@compiled
def too_small(book: Book, k: int, levels: Levels, units: float) -> int:
    terms = book.terms[k]
    if units <= 0.0 or below(units, terms[MIN_SIZE]) or below(units * levels.entry, terms[MIN_NOTIONAL]):
        return BELOW_MINIMUM
    left = down(units * (1.0 - terms[FEE]), terms[LOT], terms[LOT_SCALE])
    if below(left, terms[MIN_SIZE]) or below(left * min(levels.stop, levels.target), terms[MIN_NOTIONAL]):
        return EXIT_NOT_PLACEABLE
    return ALLOWED
