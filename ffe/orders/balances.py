"""Money: totals before, and what the events since then moved, make the totals of now; or something happened that nobody told us."""

from decimal import Decimal

from ffe.ledger.models import Cursor, event_id
from ffe.market.models import CRYPTO
from ffe.money import ZERO, plain
from ffe.orders.activity import book_activity
from ffe.orders.close import Desk
from ffe.orders.differences import Difference, DifferenceKind
from ffe.orders.findings import Findings, difference
from ffe.venues.models import Activity, CashEvent

# A cent: OANDA rounds each amount to its own digits before it reports it.
TOLERANCE = Decimal("0.01")


def check_money(desk: Desk, cursor: Cursor, activity: Activity, findings: Findings) -> Activity:
    """More money than explained is recorded as a credit, less is a difference of the whole account.

    A trade between the reading of events and of balances looks like a loss, so both are read once more before one is believed.
    Returns the activity that was believed, which is where the next reconciliation goes on.
    """
    if _unexplained(desk, cursor, activity):
        activity = desk.broker.activity(cursor.checkpoint)
        book_activity(desk, activity, findings)
    for currency, off in _unexplained(desk, cursor, activity).items():
        if off > 0:
            _credit(desk, cursor, currency, off, findings)
        else:
            findings.differences.append(_missing(desk, cursor, activity, currency, off))
    return activity


def _unexplained(desk: Desk, cursor: Cursor, activity: Activity) -> dict[str, Decimal]:
    """On a spot account the wallets of coins are positions, and compared in units."""
    coins = frozenset[str]() if desk.broker.capabilities.margin else frozenset(CRYPTO)
    found = {}
    for currency in sorted(frozenset(cursor.totals) | frozenset(activity.totals)):
        off = activity.totals.get(currency, ZERO) - _expected(cursor, activity, currency)
        if currency not in coins and abs(off) > TOLERANCE:
            found[currency] = off
    return found


def _expected(cursor: Cursor, activity: Activity, currency: str) -> Decimal:
    return cursor.totals.get(currency, ZERO) + activity.moved.get(currency, ZERO)


def _credit(desk: Desk, cursor: Cursor, currency: str, off: Decimal, findings: Findings) -> None:
    event = CashEvent(
        venue_id=event_id(currency, cursor.checkpoint, plain(off)),
        cause="unexplained-credit",
        currency=currency,
        amount=off,
        instrument=None,
        time=desk.clock.now(),
    )
    if desk.ledger.record_cash(desk.broker.venue, desk.broker.account, event):
        findings.settled.append(f"unexplained-credit: {plain(off)} {currency}")


def _missing(desk: Desk, cursor: Cursor, activity: Activity, currency: str, off: Decimal) -> Difference:
    return difference(
        desk,
        DifferenceKind.BALANCE,
        None,
        f"{currency}|{cursor.checkpoint}",
        f"{plain(-off)} {currency} less than the trades and cash events since {cursor.checkpoint} explain",
        venue_says=f"{plain(activity.totals.get(currency, ZERO))} {currency}",
        ledger_says=f"{plain(_expected(cursor, activity, currency))} {currency}",
    )
