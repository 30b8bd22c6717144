"""The rules that judge an entry, each with the comparison of its twin in `ffe.risk.rules`, in their order; the first refusal counts."""

from ffe.replay.jit import compiled
from ffe.replay.kernel_accounts import closing_quote, losing_streak, margin_of, over_daily_loss, over_drawdown
from ffe.replay.kernel_records import (
    ACCOUNT,
    ALLOWED,
    CONFIDENCE_BELOW_FLOOR,
    COOLDOWN,
    DAILY_LOSS,
    DRAWDOWN,
    FEE,
    LAST_CLOSED,
    LAST_OPENED,
    LOSS_STREAK,
    MARGIN,
    MAX_CORRELATED,
    MAX_GROSS,
    MAX_HEAT,
    MAX_LEVERAGE,
    MINIMUM_HOLD,
    NEWEST_END,
    REWARD_TOO_SMALL,
    SLIPPAGE_TOO_WIDE,
    SPOT,
    SPREAD_TOO_WIDE,
    STOP,
    UNITS,
    Levels,
    Quote,
    Replay,
)
from ffe.replay.kernel_rounding import above, below


@compiled
def account_refusal(replay: Replay, k: int, quote: Quote, equity: float) -> int:
    """Of the rules that need nothing of the instrument."""
    market, book, limits = replay
    account = int(book.terms[k, ACCOUNT])
    if market.confidence[market.first[k] + quote.bar] < limits.min_confidence:
        return CONFIDENCE_BELOW_FLOOR
    if over_daily_loss(replay, account, equity):
        return DAILY_LOSS
    if over_drawdown(replay, account, equity):
        return DRAWDOWN
    until = book.accounts[account, NEWEST_END] + limits.loss_streak_pause
    if quote.now < until and losing_streak(book, account) >= limits.loss_streak:
        return LOSS_STREAK
    return ALLOWED


@compiled
def market_refusal(replay: Replay, k: int, quote: Quote) -> int:
    """Of the rules about the instrument's last round trip and its quote."""
    held, limits = replay.book.held[k], replay.limits
    if quote.now < held[LAST_CLOSED] + limits.cooldown:
        return COOLDOWN
    if quote.now < held[LAST_OPENED] + limits.min_hold:
        return MINIMUM_HOLD
    if above((quote.ask - quote.bid) / ((quote.bid + quote.ask) / 2.0), limits.max_spread):
        return SPREAD_TOO_WIDE
    return ALLOWED


@compiled
def price_refusal(replay: Replay, k: int, levels: Levels, quote: Quote) -> int:
    """Of the rules about the order's own prices."""
    if above(abs(levels.bound - levels.entry) / levels.entry, replay.limits.max_slippage):
        return SLIPPAGE_TOO_WIDE
    fee, spread = replay.book.terms[k, FEE], quote.ask - quote.bid
    won = abs(levels.target - levels.entry) - ((levels.entry + levels.target) * fee + spread)
    lost = abs(levels.entry - levels.stop) + (levels.entry + levels.stop) * fee + spread
    return REWARD_TOO_SMALL if below(won / lost, replay.limits.min_reward_risk) else ALLOWED


@compiled
def exposure(replay: Replay, account: int) -> tuple[float, float]:
    """Notional of everything held in the account, and what is lost if all its stops are hit."""
    book, gross, heat = replay.book, 0.0, 0.0
    for k in range(book.held.shape[0]):
        units = book.held[k, UNITS]
        if book.terms[k, ACCOUNT] != account or units == 0.0:
            continue
        price = closing_quote(replay, k)
        gross += abs(units) * price
        apart = price - book.held[k, STOP] if units > 0 else book.held[k, STOP] - price
        heat += max(0.0, apart) * abs(units)
    return gross, heat


@compiled
def _room(used: float, limit: float) -> float:
    """What is left of a limit; negative when nothing is, as then the rule refuses."""
    return limit - used if below(used, limit) else -1.0


@compiled
def units_allowed(replay: Replay, k: int, levels: Levels, unit_risk: float, equity: float) -> tuple[int, float]:
    """First refusal of the rules that bound a size, and the most units that all of them allow.

    The instrument itself is flat, so its own notional is zero. All instruments of an account are correlated: spot ones are crypto, and
    pairs share the dollar.
    """
    book, limits, account = replay.book, replay.limits, int(replay.book.terms[k, ACCOUNT])
    gross, heat = exposure(replay, account)
    all_of_it, together = _room(gross, limits.max_gross * equity), _room(gross, limits.max_correlated * equity)
    notional = min(limits.max_position * equity, all_of_it, together)
    levered = 0.0
    if book.terms[k, SPOT] == 0.0:
        levered = _room(margin_of(replay, account) / book.terms[k, MARGIN], limits.max_leverage * equity)
        notional = min(notional, levered)
    at_stops = _room(heat, limits.max_heat * equity)
    if all_of_it < 0.0:
        return MAX_GROSS, 0.0
    if together < 0.0:
        return MAX_CORRELATED, 0.0
    if levered < 0.0:
        return MAX_LEVERAGE, 0.0
    if at_stops < 0.0:
        return MAX_HEAT, 0.0
    return ALLOWED, min(notional / levels.entry, at_stops / unit_risk)
