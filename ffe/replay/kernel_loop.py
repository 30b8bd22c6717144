"""The compiled engine's timeline: at every moment protection, a look, marks, decisions and orders, in the order of a live cycle.

Where nothing is held and nobody signals, nothing can change but the counts of HOLDs, and the moment is passed over. The moment after
an order is not: its fill has yet to be marked.
"""

from ffe.replay.jit import compiled, entry_point
from ffe.replay.kernel_accounts import closing_quote, resume, watch, worth
from ffe.replay.kernel_fills import leave_open
from ffe.replay.kernel_orders import author_of, order
from ffe.replay.kernel_protection import look, protect_inside
from ffe.replay.kernel_records import (
    ALLOWED,
    BOOKED,
    BY_DATA_GATE,
    BY_FALLBACK,
    BY_MARKET_HOURS,
    BY_MODEL,
    MICRO,
    MOMENT,
    OPEN_POSITIONS,
    PLACE,
    RANK,
    UNITS,
    UNMARKED,
    Book,
    Market,
    Replay,
)
from ffe.replay.models import Floats, Gate, Ints

PASSED, CLOSED = int(Gate.PASSED), int(Gate.MARKET_HOURS)


@compiled
def advance(market: Market, book: Book, time: int, closing: Ints) -> None:
    """Puts the row of the bar that closes at `time` into `closing` (K) and into `book.current`; -1 where none does."""
    for k in range(closing.size):
        after = book.current[k] + 1 if book.current[k] >= 0 else market.first[k]
        closing[k] = -1
        if after < market.first[k + 1] and market.closes[after] == time:
            closing[k] = book.current[k] = after


@compiled
def decide(market: Market, book: Book, k: int, row: int) -> bool:
    """Whether instrument `k` wants an order at `row`; else its HOLD is counted by author. Nobody was asked: no decision."""
    if market.gates[row] != PASSED:
        book.holds[k, BY_MARKET_HOURS if market.gates[row] == CLOSED else BY_DATA_GATE] += 1
        return False
    author = market.authors[row] if market.authors.size else 0
    if author == 0 and market.actions[row] != 0:
        return True
    if author < 2:
        book.holds[k, BY_MODEL if author == 0 else BY_FALLBACK] += 1
    return False


@compiled
def first_in_line(replay: Replay, closing: Ints, wanting: Ints) -> int:
    """Of the instruments that want an order the most confident one, by name among equals; -1 when none is left."""
    market, book, found = replay.market, replay.book, -1
    for k in range(wanting.size):
        if wanting[k] == 0:
            continue
        more = 1 if found < 0 else market.confidence[closing[k]] - market.confidence[closing[found]]
        if more > 0 or (more == 0 and book.terms[k, RANK] < book.terms[found, RANK]):
            found = k
    return found


@compiled
def trade(replay: Replay, closing: Ints, wanting: Ints, now: float) -> None:
    """Carries out what is wanted, one instrument after the other, and counts what was refused."""
    book = replay.book
    while True:
        k = first_in_line(replay, closing, wanting)
        if k < 0:
            return
        wanting[k] = 0
        code = order(replay, k, closing[k], now)
        if code == ALLOWED:
            book.orders[k] += 1
        else:
            book.holds[k, author_of(code)] += 1
            book.denials[k, code] += 1


@compiled
def protect(replay: Replay, closing: Ints, now: float) -> None:
    """Stops and targets: inside the bars that have just closed, then at the quotes after them."""
    held = replay.book.held
    for k in range(closing.size):
        if replay.limits.intrabar and closing[k] >= 0 and held[k, UNITS] != 0.0:
            protect_inside(replay, k, closing[k])
    for k in range(closing.size):
        if held[k, UNITS] != 0.0:
            look(replay, k, now)


@compiled
def record(replay: Replay, place: int, pnl: Floats, notional: Floats) -> None:
    """Profit and value of every instrument at this moment."""
    held = replay.book.held
    for k in range(pnl.shape[1]):
        pnl[place, k] = held[k, BOOKED] + worth(replay, k)
        notional[place, k] = 0.0 if held[k, UNITS] == 0.0 else held[k, UNITS] * closing_quote(replay, k)


@compiled
def step(replay: Replay, place: int, closing: Ints, wanting: Ints) -> None:
    """One moment. Where nothing is held, wanted or still to be marked, nothing but counts of HOLDs can change."""
    market, book, limits = replay
    now = market.times[place] * MICRO + limits.lag
    book.switch[MOMENT], book.switch[PLACE] = market.times[place], place
    advance(market, book, market.times[place], closing)
    waits = book.switch[OPEN_POSITIONS] > 0.0 or book.switch[UNMARKED] == 1.0
    for k in range(closing.size):
        wanting[k] = 1 if closing[k] >= 0 and decide(market, book, k, closing[k]) else 0
        waits = waits or wanting[k] == 1
    if waits:
        resume(replay, now)
        protect(replay, closing, now)
        watch(replay, now)
        book.switch[UNMARKED] = 0.0
        trade(replay, closing, wanting, now)


@entry_point
def play(replay: Replay, pnl: Floats, notional: Floats, scratch: Ints) -> None:
    """Fills `book`, `pnl` and `notional` (T, K); with one row in them only the last moment is kept. `scratch`: (2, K)."""
    times, closing, wanting = replay.market.times, scratch[0], scratch[1]
    whole = pnl.shape[0] == times.size
    for place in range(times.size):
        step(replay, place, closing, wanting)
        record(replay, place if whole else 0, pnl, notional)
    for k in range(closing.size):
        if replay.book.held[k, UNITS] != 0.0:
            leave_open(replay, k)
