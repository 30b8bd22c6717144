"""From one BUY or SELL to a fill or the code of what refused it: the twin of `ffe.cycle.ordering`, `ffe.risk.gate` and the desks.

A position always has its stop, so what is held is always worth an order: no dust, and one order closes it whole.
"""

from ffe.replay.jit import compiled
from ffe.replay.kernel_accounts import ASK, BID, equity_of, margin_of, mark, over_daily_loss, over_drawdown, trip
from ffe.replay.kernel_fills import close_position, desk_price, fee_of, open_position
from ffe.replay.kernel_records import (
    ACCOUNT,
    ALLOWED,
    ALREADY_LONG,
    ALREADY_SHORT,
    BAD_QUOTE,
    BARE,
    BOUNDS_VIOLATION,
    BY_DATA_GATE,
    BY_HALT,
    BY_RISK_GATE,
    CASH,
    INSUFFICIENT_FUND,
    KILL_SWITCH,
    MAX_NOTIONAL,
    MIN_NOTIONAL,
    MONEY,
    NO_ATR,
    NO_BALANCE,
    NOT_FILLED,
    NOTHING_TO_SELL,
    QUOTE_DIVERGENCE,
    QUOTE_SIZE_TOO_LARGE,
    QUOTE_SIZE_TOO_SMALL,
    REDUCE_ONLY,
    SIGNAL,
    SPOT,
    STOP_NOT_PLACEABLE,
    UNITS,
    Book,
    Levels,
    Quote,
    Replay,
)
from ffe.replay.kernel_rounding import above, below, money
from ffe.replay.kernel_rules import account_refusal, market_refusal, price_refusal, units_allowed
from ffe.replay.kernel_sizing import (
    atr_at,
    levels_of,
    placeable,
    price_bound,
    reserve_of,
    size,
    stop_distance,
    too_small,
)
from ffe.replay.models import CLOSE

# `ffe.cycle.ordering`
DIVERGENCE, DIVERGENCE_RANGES = 0.02, 5.0


@compiled
def author_of(code: int) -> int:
    """Which gate turns a decision into a HOLD for that reason."""
    if code == QUOTE_DIVERGENCE:
        return BY_DATA_GATE
    return BY_HALT if code == KILL_SWITCH else BY_RISK_GATE


@compiled
def order(replay: Replay, k: int, row: int, now: float) -> int:
    """Carries out the signal at `row`; `ALLOWED` when it filled."""
    market, book = replay.market, replay.book
    quote = Quote(market.after[row, BID], market.after[row, ASK], now, row - market.first[k])
    if _diverges(replay, k, row, quote):
        return QUOTE_DIVERGENCE
    account = int(book.terms[k, ACCOUNT])
    equity = equity_of(replay, account)
    mark(book, account, equity, now)
    side = 1.0 if market.actions[row] > 0 else -1.0
    sound = 0.0 < quote.bid <= quote.ask
    if book.held[k, UNITS] * side < 0.0:
        return _exit(replay, k, side, quote) if sound else BAD_QUOTE
    if over_daily_loss(replay, account, equity) or over_drawdown(replay, account, equity):
        trip(book, now)
    code = _meaning(book, k, side) if sound else BAD_QUOTE
    return _enter(replay, k, side, quote, equity) if code == ALLOWED else code


@compiled
def _diverges(replay: Replay, k: int, row: int, quote: Quote) -> bool:
    """Whether the quote is nowhere near the newest close."""
    close = replay.market.mid[row, CLOSE]
    apart = abs((quote.bid + quote.ask) / 2.0 - close) / close
    if not above(apart, DIVERGENCE):
        return False
    atr = atr_at(replay, k, row)
    return atr >= 0.0 and above(apart, DIVERGENCE_RANGES * atr / close)


@compiled
def _exit(replay: Replay, k: int, side: float, quote: Quote) -> int:
    """Closes what is held. The bracket of a coin goes first, also for a close that the desk then refuses."""
    book, entry = replay.book, quote.ask if side > 0 else quote.bid
    bound = price_bound(book, k, side, entry, replay.limits.max_slippage * entry)
    price, spot = desk_price(replay, k, side, quote), book.terms[k, SPOT] == 1.0
    if spot:
        book.held[k, BARE] = 1.0
        value = abs(book.held[k, UNITS]) * bound
        if below(value, book.terms[k, MIN_NOTIONAL]):
            return QUOTE_SIZE_TOO_SMALL
        if above(value, book.terms[k, MAX_NOTIONAL]):
            return QUOTE_SIZE_TOO_LARGE
    if (price - bound) * side > 0.0:
        return NOT_FILLED if spot else BOUNDS_VIOLATION
    close_position(replay, k, price, quote, SIGNAL)
    return ALLOWED


@compiled
def _meaning(book: Book, k: int, side: float) -> int:
    if book.held[k, UNITS] > 0.0:
        return ALREADY_LONG
    if book.held[k, UNITS] < 0.0:
        return ALREADY_SHORT
    if side < 0 and book.terms[k, SPOT] == 1.0:
        return NOTHING_TO_SELL
    return ALLOWED


@compiled
def _free(replay: Replay, k: int, equity: float) -> float:
    """What new orders may use."""
    book, account = replay.book, int(replay.book.terms[k, ACCOUNT])
    if book.terms[k, SPOT] == 1.0:
        return float(book.accounts[account, CASH])
    return max(0.0, equity - margin_of(replay, account))


@compiled
def _enter(replay: Replay, k: int, side: float, quote: Quote, equity: float) -> int:
    """Drafts, judges, sizes and fills an entry of an instrument that is flat."""
    book, free = replay.book, _free(replay, k, equity)
    if equity <= 0.0 or free <= 0.0:
        return NO_BALANCE
    atr = atr_at(replay, k, replay.market.first[k] + quote.bar)
    if atr < 0.0:
        return NO_ATR
    levels = levels_of(replay, k, side, quote, atr)
    code = _refusal(replay, k, levels, quote, equity)
    if code != ALLOWED:
        return code
    unit_risk = stop_distance(book, k, levels.entry, levels.stop)
    code, most = units_allowed(replay, k, levels, unit_risk, equity)
    if code != ALLOWED:
        return code
    paid_for = free / reserve_of(book, k, max(levels.entry, levels.bound), quote.ask - quote.bid)
    units = size(replay, k, levels, unit_risk, (equity, most, paid_for))
    code = too_small(book, k, levels, units)
    if code == ALLOWED and book.switch[REDUCE_ONLY] == 1.0:
        code = KILL_SWITCH
    if code == ALLOWED:
        code = _desk_refusal(replay, k, levels, units, desk_price(replay, k, side, quote))
    if code == ALLOWED:
        open_position(replay, k, levels, units, quote)
    return code


@compiled
def _refusal(replay: Replay, k: int, levels: Levels, quote: Quote, equity: float) -> int:
    """Of the levels themselves, then of every rule that bounds no size."""
    if not placeable(levels, quote):
        return STOP_NOT_PLACEABLE
    code = account_refusal(replay, k, quote, equity)
    if code == ALLOWED:
        code = market_refusal(replay, k, quote)
    return price_refusal(replay, k, levels, quote) if code == ALLOWED else code


@compiled
def _desk_refusal(replay: Replay, k: int, levels: Levels, units: float, price: float) -> int:
    """What the paper desk still finds. Margin suffices, for sizing set more aside; a price within its bound is not past the target."""
    book, terms = replay.book, replay.book.terms[k]
    beyond = (price - levels.bound) * levels.side > 0.0
    if terms[SPOT] == 0.0:
        return BOUNDS_VIOLATION if beyond else ALLOWED
    needed = money(units * levels.bound, terms[MONEY]) + fee_of(book, k, units, levels.bound)
    if needed > book.accounts[int(terms[ACCOUNT]), CASH] + 0.5 / terms[MONEY]:
        return INSUFFICIENT_FUND
    return NOT_FILLED if beyond else ALLOWED
