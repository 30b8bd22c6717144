"""An order's life: one order a leg, a legal history, fills that add up, and nothing unknown for long."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, and_, inspect, select

from ffe.clock import rfc3339
from ffe.ledger.rows import exact_sum
from ffe.ledger.schema import METADATA
from ffe.market.models import Timeframe
from ffe.money import ZERO, plain
from ffe.observe.reality.case import ORDERS, Case, Check, Finding
from ffe.observe.reality.models import Row
from ffe.orders.models import TRANSITIONS, Leg, OrderState, client_order_id
from ffe.orders.resolve import SENT

EVENTS, FILLS = METADATA.tables["order_event"], METADATA.tables["fill"]
# Issue and metrics rule: an outcome that stays unknown for longer is an alarm.
UNKNOWN_FOR = timedelta(minutes=2)
KEY = ("account", "instrument", "timeframe", "bar_close", "leg")
UNIQUE = (KEY, ("client_order_id",))

Values = dict[str, Any]


def no_old_unknown(case: Case) -> Finding:
    """No order that was sent, or may have been, is without an outcome for more than two minutes after it was first claimed for the wire."""
    claimed = and_(
        EVENTS.c.order_id == ORDERS.c.id,
        EVENTS.c.from_state == OrderState.RESERVED.value,
        EVENTS.c.to_state == OrderState.SUBMITTING.value,
    )
    names = ("client_order_id", "instrument", "state", "created_at")
    query = select(*(ORDERS.c[name] for name in names), EVENTS.c.at).outerjoin_from(ORDERS, EVENTS, claimed)
    found = case.read(query.where(ORDERS.c.state.in_([state.value for state in SENT])).limit(case.window.most))
    rows = [
        {"order": row["client_order_id"], "instrument": row["instrument"], "state": row["state"], "why": why}
        for row in found
        if (why := _overdue(case, row["at"] or row["created_at"])) is not None
    ]
    return Finding(f"{len(found)} orders of unknown outcome", "have been unknown for more than 2 minutes", rows)


def _overdue(case: Case, sent: datetime) -> str | None:
    waited, limit = (case.now - sent).total_seconds(), UNKNOWN_FOR.total_seconds()
    return None if waited <= limit else f"sent at {rfc3339(sent)}, {waited:.0f} s ago, limit {limit:.0f} s"


def one_each(case: Case) -> Finding:
    """One order for one (account, instrument, timeframe, bar close, leg), under the one client id that is made of exactly these."""
    orders = case.recent(ORDERS, "created_at")
    found = case.read(select(orders.c.client_order_id, *(orders.c[name] for name in KEY)))
    rows = [_wrong_id(row, wanted) for row in found if row["client_order_id"] != (wanted := _client_id(row))]
    for columns in UNIQUE:
        seen: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        for row in found:
            seen[tuple(row[name] for name in columns)] += 1
        rows += [{"key": " ".join(map(str, key)), "why": f"{n} orders"} for key, n in seen.items() if n > 1]
    rows += _unguarded(case)
    return Finding(case.said(len(found), "orders"), "are second orders, or not the ones their client id says", rows)


def _client_id(row: Values) -> str:
    frame = Timeframe(row["timeframe"])
    return client_order_id(row["account"], row["instrument"], frame, row["bar_close"], Leg(row["leg"]))


def _wrong_id(row: Values, wanted: str) -> Row:
    return {"order": row["client_order_id"], "instrument": row["instrument"], "why": f"its key makes {wanted}"}


def _unguarded(case: Case) -> list[Row]:
    """The database itself refuses a second order: both unique keys are there."""
    with case.engine.ledger.database.read() as session:
        held = inspect(session.connection()).get_unique_constraints(ORDERS.name)
    there = {frozenset(each["column_names"]) for each in held}
    return [{"key": " ".join(each), "why": "no unique key"} for each in UNIQUE if frozenset(each) not in there]


def legal_history(case: Case) -> Finding:
    """Every order begins with its intent, each event goes on from the one before by the table, and the last one is its state."""
    orders = case.recent(ORDERS, "created_at")
    names = ("id", "client_order_id", "instrument", "leg", "state")
    query = select(*(orders.c[name] for name in names), EVENTS.c.from_state, EVENTS.c.to_state)
    found = _with_parts(
        case, query.outerjoin_from(orders, EVENTS, EVENTS.c.order_id == orders.c.id).order_by(EVENTS.c.id)
    )
    rows = [_said(order, why) for order, events in found if (why := _illegal(order, events)) is not None]
    looked = f"{case.said(len(found), 'orders')} with {sum(len(events) for _, events in found)} events"
    return Finding(looked, "have a history that their states do not allow", rows)


def _with_parts(case: Case, query: Select[Any]) -> list[tuple[Values, list[Values]]]:
    """Each order with its events or fills. One statement reads both, so that nothing moves in between."""
    found: dict[str, tuple[Values, list[Values]]] = {}
    for row in case.read(query):
        _, parts = found.setdefault(row["id"], (row, []))
        if any(row[name] is not None for name in ("to_state", "fill_units") if name in row):
            parts.append(row)
    return list(found.values())


def _said(order: Values, why: str) -> Row:
    return {"order": order["client_order_id"], "instrument": order["instrument"], "state": order["state"], "why": why}


def _illegal(order: Values, events: list[Values]) -> str | None:
    if not events:
        return "no event at all, not even its intent"
    first = OrderState.ACCEPTED if order["leg"] == Leg.PROTECTION.value else OrderState.PLANNED
    if (events[0]["from_state"], events[0]["to_state"]) != (None, first.value):
        return f"it begins with {events[0]['from_state']} -> {events[0]['to_state']}, not with {first.value}"
    for before, event in pairwise(events):
        old, new = event["from_state"], event["to_state"]
        if old != before["to_state"]:
            return f"{old} -> {new} after {before['to_state']}"
        if old != new and OrderState(new) not in TRANSITIONS[OrderState(old)]:
            return f"{old} -> {new} is not a transition"
    if events[-1]["to_state"] != order["state"]:
        return f"its last event says {events[-1]['to_state']}, the order {order['state']}"
    return None


def fills_add_up(case: Case) -> Finding:
    """The fills on record are exactly what the order says was filled; one that is FILLED has some, and none has more than it asked for."""
    orders = case.recent(ORDERS, "created_at")
    names = ("id", "client_order_id", "instrument", "leg", "state", "units", "filled_units", "fees")
    query = select(*(orders.c[name] for name in names), FILLS.c.units.label("fill_units"), FILLS.c.fee)
    found = _with_parts(case, query.outerjoin_from(orders, FILLS, FILLS.c.order_id == orders.c.id))
    rows = [_said(order, why) for order, fills in found if (why := _unequal(order, fills)) is not None]
    looked = f"{case.said(len(found), 'orders')} with {sum(len(fills) for _, fills in found)} fills"
    return Finding(looked, "say something else than their fills", rows)


def _unequal(order: Values, fills: list[Values]) -> str | None:
    units: Decimal = exact_sum(fill["fill_units"] for fill in fills)
    fees = exact_sum(fill["fee"] for fill in fills)
    if units != order["filled_units"]:
        return f"filled_units {plain(order['filled_units'])}, its {len(fills)} fills {plain(units)}"
    if fees != order["fees"]:
        return f"fees {plain(order['fees'])}, its {len(fills)} fills {plain(fees)}"
    if order["state"] == OrderState.FILLED.value and units <= ZERO:
        return "FILLED without a fill"
    if order["leg"] != Leg.PROTECTION.value and units > order["units"]:
        return f"{plain(units)} filled of {plain(order['units'])} ordered"
    return None


CHECKS = (
    Check("no-old-unresolved", no_old_unknown),
    Check("one-order-a-leg", one_each),
    Check("legal-history", legal_history),
    Check("fills-add-up", fills_add_up),
)
