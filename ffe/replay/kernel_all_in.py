"""Signals without an engine: everything into the market at a BUY, everything out at a SELL, costs on, no rules and no stops."""

from ffe.replay.jit import compiled, entry_point
from ffe.replay.kernel_records import (
    SIGNAL,
    STILL_OPEN,
    T_ENTRY_BAR,
    T_ENTRY_PRICE,
    T_EXIT_BAR,
    T_EXIT_PRICE,
    T_FEES,
    T_NOTIONAL,
    T_PNL,
    T_REASON,
    T_SIDE,
    T_SLIPPAGE,
    T_SPREAD,
    T_UNITS,
)
from ffe.replay.models import Codes, Floats

BID, ASK = 0, 1


@entry_point
def play_all_in(
    after: Floats, actions: Codes, terms: tuple[float, float, float], curves: tuple[Floats, Floats], tape: Floats
) -> int:
    """Fills profit and notional (n, 1), which are the `curves`, and the `tape`, whose number of rows it returns. `terms`: capital, fee rate, slippage as a share.

    Times and confidence are left to the caller.
    """
    (capital, fee, slippage), (pnl, notional) = terms, curves
    cash, units, written = capital, 0.0, 0
    for bar in range(actions.size):
        if actions[bar] > 0 and units == 0.0:
            price = after[bar, ASK] * (1.0 + slippage)
            units = cash / (price * (1.0 + fee))
            _enter(tape[written], bar, units, price, cash)
            tape[written, T_FEES] = units * price * fee
            _cost(tape[written], units, price - after[bar, ASK], after[bar, ASK] - after[bar, BID])
            cash, written = 0.0, written + 1
        elif actions[bar] < 0 and units > 0.0:
            price = after[bar, BID] * (1.0 - slippage)
            cash = units * price * (1.0 - fee)
            _leave(tape[written - 1], bar, price, cash, SIGNAL)
            tape[written - 1, T_FEES] += units * price * fee
            _cost(tape[written - 1], units, after[bar, BID] - price, after[bar, ASK] - after[bar, BID])
            units = 0.0
        notional[bar, 0] = units * after[bar, BID]
        pnl[bar, 0] = cash + notional[bar, 0] - capital
    if units > 0.0:
        price = after[actions.size - 1, BID]
        _leave(tape[written - 1], actions.size - 1, price, units * price, STILL_OPEN)
    return written


@compiled
def _enter(row: Floats, bar: int, units: float, price: float, paid: float) -> None:
    row[:] = 0.0
    row[T_SIDE], row[T_UNITS], row[T_ENTRY_BAR], row[T_ENTRY_PRICE] = 1.0, units, bar, price
    row[T_NOTIONAL], row[T_PNL] = units * price, -paid


@compiled
def _leave(row: Floats, bar: int, price: float, got: float, reason: int) -> None:
    row[T_EXIT_BAR], row[T_EXIT_PRICE], row[T_REASON] = bar, price, reason
    row[T_PNL] += got


@compiled
def _cost(row: Floats, units: float, slipped: float, spread: float) -> None:
    row[T_SLIPPAGE] += units * slipped
    row[T_SPREAD] += units * spread / 2.0
