"""What happened at the venue since we looked last, booked: our fills, our stops and targets, other people's trades, money."""

from ffe.clock import rfc3339
from ffe.money import plain
from ffe.orders.close import Desk
from ffe.orders.differences import DifferenceKind
from ffe.orders.findings import Findings, difference
from ffe.orders.models import Order, OrderState
from ffe.orders.ownership import owner_of
from ffe.orders.request import request_for
from ffe.orders.resolve import UNSENT
from ffe.orders.units import book_external
from ffe.venues.models import Activity, Execution, VenueOrder


def book_activity(desk: Desk, activity: Activity, findings: Findings) -> None:
    """Idempotent: what is known by the venue's own id is not booked again.

    Raises:
        VenueError: an order of ours can't be read.
    """
    for execution in activity.executions:
        ours = _order(desk, execution.client_order_id)
        if ours is not None:
            _own(desk, ours, execution, findings)
            continue
        entry = _entry(desk, execution)
        if entry is not None:
            _adopt(desk, entry, execution, findings)
        else:
            _external(desk, execution, findings)
    for event in activity.cash:
        if desk.ledger.record_cash(desk.broker.venue, desk.broker.account, event):
            findings.settled.append(f"{event.cause}: {plain(event.amount)} {event.currency}")


def _order(desk: Desk, client_order_id: str | None) -> Order | None:
    return None if client_order_id is None else desk.ledger.order_by_client_id(client_order_id)


def _entry(desk: Desk, execution: Execution) -> Order | None:
    """The entry whose protection filled: by the venue's word, or because we placed that order for it. A fill on its own side is neither."""
    if execution.protects is not None:
        entry = _order(desk, execution.protects)
    else:
        entry = owner_of(desk, execution.instrument, execution.venue_order_id, execution.client_order_id)
    return None if entry is None or entry.side is execution.side else entry


def _booked(desk: Desk, order: Order, execution: Execution) -> bool:
    return any(fill.venue_fill_id == execution.fill.venue_fill_id for fill in desk.ledger.fills(order.id))


def _own(desk: Desk, order: Order, execution: Execution, findings: Findings) -> None:
    """The venue's word on the whole order first; a fill that it leaves out is booked from the activity itself."""
    if _booked(desk, order, execution):
        return
    if order.state in UNSENT:
        # Planned here and filled there: this ledger is an older copy of the one that sent it, and must not send it again.
        reason = "sent_by_another_ledger"
        order = desk.ledger.transition(order.id, OrderState.DENIED, desk.clock.now(), reason=reason, only_from=UNSENT)
    said = None if order.checkpoint is None else desk.broker.lookup(request_for(order), order.checkpoint)
    for report in (said, _report(execution, order.client_order_id)):
        if report is not None and not _booked(desk, order, execution):
            order = desk.ledger.book(order.id, report, desk.clock.now())
    number = execution.fill.venue_fill_id
    findings.settled.append(f"{order.instrument}: fill {number} of order {order.client_order_id} booked: {order.state}")


def _report(execution: Execution, client_order_id: str) -> VenueOrder:
    return VenueOrder(
        client_order_id=client_order_id,
        venue_order_id=execution.venue_order_id,
        state=OrderState.PARTIAL,
        reason=execution.cause,
        fills=(execution.fill,),
    )


def _adopt(desk: Desk, entry: Order, execution: Execution, findings: Findings) -> None:
    before = desk.ledger.position(entry.venue, entry.account, entry.instrument)
    desk.ledger.adopt_protection(entry.id, _report(execution, ""), execution.side, desk.clock.now())
    after = desk.ledger.position(entry.venue, entry.account, entry.instrument)
    if before.units != after.units:
        fill = execution.fill
        findings.settled.append(
            f"{entry.instrument}: {execution.cause} {execution.side} {plain(fill.units)} at {plain(fill.price)}"
        )


def _external(desk: Desk, execution: Execution, findings: Findings) -> None:
    """Booked, and an event for a person: whoever traded here may do it again."""
    fill = execution.fill
    said = f"{execution.cause}: {execution.side} {plain(fill.units)} at {plain(fill.price)}"
    if book_external(desk, execution.instrument, execution.side, fill, execution.cause, owner=execution.closes):
        findings.settled.append(f"{execution.instrument}: trade of somebody else booked: {said}")
    findings.differences.append(
        difference(
            desk,
            DifferenceKind.EXTERNAL_TRADE,
            execution.instrument,
            fill.venue_fill_id,
            f"a trade that no order of ours made: {said}, order {execution.venue_order_id}, {rfc3339(fill.time)}",
            venue_says=said,
            ledger_says="no such order",
        )
    )
