"""Ledger and venue the same, or named differences: asked for in every cycle, on schedule and by a person.

Order of work: settle what was sent, book what happened since the last time, compare units, look after protection and whatever else
rests at the venue, compare money, write down what differs, and only then remember how far this went. A query that fails ends the
run: nothing is known then, and nothing is taken as flat. Running it again changes nothing.
"""

import time
from collections.abc import Callable
from decimal import Decimal

from ffe.clock import Clock, rfc3339
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Cursor
from ffe.money import ZERO, plain
from ffe.orders.activity import book_activity
from ffe.orders.balances import check_money
from ffe.orders.close import Desk
from ffe.orders.differences import Difference, DifferenceKind
from ffe.orders.findings import Findings, Reconciliation, difference, news_of
from ffe.orders.models import Leg, Order, OrderState
from ffe.orders.resolve import SENT, Sleep, recover
from ffe.orders.resting import look_after
from ffe.orders.service import no_step
from ffe.orders.units import accept_units, held_at_venue, off, settle_units
from ffe.venues.models import Activity
from ffe.venues.protocol import Broker

RECONCILE_STEPS = ("recovered", "booked", "compared", "guarded", "observed", "remembered")
# A venue may show a balance before it lists the fill that made it.
SECOND_LOOK = 1.0


def reconcile(
    ledger: Ledger,
    broker: Broker,
    clock: Clock,
    *,
    cycle_id: str,
    sleep: Sleep = time.sleep,
    on_step: Callable[[str], None] = no_step,
) -> Reconciliation:
    """One venue and account against the ledger. `on_step` hears each of `RECONCILE_STEPS`, and the steps of protections and closes.

    Raises:
        VenueError: a query failed. What was settled until then is true and stays.
    """
    desk, findings = Desk(ledger, broker, clock, cycle_id, sleep, on_step), Findings()
    known = frozenset(each.id for each in ledger.differences())
    _recover(desk, findings)
    on_step("recovered")
    cursor = _begin(desk)
    activity = _catch_up(desk, cursor.checkpoint, findings)
    _overshot(desk, findings)
    on_step("booked")
    held = _compare(desk, activity, findings, first=not cursor.totals)
    on_step("compared")
    if look_after(desk, held, findings):
        activity = _catch_up(desk, cursor.checkpoint, findings)
    on_step("guarded")
    if cursor.totals:
        activity = check_money(desk, cursor, activity, findings)
    left = ledger.observe(broker.venue, broker.account, findings.distinct, clock.now())
    on_step("observed")
    ledger.move_cursor(broker.venue, broker.account, activity.checkpoint, activity.totals, clock.now())
    on_step("remembered")
    return Reconciliation(
        venue=broker.venue,
        account=broker.account,
        at=clock.now(),
        settled=tuple(findings.settled),
        open=tuple(left),
        orders=tuple(findings.orders),
        incidents=(*findings.troubles, *news_of(left, known)),
    )


def _recover(desk: Desk, findings: Findings) -> None:
    """Orders that were on their way; one whose outcome stays unknown is a difference."""
    before = {order.id: order.state for order in desk.ledger.open_orders(desk.broker.venue, desk.broker.account)}
    for order in recover(desk.ledger, desk.broker, desk.clock, desk.sleep):
        findings.orders.append(order)
        if order.state is not before.get(order.id):
            findings.settled.append(f"{order.instrument}: order {order.client_order_id} is {order.state}")
        if order.state in SENT:
            findings.differences.append(_unresolved(desk, order))


def _unresolved(desk: Desk, order: Order) -> Difference:
    return difference(
        desk,
        DifferenceKind.UNRESOLVED_ORDER,
        order.instrument,
        order.client_order_id,
        f"order {order.client_order_id} was sent and nobody knows what became of it: {order.reason}",
        venue_says="nothing that settles it",
        ledger_says=OrderState.UNRESOLVED.value,
    )


def _begin(desk: Desk) -> Cursor:
    """How far the venue was read. The first time: the oldest order's checkpoint, or now; it has no totals until the run is done.

    That beginning is on record before anything is read: two processes that are both the first must begin at the same place, or
    the later one would pass over what only the other has seen.
    """
    venue, account = desk.broker.venue, desk.broker.account
    cursor = desk.ledger.cursor(venue, account)
    if cursor is not None:
        return cursor
    first = desk.ledger.first_checkpoint(venue, account)
    start = desk.broker.checkpoint() if first is None else first
    return desk.ledger.begin_cursor(venue, account, start, desk.clock.now())


def _catch_up(desk: Desk, since: str, findings: Findings) -> Activity:
    activity = desk.broker.activity(since)
    book_activity(desk, activity, findings)
    return activity


def catch_up(ledger: Ledger, broker: Broker, clock: Clock) -> None:
    """Books what happened since the last reconciliation, and leaves the rest to the next one.

    Raises:
        VenueError: the activity or an order of ours can't be read.
    """
    desk = Desk(ledger, broker, clock, "catch-up")
    _catch_up(desk, _begin(desk).checkpoint, Findings())


def _overshot(desk: Desk, findings: Findings) -> None:
    """A close of ours that met more than ours, because a stop had filled which nobody here had seen: an event for a person."""
    legs = {leg.value for leg in Leg if not leg.opens and leg is not Leg.FLATTEN}
    for each in desk.ledger.adjustments(desk.broker.venue, desk.broker.account):
        if each.cause in legs and each.units != 0:
            said = f"{plain(each.units)} {each.instrument}"
            findings.differences.append(
                difference(
                    desk,
                    DifferenceKind.EXTERNAL_TRADE,
                    each.instrument,
                    each.id,
                    f"a close of ours ({each.cause}) moved {said} that were not ours, {rfc3339(each.time)}",
                    venue_says=said,
                    ledger_says="a close of what is ours only",
                )
            )


def _compare(desk: Desk, activity: Activity, findings: Findings, *, first: bool) -> dict[str, Decimal]:
    """What the venue holds by symbol. A fill between two readings looks like a difference: one is believed when it is seen twice."""
    held = held_at_venue(desk)
    seen = off(desk, held)
    if seen:
        desk.sleep(SECOND_LOOK)
        book_activity(desk, desk.broker.activity(activity.checkpoint), findings)
        held = held_at_venue(desk)
        for symbol, more in off(desk, held).items():
            if seen.get(symbol) == more:
                settle_units(desk, symbol, held.get(symbol, ZERO), more, findings, first=first)
    return held


def acknowledge(ledger: Ledger, broker: Broker, clock: Clock, difference_id: str, note: str) -> Difference:
    """A person has looked at it. Units are booked as the venue has them; an order that never was ends CANCELLED.

    Raises:
        LedgerError: no such difference, or several begin with this id.
        VenueError: position or price can't be read: nothing is accepted then.
    """
    found = [each for each in ledger.differences() if each.id.startswith(difference_id)]
    if len(found) == 1 and found[0].kind is DifferenceKind.POSITION:
        accept_units(Desk(ledger, broker, clock, "acknowledge"), found[0])
    if len(found) == 1 and found[0].kind is DifferenceKind.UNRESOLVED_ORDER:
        order = ledger.order_by_client_id(found[0].key)
        if order is not None and order.state is OrderState.UNRESOLVED:
            ledger.transition(order.id, OrderState.CANCELLED, clock.now(), reason="acknowledged_by_person")
    return ledger.accept(difference_id, clock.now(), note)
