"""Ledger and venue side by side, by questions to the venue that change nothing: units, protection, and every trade of the last day.

Reconciliation is what makes both the same; this asks whether it did. A trade that is younger than `PENDING` may still wait for it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, or_, select

from ffe.clock import rfc3339
from ffe.ledger.models import Position, event_id
from ffe.ledger.schema import METADATA
from ffe.market.models import parse_instrument
from ffe.money import ZERO, plain
from ffe.observe.reality.case import ORDERS, Case, Check, Finding
from ffe.observe.reality.models import Row
from ffe.orders.close import Desk, closable
from ffe.orders.models import Leg, OrderState
from ffe.orders.ownership import covers, protecting
from ffe.orders.protection import YOUNG
from ffe.orders.request import request_for
from ffe.orders.units import booked, held_at_venue
from ffe.venues.models import Activity, Execution, WorkingOrder

FILLS, ADJUSTMENTS = METADATA.tables["fill"], METADATA.tables["adjustment"]
# Reconciliation runs every five minutes; a trade that two runs have not booked will not be booked.
PENDING = timedelta(minutes=10)
# A venue's answer about one day is a few pages, about a month it is hundreds.
TRADES = timedelta(days=1)
# A protection's fill is compared when it is so much younger than the oldest order that was: clocks differ.
CLOCKS = timedelta(minutes=1)
# Live orders that are looked up one by one.
LOOKUPS = 20
# What a person acknowledged is booked as a fill that the venue never had.
ACCEPTED = "accepted-"
LIVE = (OrderState.ACCEPTED.value, OrderState.PARTIAL.value)


def _desks(case: Case) -> Iterator[Desk]:
    for venue in case.engine.settings.venues:
        yield Desk(case.engine.ledger, case.engine.broker(venue), case.engine.clock, "reality-check")


def positions_match(case: Case) -> Finding:
    """Units of ours and external ones in the ledger, with what was traded since the last reconciliation, make those at the venue."""
    rows, compared = [], 0
    for desk in _desks(case):
        held, waiting = held_at_venue(desk), _waiting(case, desk)
        here = {position.instrument: position for position in booked(desk)}
        for symbol in sorted(held.keys() | here.keys()):
            compared += 1
            there, known = held.get(symbol, ZERO), _explained(here.get(symbol))
            if there != known + waiting.get(symbol, ZERO):
                why = f"{plain(there)} at the venue, {plain(known)} in the ledger"
                rows.append(
                    {"venue": desk.broker.venue, "account": desk.broker.account, "instrument": symbol, "why": why}
                )
    return Finding(f"{compared} instruments held or once held", "have other units at the venue", rows)


def _explained(position: Position | None) -> Decimal:
    return ZERO if position is None else position.units + position.external


def _waiting(case: Case, desk: Desk) -> dict[str, Decimal]:
    """Signed units of trades since the last reconciliation that are young enough to wait for the next one."""
    cursor = case.engine.ledger.cursor(desk.broker.venue, desk.broker.account)
    if cursor is None:
        return {}
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for each in _unbooked(case, desk, desk.broker.activity(cursor.checkpoint).executions):
        if case.now - each.fill.time <= PENDING:
            found[each.instrument] += each.side.sign * each.fill.units
    return found


def _unbooked(case: Case, desk: Desk, executions: Sequence[Execution]) -> list[Execution]:
    """Those that are neither a fill of ours nor counted as somebody else's."""
    if not executions:
        return []
    place = (desk.broker.venue, desk.broker.account)
    numbers = [each.fill.venue_fill_id for each in executions]
    keys = {each.fill.venue_fill_id: _adjustment_ids(place, each) for each in executions}
    fills = select(FILLS.c.venue_fill_id).where(
        FILLS.c.venue == place[0], FILLS.c.account == place[1], FILLS.c.venue_fill_id.in_(numbers)
    )
    counted = select(ADJUSTMENTS.c.id).where(ADJUSTMENTS.c.id.in_([key for both in keys.values() for key in both]))
    ours, others = {row["venue_fill_id"] for row in case.read(fills)}, {row["id"] for row in case.read(counted)}
    return [
        each for each in executions if (number := each.fill.venue_fill_id) not in ours and not keys[number] & others
    ]


def _adjustment_ids(place: tuple[str, str], execution: Execution) -> set[str]:
    number = execution.fill.venue_fill_id
    return {event_id(*place, execution.instrument, number), event_id(*place, number)}


def protected(case: Case) -> Finding:
    """Every position of ours that can be closed has its stop working at the venue, or its exit is watched by us."""
    rows, looked = [], 0
    for desk in _desks(case):
        held, working = held_at_venue(desk), desk.broker.working_orders()
        for position in booked(desk):
            there = held.get(position.instrument, ZERO)
            if position.units * there > 0:
                looked += 1
                why = _unprotected(case, desk, position, min(position.units, there, key=abs), working)
                if why is not None:
                    place = {"venue": desk.broker.venue, "account": desk.broker.account}
                    rows.append(place | {"instrument": position.instrument, "why": why})
    return Finding(f"{looked} positions of ours", "have no stop that works and are not watched", rows)


def _unprotected(
    case: Case, desk: Desk, position: Position, units: Decimal, working: Sequence[WorkingOrder]
) -> str | None:
    """As reconciliation judges it (`ffe/orders/protection.py`): a young entry may still be reading what the venue attached to it."""
    entry = desk.ledger.open_entry(position.venue, position.account, position.instrument)
    if entry is None:
        return f"{plain(units)} held, and no entry of ours stands behind it"
    if entry.watched or case.now - (entry.submitted_at or entry.created_at) < YOUNG:
        return None
    mine = protecting(desk, entry, working)
    if covers(mine, units):
        return None
    rest = closable(desk.broker.spec(parse_instrument(entry.instrument)), units, entry.average_price)
    if rest == 0 or covers(mine, rest):
        return None
    stops = ", ".join(f"{order.venue_order_id} for {order.units}" for order in mine if order.stop is not None)
    return f"{plain(units)} held by order {entry.client_order_id}, stops at the venue: {stops or 'none'}"


def known_to_both(case: Case) -> Finding:
    """Trades of the last day: what the ledger booked the venue has, what the venue has is booked, one order under one client id."""
    rows: list[Row] = []
    looked = []
    for desk in _desks(case):
        first = _first_order(case, desk)
        if first is None:
            looked.append(f"no order at {desk.broker.venue}")
            continue
        activity = desk.broker.activity(first["checkpoint"])
        executions = [each for each in activity.executions if each.fill.time >= first["submitted_at"] - CLOCKS]
        fills = _fills_since(case, desk, first)
        live = _live(case, desk, first)
        looked.append(f"{len(executions)} trades at {desk.broker.venue} and {len(fills)} in the ledger")
        rows += _strangers(desk, fills, activity)
        rows += _unknown(case, desk, executions)
        rows += _doubles(desk, executions)
        rows += [
            _row(desk, each["instrument"], f"order {each['client_order_id']} is {each['state']} here, unknown there")
            for each in live
        ]
    return Finding(
        f"{'; '.join(looked)} since {rfc3339((case.now - TRADES).replace(microsecond=0))}",
        "are known to one side alone",
        rows,
    )


def _first_order(case: Case, desk: Desk) -> dict[str, Any] | None:
    """The oldest order sent within the last day; its checkpoint is the venue's place in time before it."""
    query = select(ORDERS.c.checkpoint, ORDERS.c.submitted_at).where(
        ORDERS.c.venue == desk.broker.venue,
        ORDERS.c.account == desk.broker.account,
        ORDERS.c.submitted_at >= case.now - TRADES,
        ORDERS.c.checkpoint.is_not(None),
    )
    return next(iter(case.read(query.order_by(ORDERS.c.submitted_at).limit(1))), None)


def _fills_since(case: Case, desk: Desk, first: dict[str, Any]) -> list[dict[str, Any]]:
    start = first["submitted_at"]
    resting = and_(ORDERS.c.submitted_at.is_(None), FILLS.c.time >= start + CLOCKS)
    query = (
        select(FILLS.c.venue_fill_id, FILLS.c.instrument, FILLS.c.time, ORDERS.c.client_order_id)
        .join_from(FILLS, ORDERS, FILLS.c.order_id == ORDERS.c.id)
        .where(
            ORDERS.c.created_at >= case.since,
            FILLS.c.venue == desk.broker.venue,
            FILLS.c.account == desk.broker.account,
            or_(ORDERS.c.submitted_at >= start, resting),
        )
        .limit(case.window.most)
    )
    return [row for row in case.read(query) if not row["venue_fill_id"].startswith(ACCEPTED)]


def _strangers(desk: Desk, fills: Sequence[dict[str, Any]], activity: Activity) -> Iterator[Row]:
    there = {each.fill.venue_fill_id for each in activity.executions}
    for fill in fills:
        if fill["venue_fill_id"] not in there:
            why = f"fill {fill['venue_fill_id']} of order {fill['client_order_id']} is not among the venue's trades"
            yield _row(desk, fill["instrument"], why)


def _unknown(case: Case, desk: Desk, executions: Sequence[Execution]) -> Iterator[Row]:
    for each in _unbooked(case, desk, executions):
        if case.now - each.fill.time > PENDING:
            said = f"{each.side} {plain(each.fill.units)} at {plain(each.fill.price)}, {rfc3339(each.fill.time)}"
            yield _row(desk, each.instrument, f"trade {each.fill.venue_fill_id} ({said}) is not booked")


def _doubles(desk: Desk, executions: Sequence[Execution]) -> Iterator[Row]:
    orders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for each in executions:
        if each.client_order_id is not None:
            orders[each.instrument, each.client_order_id].add(each.venue_order_id)
    for (symbol, name), numbers in orders.items():
        if len(numbers) > 1:
            yield _row(desk, symbol, f"{len(numbers)} orders under client id {name}: {', '.join(sorted(numbers))}")


def _live(case: Case, desk: Desk, first: dict[str, Any]) -> list[dict[str, Any]]:
    """Live orders of ours that the venue has never heard of."""
    query = select(ORDERS).where(
        ORDERS.c.venue == desk.broker.venue,
        ORDERS.c.account == desk.broker.account,
        ORDERS.c.state.in_(LIVE),
        ORDERS.c.leg != Leg.PROTECTION.value,
        ORDERS.c.submitted_at >= first["submitted_at"],
    )
    found = []
    for row in case.read(query.order_by(ORDERS.c.submitted_at.desc()).limit(LOOKUPS)):
        order = desk.ledger.order(row["id"])
        if desk.broker.lookup(request_for(order), str(order.checkpoint)) is None:
            found.append(row)
    return found


def _row(desk: Desk, symbol: str, why: str) -> Row:
    return {"venue": desk.broker.venue, "account": desk.broker.account, "instrument": symbol, "why": why}


CHECKS = (
    Check("positions-match", positions_match, twice=True),
    Check("positions-protected", protected, twice=True),
    Check("trades-known-to-both", known_to_both, twice=True),
)
