"""Execution spec: activity and reconciliation."""

from decimal import Decimal
from typing import Any


def test_tc_060(place: Any) -> None:
    """Where nothing happened an activity moves nothing, and answers with the same checkpoint again."""
    first = place.broker.activity(place.broker.checkpoint())
    second = place.broker.activity(first.checkpoint)
    assert second.checkpoint == first.checkpoint
    assert second.totals == first.totals
    assert not any(second.moved.values())


def test_tc_061(place: Any) -> None:
    """A fill shows up with the order's ids, its side, and the same fill ids that the order itself reported."""
    request, since = place.bare(), place.broker.checkpoint()
    order = place.broker.submit(request, since)
    executions = place.executions(since, [request.client_order_id])
    assert tuple(item.fill for item in executions) == order.fills
    assert {item.venue_order_id for item in executions} == {order.venue_order_id}
    assert {(item.instrument, item.side, item.protects) for item in executions} == {
        (place.instrument.symbol, request.side, None)
    }
    assert all(item.cause for item in executions)


def test_tc_062(place: Any) -> None:
    """What stood before, and what the activity moved, is what stands now: through an entry and through its close."""
    before = place.broker.activity(place.broker.checkpoint())
    place.submit(place.entry())
    middle = place.broker.activity(before.checkpoint)
    _adds_up(before, middle)
    place.submit(place.exit())
    after = place.broker.activity(middle.checkpoint)
    _adds_up(middle, after)
    assert any(after.moved.values())


def test_tc_063(place: Any) -> None:
    """What the venue did by itself adds up too: a stop that was met."""
    place.submit(place.entry())
    before = place.broker.activity(place.broker.checkpoint())
    place.move("-3")
    after = place.broker.activity(before.checkpoint)
    _adds_up(before, after)
    assert place.units() == 0


def test_tc_064(place: Any) -> None:
    """Activity read on from checkpoint to checkpoint contains every fill, whatever was read before; a repeat has the same id."""
    since, orders, seen = place.broker.checkpoint(), [], {}
    for _ in range(3):
        orders.append(place.submit(place.bare()))
        activity = place.again().activity(since)
        seen |= {item.fill.venue_fill_id: item.fill for item in activity.executions}
        since = activity.checkpoint
    fills = {fill.venue_fill_id: fill for order in orders for fill in order.fills}
    assert fills.items() <= seen.items()


def test_tc_065(place: Any) -> None:
    """The signed fills since a flat position are the position."""
    since = place.broker.checkpoint()
    names = []
    for request in (place.bare(units=3 * place.unit), place.bare()):
        names.append(request.client_order_id)
        place.submit(request)
    closing = place.exit(units=place.unit)
    place.submit(closing)
    executions = place.executions(since, [*names, closing.client_order_id])
    assert sum(item.fill.units * item.side.sign for item in executions) == place.units() == 3 * place.unit


def _adds_up(before: Any, after: Any) -> None:
    currencies = before.totals.keys() | after.totals.keys() | after.moved.keys()
    zero = Decimal(0)
    stood = {name: before.totals.get(name, zero) + after.moved.get(name, zero) for name in currencies}
    assert stood == {name: after.totals.get(name, zero) for name in currencies}
