"""What rests at the venue: every held entry of ours guarded, orphans cancelled, strangers named."""

from collections.abc import Sequence
from decimal import Decimal

from ffe.errors import NotSentError, OutcomeUnknownError
from ffe.money import ZERO
from ffe.orders.close import Desk
from ffe.orders.differences import Difference, DifferenceKind
from ffe.orders.findings import Findings, Trouble, difference
from ffe.orders.models import Order
from ffe.orders.ownership import owner_of
from ffe.orders.protection import guard
from ffe.orders.units import booked
from ffe.venues.models import WorkingOrder


def look_after(desk: Desk, held: dict[str, Decimal], findings: Findings) -> bool:
    """Whether something was closed, which is activity of its own. `held`: signed units at the venue by symbol.

    Raises:
        VenueError: what rests can't be read.
    """
    working, before = desk.broker.working_orders(), len(findings.orders)
    _guard_all(desk, held, working, findings)
    for order in working:
        _look_at(desk, order, findings)
    return len(findings.orders) > before


def _guard_all(desk: Desk, held: dict[str, Decimal], working: Sequence[WorkingOrder], findings: Findings) -> None:
    for position in booked(desk):
        there = held.get(position.instrument, ZERO)
        entry = desk.ledger.open_entry(position.venue, position.account, position.instrument)
        if entry is None or there * position.units <= 0:
            continue
        done = guard(desk, entry, min(there, position.units, key=abs), working)
        findings.settled += done.settled
        findings.troubles += done.troubles
        if done.order is not None:
            findings.orders.append(done.order)
        if done.unprotected is not None:
            findings.differences.append(_unprotected(desk, entry, done.unprotected))


def _unprotected(desk: Desk, entry: Order, message: str) -> Difference:
    return difference(
        desk,
        DifferenceKind.UNPROTECTED,
        entry.instrument,
        entry.client_order_id,
        message,
        venue_says="no stop",
        ledger_says=f"stop {entry.stop_loss}, trailing {entry.trailing_distance}",
    )


def _look_at(desk: Desk, order: WorkingOrder, findings: Findings) -> None:
    ours = None if order.client_order_id is None else desk.ledger.order_by_client_id(order.client_order_id)
    if ours is not None and not ours.state.final:
        return
    entry = _entry_of(desk, order)
    if entry is None:
        findings.differences.append(_foreign(desk, order))
    elif entry.state.final and not _still_open(desk, entry):
        _cancel_orphan(desk, order, entry, findings)


def _entry_of(desk: Desk, order: WorkingOrder) -> Order | None:
    if order.protects is not None:
        return desk.ledger.order_by_client_id(order.protects)
    return owner_of(desk, order.instrument, order.venue_order_id, order.client_order_id)


def _still_open(desk: Desk, entry: Order) -> bool:
    """By the ledger, which is read after the venue: an entry that filled in between is not taken for closed."""
    standing = desk.ledger.open_entry(entry.venue, entry.account, entry.instrument)
    return standing is not None and standing.id == entry.id


def _foreign(desk: Desk, order: WorkingOrder) -> Difference:
    return difference(
        desk,
        DifferenceKind.FOREIGN_ORDER,
        order.instrument,
        order.venue_order_id,
        f"{order.kind} order {order.venue_order_id}, {order.side} {order.instrument}, is not one of ours",
        venue_says=f"{order.kind} {order.side}",
        ledger_says="no such order",
    )


def _cancel_orphan(desk: Desk, order: WorkingOrder, entry: Order, findings: Findings) -> None:
    """What protects an entry that is closed would open something new when it is hit. A cancel that fails is tried again next time."""
    said = f"{order.instrument}: {order.kind} {order.venue_order_id} of the closed entry {entry.client_order_id}"
    try:
        desk.broker.cancel([order.venue_order_id])
    except (NotSentError, OutcomeUnknownError) as error:
        findings.troubles.append(
            Trouble(
                type="OrphanProtection",
                message=f"{said} can't be cancelled: {error}",
                instrument=order.instrument,
                order_id=entry.id,
                request=error.request,
                response=error.response,
            )
        )
        return
    findings.settled.append(f"{said} cancelled")
