"""Stops and targets: met by a bar's own range while it forms, or by the quote after its close.

A stop comes before a target where both are in the range; a target is a limit, so slippage never takes it below its price.
"""

from ffe.replay.jit import compiled
from ffe.replay.kernel_accounts import ASK, BID
from ffe.replay.kernel_fills import close_position, desk_price
from ffe.replay.kernel_records import (
    AT_STOP,
    AT_TARGET,
    BARE,
    MICRO,
    QUOTE_SCALE,
    STOP,
    TARGET,
    UNITS,
    Quote,
    Replay,
)
from ffe.replay.kernel_rounding import exact
from ffe.replay.models import HIGH, LOW, OPEN, Gate

MARKET_HOURS = int(Gate.MARKET_HOURS)


@compiled
def meet(replay: Replay, k: int, quote: Quote) -> None:
    """Closes instrument `k`, which is held, if bid and ask have reached its stop or else its target."""
    held = replay.book.held[k]
    side = 1.0 if held[UNITS] > 0 else -1.0
    seen = quote.bid if side > 0 else quote.ask
    price = desk_price(replay, k, -side, quote)
    if (seen - held[STOP]) * side <= 0.0:
        close_position(replay, k, price, quote, AT_STOP)
    elif (seen - held[TARGET]) * side >= 0.0:
        price = max(price, held[TARGET]) if side > 0 else min(price, held[TARGET])
        close_position(replay, k, price, quote, AT_TARGET)


@compiled
def met_inside(replay: Replay, k: int, row: int) -> float:
    """The first level that the bar's range reached on the side that closes instrument `k`; negative when it reached none.

    At the open both levels are looked at before the range is; that is why a short is the same story with its signs turned.
    """
    held = replay.book.held[k]
    long = held[UNITS] > 0
    side = 1.0 if long else -1.0
    bar = replay.market.bid[row] if long else replay.market.ask[row]
    worst, best = (bar[LOW], bar[HIGH]) if long else (bar[HIGH], bar[LOW])
    if (bar[OPEN] - held[STOP]) * side <= 0.0 or (bar[OPEN] - held[TARGET]) * side >= 0.0:
        return float(bar[OPEN])
    if (worst - held[STOP]) * side <= 0.0:
        return float(held[STOP])
    return float(held[TARGET]) if (best - held[TARGET]) * side >= 0.0 else -1.0


@compiled
def protect_inside(replay: Replay, k: int, row: int) -> None:
    """What the range of the bar that just closed did to instrument `k`, which is held. The spread is that of the bar's open."""
    market, book = replay.market, replay.book
    level = -1.0 if book.held[k, BARE] == 1.0 else met_inside(replay, k, row)
    if level < 0.0:
        return
    apart = exact(market.ask[row, OPEN] - market.bid[row, OPEN], book.terms[k, QUOTE_SCALE])
    long, spread = book.held[k, UNITS] > 0, max(0.0, apart)
    bid, ask = (level, level + spread) if long else (level - spread, level)
    meet(replay, k, Quote(bid, ask, market.closes[row] * MICRO, row - market.first[k]))


@compiled
def look(replay: Replay, k: int, now: float) -> None:
    """Instrument `k`, which is held, at the quote after its newest bar.

    A closed market meets nothing, and no bracket does while it is put back.
    """
    market, book = replay.market, replay.book
    row, bare = book.current[k], book.held[k, BARE] == 1.0
    book.held[k, BARE] = 0.0
    if not bare and market.gates[row] != MARKET_HOURS:
        meet(replay, k, Quote(market.after[row, BID], market.after[row, ASK], now, row - market.first[k]))
