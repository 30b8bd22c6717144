"""Fills at the paper desks' prices, and what they do to cash, position, profit and the trades on tape."""

from ffe.replay.jit import compiled
from ffe.replay.kernel_accounts import closing_quote, gain, note_end, worth
from ffe.replay.kernel_records import (
    ACCOUNT,
    BARE,
    BOOKED,
    CASH,
    CONFIDENCE,
    ENTRY,
    ENTRY_BAR,
    ENTRY_FEE,
    ENTRY_FLOW,
    ENTRY_TIME,
    FEE,
    FILLS,
    FIRST,
    LAST_CLOSED,
    LAST_OPENED,
    MICRO,
    MOMENT,
    MONEY,
    OPEN_POSITIONS,
    OPENED,
    PLACE,
    PLANNED,
    QUOTE_SCALE,
    SLIPPAGE,
    SPOT,
    SPREAD,
    STILL_OPEN,
    STOP,
    TARGET,
    TICK,
    TICK_SCALE,
    UNITS,
    UNMARKED,
    Book,
    Ending,
    Levels,
    Quote,
    Replay,
)
from ffe.replay.kernel_rounding import down, exact, money, up

# A round trip lost when it returned less than nothing; half of what the finest money and grid can tell apart.
EVEN = 1e-11


@compiled
def desk_price(replay: Replay, k: int, side: float, quote: Quote) -> float:
    """The far side of the spread, made worse by the slippage, on the venue's grid: `Desk.price`."""
    terms, slippage = replay.book.terms[k], replay.limits.slippage
    if side > 0:
        return up(quote.ask * (1.0 + slippage), terms[TICK], terms[TICK_SCALE])
    return down(quote.bid * (1.0 - slippage), terms[TICK], terms[TICK_SCALE])


@compiled
def fee_of(book: Book, k: int, units: float, price: float) -> float:
    scale = book.terms[k, MONEY]
    value = money(units * price, scale) if book.terms[k, SPOT] == 1.0 else units * price
    return money(value * book.terms[k, FEE], scale)


@compiled
def move(book: Book, k: int, amount: float) -> None:
    """Books `amount` on the account's cash and on the instrument's profit."""
    account, scale = int(book.terms[k, ACCOUNT]), book.terms[k, MONEY]
    book.accounts[account, CASH] = exact(book.accounts[account, CASH] + amount, scale)
    book.held[k, BOOKED] = exact(book.held[k, BOOKED] + amount, scale)


@compiled
def open_position(replay: Replay, k: int, levels: Levels, units: float, quote: Quote) -> None:
    """Fills an entry that nothing refused."""
    market, book, side = replay.market, replay.book, levels.side
    held, price = book.held[k], desk_price(replay, k, side, quote)
    fee = fee_of(book, k, units, price)
    flow = -fee
    if book.terms[k, SPOT] == 1.0:
        flow -= money(units * price, book.terms[k, MONEY])
    move(book, k, flow)
    held[UNITS], held[ENTRY], held[STOP], held[TARGET] = units * side, price, levels.stop, levels.target
    held[OPENED], held[ENTRY_FEE], held[ENTRY_FLOW] = quote.now, fee, flow
    held[PLANNED] = units * exact(abs(levels.entry - levels.stop), book.terms[k, QUOTE_SCALE])
    held[SPREAD] = units * (quote.ask - quote.bid) / 2.0
    held[SLIPPAGE] = units * (price - quote.ask if side > 0 else quote.bid - price)
    held[ENTRY_TIME], held[ENTRY_BAR] = quote.now / MICRO, quote.bar
    held[CONFIDENCE] = market.confidence[market.first[k] + quote.bar]
    book.switch[FILLS] += 1.0
    book.switch[OPEN_POSITIONS] += 1.0
    book.switch[UNMARKED] = 1.0
    if held[FIRST] == 0.0:
        held[FIRST] = book.switch[FILLS]


@compiled
def close_position(replay: Replay, k: int, price: float, quote: Quote, reason: int) -> None:
    """Closes everything held at `price`; `quote` is what it was met with."""
    book = replay.book
    held, units = book.held[k], abs(book.held[k, UNITS])
    fee = fee_of(book, k, units, price)
    realised = exact(price - held[ENTRY], book.terms[k, QUOTE_SCALE]) * held[UNITS]
    flow = money(units * price, book.terms[k, MONEY]) if book.terms[k, SPOT] == 1.0 else gain(book, k, price)
    move(book, k, flow - fee)
    fees = held[ENTRY_FEE] + fee
    spread = held[SPREAD] + units * (quote.ask - quote.bid) / 2.0
    slippage = held[SLIPPAGE] + units * (quote.bid - price if held[UNITS] > 0 else price - quote.ask)
    made = flow - fee + held[ENTRY_FLOW]
    _write(book, k, Ending(price, quote.now / MICRO, quote.bar, reason, made, fees, slippage, spread))
    note_end(book, k, realised - fees < -EVEN, quote.now)
    held[LAST_OPENED], held[LAST_CLOSED], held[UNITS], held[BARE] = held[OPENED], quote.now, 0.0, 0.0
    book.switch[OPEN_POSITIONS] -= 1.0
    book.switch[UNMARKED] = 1.0


@compiled
def leave_open(replay: Replay, k: int) -> None:
    """Writes the row of what is still held after the last moment, valued at the closing side."""
    book, price = replay.book, closing_quote(replay, k)
    held, bar = book.held[k], book.current[k] - replay.market.first[k]
    made = held[ENTRY_FLOW] + worth(replay, k)
    at = book.switch[MOMENT]
    _write(book, k, Ending(price, at, bar, STILL_OPEN, made, held[ENTRY_FEE], held[SLIPPAGE], held[SPREAD]))


@compiled
def _write(book: Book, k: int, ending: Ending) -> None:
    """In the order of the T_ columns."""
    held, row = book.held[k], book.tape[book.written[0]]
    units = abs(held[UNITS])
    row[0], row[1], row[2] = k, 1.0 if held[UNITS] > 0 else -1.0, units
    row[3], row[4], row[5], row[6] = held[ENTRY_TIME], ending.at, held[ENTRY], ending.price
    row[7], row[8], row[9] = held[STOP], held[TARGET], ending.reason
    row[10], row[11], row[12], row[13] = ending.pnl, ending.fees, ending.slippage, ending.spread
    row[14], row[15], row[16] = units * held[ENTRY], held[PLANNED], held[CONFIDENCE]
    row[17], row[18], row[19] = held[ENTRY_BAR], ending.bar, book.switch[PLACE]
    book.written[0] += 1
