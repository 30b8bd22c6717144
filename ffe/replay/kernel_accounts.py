"""What an account is worth, what is free in it, its marks, and the kill switch that they trip.

A spot account holds coins at the bid beside its cash, a margin account's trades are worth what closing them would book.
"""

import math

from ffe.replay.jit import compiled
from ffe.replay.kernel_records import (
    ACCOUNT,
    CASH,
    DAY,
    ENDED,
    ENTRY,
    FIRST,
    HALTED_AT,
    LOST,
    MARGIN,
    MARK,
    MARKED,
    MIDNIGHT,
    MOMENT,
    MONEY,
    NEWEST_END,
    PEAK,
    QUOTE_SCALE,
    REDUCE_ONLY,
    SINCE,
    SPOT,
    START,
    STREAK,
    UNITS,
    Book,
    Replay,
)
from ffe.replay.kernel_rounding import below, exact, money

BID, ASK = 0, 1
# As many round trips as a live cycle reads back (`Ledger.closed_trades`).
MOST_TRADES = 200


@compiled
def closing_quote(replay: Replay, k: int) -> float:
    """What closing instrument `k`, which is held, would trade at now."""
    after = replay.market.after[replay.book.current[k]]
    return float(after[BID] if replay.book.held[k, UNITS] > 0 else after[ASK])


@compiled
def gain(book: Book, k: int, price: float) -> float:
    """Booked in money by closing a margin position at `price`, before fees."""
    apart = exact(price - book.held[k, ENTRY], book.terms[k, QUOTE_SCALE])
    return money(apart * book.held[k, UNITS], book.terms[k, MONEY])


@compiled
def worth(replay: Replay, k: int) -> float:
    """What instrument `k`, held or not, adds to its account's cash."""
    book = replay.book
    if book.held[k, UNITS] == 0.0:
        return 0.0
    price = closing_quote(replay, k)
    return book.held[k, UNITS] * price if book.terms[k, SPOT] == 1.0 else gain(book, k, price)


@compiled
def margin_used(replay: Replay, k: int) -> float:
    """Margin counts the base currency at the middle of the quote."""
    book = replay.book
    if book.held[k, UNITS] == 0.0 or book.terms[k, SPOT] == 1.0:
        return 0.0
    after = replay.market.after[book.current[k]]
    middle = (after[BID] + after[ASK]) / 2.0
    return money(abs(book.held[k, UNITS]) * middle * book.terms[k, MARGIN], book.terms[k, MONEY])


@compiled
def equity_of(replay: Replay, account: int) -> float:
    book = replay.book
    found = book.accounts[account, CASH]
    for k in range(book.held.shape[0]):
        if book.terms[k, ACCOUNT] == account:
            found += worth(replay, k)
    return float(found)


@compiled
def margin_of(replay: Replay, account: int) -> float:
    book, found = replay.book, 0.0
    for k in range(book.held.shape[0]):
        if book.terms[k, ACCOUNT] == account:
            found += margin_used(replay, k)
    return found


@compiled
def mark(book: Book, account: int, equity: float, now: float) -> None:
    """One more mark. The day starts with the newest mark at or before midnight, with the first one where there is none."""
    row = book.accounts[account]
    midnight = math.floor(now / DAY) * DAY
    if row[MARKED] == 0.0:
        row[MARKED], row[START], row[PEAK] = 1.0, equity, equity
    elif midnight > row[MIDNIGHT]:
        row[START] = row[MARK]
    if now == midnight:
        row[START] = equity
    row[MIDNIGHT], row[MARK], row[PEAK] = midnight, equity, max(row[PEAK], equity)


@compiled
def lost_share(equity: float, before: float, most: float) -> bool:
    """Whether `equity` is at least the share `most` below what it was; at the limit is over it."""
    return before <= 0.0 or not below((before - equity) / before, most)


@compiled
def over_daily_loss(replay: Replay, account: int, equity: float) -> bool:
    return lost_share(equity, replay.book.accounts[account, START], replay.limits.max_daily_loss)


@compiled
def over_drawdown(replay: Replay, account: int, equity: float) -> bool:
    return lost_share(equity, replay.book.accounts[account, PEAK], replay.limits.max_drawdown)


@compiled
def trip(book: Book, now: float) -> None:
    """A switch that is set already stays as it is."""
    if book.switch[REDUCE_ONLY] == 1.0:
        return
    book.switch[REDUCE_ONLY], book.switch[SINCE] = 1.0, now
    if book.switch[HALTED_AT] < 0.0:
        book.switch[HALTED_AT] = book.switch[MOMENT]


@compiled
def resume(replay: Replay, now: float) -> None:
    """The person who sets the switch back when it is time; marks start anew."""
    book, limits = replay.book, replay.limits
    if limits.resume >= 0.0 and book.switch[REDUCE_ONLY] == 1.0 and now >= book.switch[SINCE] + limits.resume:
        book.switch[REDUCE_ONLY] = 0.0
        book.accounts[:, MARKED] = 0.0


@compiled
def watch(replay: Replay, now: float) -> None:
    """Marks every account and trips the switch, as the reconciliation that begins a cycle does."""
    book = replay.book
    for account in range(book.accounts.shape[0]):
        equity = equity_of(replay, account)
        mark(book, account, equity, now)
        if over_daily_loss(replay, account, equity) or over_drawdown(replay, account, equity):
            trip(book, now)


@compiled
def note_end(book: Book, k: int, lost: bool, at: float) -> None:
    """A round trip of instrument `k` ended. Those that end together are told apart by whose instrument was filled first."""
    account = int(book.terms[k, ACCOUNT])
    if at > book.accounts[account, NEWEST_END]:
        book.accounts[account, STREAK] = losing_streak(book, account)
        book.accounts[account, NEWEST_END] = at
        for other in range(book.held.shape[0]):
            if book.terms[other, ACCOUNT] == account:
                book.held[other, ENDED] = 0.0
    book.held[k, ENDED], book.held[k, LOST] = 1.0, 1.0 if lost else 0.0


@compiled
def losing_streak(book: Book, account: int) -> float:
    """Losing round trips in a row, newest first; of those that ended together the instrument that was filled first counts as newest."""
    count, seen = 0.0, 0.0
    while True:
        k = _next_ended(book, account, seen)
        if k < 0:
            return float(min(count + book.accounts[account, STREAK], float(MOST_TRADES)))
        if book.held[k, LOST] == 0.0:
            return count
        count += 1.0
        seen = book.held[k, FIRST]


@compiled
def _next_ended(book: Book, account: int, seen: float) -> int:
    """The instrument, of those whose trade ended newest, that was filled first after fill number `seen`; -1 without one."""
    found = -1
    for k in range(book.held.shape[0]):
        if book.terms[k, ACCOUNT] != account or book.held[k, ENDED] == 0.0 or book.held[k, FIRST] <= seen:
            continue
        if found < 0 or book.held[k, FIRST] < book.held[found, FIRST]:
            found = k
    return found
