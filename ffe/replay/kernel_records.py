"""What the compiled kernel works on: arrays with named columns, and numbers for every reason that the engine has a word for.

All bars of all instruments lie one after the other; `Market.first` says where each begins. State is in float64 rows, one for an
instrument or an account, so that one compilation serves any number of them. Moments are microseconds since the epoch, exact in float64.
"""

from typing import NamedTuple

from ffe.replay.models import Codes, Floats, Ints

MICRO = 1_000_000.0
DAY = 86_400.0 * MICRO

# Columns of `Book.terms`, one row an instrument: the venue's rules. Without a limit: infinity, or zero for a least value.
# Scales are powers of ten: how many of the smallest decimal of a price, a size or a booked amount make one.
TICK, TICK_SCALE, QUOTE_SCALE, LOT, LOT_SCALE, MIN_SIZE, MAX_SIZE, MIN_NOTIONAL, MAX_NOTIONAL = range(9)
FEE, MARGIN, SPOT, STOP_MIN, STOP_MAX, RANK, ACCOUNT, MONEY = range(9, 17)
TERMS = 17

# Columns of `Book.held`, one row an instrument. UNITS signed, 0 when flat. BOOKED: profit realised and paid. FIRST: number of its first
# fill among all, 0 without one. ENDED: 1 when the last round trip ended at the newest end of the account; LOST: 1 when it lost.
UNITS, ENTRY, STOP, TARGET, OPENED, ENTRY_FEE, ENTRY_FLOW, BOOKED, LAST_OPENED, LAST_CLOSED, FIRST, ENDED, LOST = range(
    13
)
# Of the entry, for the trade's row: when (seconds), at which bar, spread and slippage lost, planned risk, confidence.
ENTRY_TIME, ENTRY_BAR, SPREAD, SLIPPAGE, PLANNED, CONFIDENCE = range(13, 19)
# 1 while a coin lies without its bracket: that went for a close which the desk refused, and is put back at the next look.
BARE = 19
HELD = 20

# Columns of `Book.accounts`. MARKED: 1 once there is a mark; MARK: the newest; MIDNIGHT: start of the day that START belongs to.
# NEWEST_END: when a round trip last ended; STREAK: losing ones in a row before that moment.
CASH, MARKED, MARK, MIDNIGHT, START, PEAK, NEWEST_END, STREAK = range(8)
ACCOUNTS = 8

# `Book.switch`: 1 when reduce-only, since when, the first such moment (seconds, negative: never), the moment of now and its place among
# all, fills so far, positions open, 1 when orders changed an account after its last mark.
REDUCE_ONLY, SINCE, HALTED_AT, MOMENT, PLACE, FILLS, OPEN_POSITIONS, UNMARKED = range(8)
SWITCH = 8

# Columns of `Book.tape`, one row a round trip; what TRADE_SCHEMA calls the same, and the place of the moment it ended at.
(
    T_INSTRUMENT,
    T_SIDE,
    T_UNITS,
    T_ENTRY_TIME,
    T_EXIT_TIME,
    T_ENTRY_PRICE,
    T_EXIT_PRICE,
    T_STOP,
    T_TARGET,
    T_REASON,
    T_PNL,
    T_FEES,
    T_SLIPPAGE,
    T_SPREAD,
    T_NOTIONAL,
    T_PLANNED,
    T_CONFIDENCE,
    T_ENTRY_BAR,
    T_EXIT_BAR,
    T_PLACE,
) = range(20)
TAPE = 20

SIGNAL, AT_STOP, AT_TARGET, STILL_OPEN = range(4)

# Authors of a HOLD.
BY_MODEL, BY_FALLBACK, BY_MARKET_HOURS, BY_DATA_GATE, BY_RISK_GATE, BY_HALT = range(6)
AUTHORS = 6

# Why there was no order: position in CODES.
(
    ALLOWED,
    QUOTE_DIVERGENCE,
    BAD_QUOTE,
    NOTHING_TO_SELL,
    ALREADY_LONG,
    ALREADY_SHORT,
    NO_BALANCE,
    NO_ATR,
    STOP_NOT_PLACEABLE,
    CONFIDENCE_BELOW_FLOOR,
    DAILY_LOSS,
    DRAWDOWN,
    LOSS_STREAK,
    COOLDOWN,
    MINIMUM_HOLD,
    SPREAD_TOO_WIDE,
    SLIPPAGE_TOO_WIDE,
    REWARD_TOO_SMALL,
    MAX_GROSS,
    MAX_CORRELATED,
    MAX_LEVERAGE,
    MAX_HEAT,
    BELOW_MINIMUM,
    EXIT_NOT_PLACEABLE,
    KILL_SWITCH,
    BOUNDS_VIOLATION,
    NOT_FILLED,
    INSUFFICIENT_FUND,
    QUOTE_SIZE_TOO_SMALL,
    QUOTE_SIZE_TOO_LARGE,
) = range(30)
CODES = (
    "",
    "quote_divergence",
    "bad_quote",
    "nothing_to_sell",
    "already_long",
    "already_short",
    "no_balance",
    "no_atr",
    "stop_not_placeable",
    "confidence_below_floor",
    "daily_loss",
    "drawdown",
    "loss_streak",
    "cooldown",
    "minimum_hold",
    "spread_too_wide",
    "slippage_too_wide",
    "reward_too_small",
    "max_gross",
    "max_correlated",
    "max_leverage",
    "max_heat",
    "below_minimum",
    "exit_not_placeable",
    "kill_switch_reduce_only",
    "desk:BOUNDS_VIOLATION",
    "desk:Immediate or cancel order could not be filled",
    "desk:INSUFFICIENT_FUND",
    "desk:PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL",
    "desk:PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE",
)


class Market(NamedTuple):
    """N bars of K instruments, T moments. `first` (K + 1): where each instrument's bars begin. `times` (T) and `closes` (N) in seconds.

    `starts` (N): of the instrument's own bars the oldest that a cycle sees; empty: as many as the lookback.
    """

    first: Ints
    times: Ints
    closes: Ints
    mid: Floats
    bid: Floats
    ask: Floats
    after: Floats
    gates: Codes
    actions: Codes
    confidence: Ints
    authors: Codes
    starts: Ints


class Limits(NamedTuple):
    """The plan and its risk settings as floats; seconds as microseconds. `resume`: negative for never. `intrabar`, `fraction`: flags."""

    per_trade: float
    min_confidence: float
    stop_atr_multiple: float
    reward_risk: float
    fixed_fraction: float
    max_position: float
    max_gross: float
    max_correlated: float
    max_leverage: float
    max_heat: float
    max_daily_loss: float
    max_drawdown: float
    loss_streak: float
    loss_streak_pause: float
    cooldown: float
    min_hold: float
    min_reward_risk: float
    max_spread: float
    max_slippage: float
    slippage: float
    lag: float
    resume: float
    lookback: int
    fraction: bool
    intrabar: bool


class Book(NamedTuple):
    """Everything that changes, and the terms. `current` (K): row of each instrument's newest closed bar, -1 before its first.

    `holds` (K, AUTHORS), `denials` (K, CODES), `orders` (K): counts. `tape` (trades, TAPE) with `written` (1) rows in use.
    """

    terms: Floats
    held: Floats
    accounts: Floats
    switch: Floats
    current: Ints
    holds: Ints
    denials: Ints
    orders: Ints
    tape: Floats
    written: Ints


class Replay(NamedTuple):
    """What every part of the kernel works on."""

    market: Market
    book: Book
    limits: Limits


class Quote(NamedTuple):
    """What somebody meets at `now` (microseconds); `bar`: of the instrument's own bars the newest that has closed."""

    bid: float
    ask: float
    now: float
    bar: int


class Levels(NamedTuple):
    """Of an entry; `side` is 1 for a BUY, -1 for a SELL; `bound` the worst acceptable price."""

    side: float
    entry: float
    stop: float
    target: float
    bound: float


class Ending(NamedTuple):
    """What a round trip came to. `at` in seconds; `reason` one of SIGNAL, AT_STOP, AT_TARGET, STILL_OPEN."""

    price: float
    at: float
    bar: int
    reason: int
    pnl: float
    fees: float
    slippage: float
    spread: float
