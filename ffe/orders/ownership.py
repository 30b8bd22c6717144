"""Which orders at the venue protect which entry of ours: by the venue's word, by the id we gave them, or because we saw them work for it."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid5

from ffe.money import ZERO
from ffe.orders.close import Desk
from ffe.orders.models import Leg, Order, Side
from ffe.venues.models import Protection, WorkingOrder

# Fixed for ever: the id of a protection that we place is a pure function of its entry and of how many died before it.
PROTECTION_NAMESPACE = UUID("3f6f1c62-0a0f-5d0c-9b51-5f7f2f1f9b0e")
# How far back an order that rests or fills is looked for among the entries that it may have been placed for.
RECENT = 200


def owner_of(desk: Desk, instrument: str, venue_order_id: str, client_order_id: str | None) -> Order | None:
    """The entry that an order at the venue protects although the venue does not say so: one of the recent ones knows its id."""
    entry = desk.ledger.open_entry(desk.broker.venue, desk.broker.account, instrument)
    recent = [] if entry is None else [entry]
    for order in (*recent, *desk.ledger.orders(RECENT)):
        place = (order.venue, order.account, order.instrument, order.leg)
        if place != (desk.broker.venue, desk.broker.account, instrument, Leg.ENTRY):
            continue
        if _placed_for(order, client_order_id) or venue_order_id in _seen(desk, order):
            return order
    return None


def _placed_for(entry: Order, client_order_id: str | None) -> bool:
    numbers = range(entry.dead_protection + 1)
    return client_order_id is not None and client_order_id in {_protection_id(entry, number) for number in numbers}


def _seen(desk: Desk, entry: Order) -> set[str]:
    """Every venue id that ever worked for it: the present ones, and those that its history names."""
    earlier = (event.detail.get("before", ()) for event in desk.ledger.order_events(entry.id) if event.detail)
    return set(entry.protection_ids).union(*earlier)


def protecting(desk: Desk, entry: Order, working: Sequence[WorkingOrder]) -> list[WorkingOrder]:
    return [order for order in working if _protects(desk, entry, order)]


def _protects(desk: Desk, entry: Order, order: WorkingOrder) -> bool:
    if order.protects is not None:
        return order.protects == entry.client_order_id
    return order.venue_order_id in _seen(desk, entry) or _placed_for(entry, order.client_order_id)


def covers(mine: Sequence[WorkingOrder], held: Decimal) -> bool:
    """A stop without units is one for whatever its trade holds."""
    stops = [order.units for order in mine if order.stop is not None]
    known = [units for units in stops if units is not None]
    return len(known) < len(stops) or (bool(stops) and sum(known, ZERO) >= abs(held))


def ids_of(orders: Sequence[WorkingOrder]) -> tuple[str, ...]:
    return tuple(order.venue_order_id for order in orders)


def protection_of(entry: Order, held: Decimal) -> Protection:
    """Its id counts the protections of this entry that stopped working, so that asking twice places one."""
    return Protection(
        client_order_id=_protection_id(entry, entry.dead_protection),
        entry_client_order_id=entry.client_order_id,
        instrument=entry.instrument,
        side=Side.SELL if held > 0 else Side.BUY,
        units=abs(held),
        stop_loss=entry.stop_loss,
        take_profit=entry.take_profit,
        trailing_distance=entry.trailing_distance,
    )


def _protection_id(entry: Order, number: int) -> str:
    return str(uuid5(PROTECTION_NAMESPACE, f"{entry.client_order_id}|{number}"))
