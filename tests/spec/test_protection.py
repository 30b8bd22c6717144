"""Execution spec: stops and targets."""

from typing import Any

import pytest

from ffe.errors import NotSentError, OrderRejectedError
from ffe.orders.models import OrderState, Side


def test_tc_030(place: Any) -> None:
    """Protection that goes with an entry works after its fill: the order, the position and the working orders name the same ids."""
    assert place.can.protection == "attached"
    request = place.entry()
    order = place.submit(request)
    assert order.protection_ids
    assert set(place.broker.position(place.instrument).protection) == set(order.protection_ids)
    assert {item.venue_order_id for item in place.working()} == set(order.protection_ids)
    assert {item.protects for item in place.working()} == {request.client_order_id}


def test_tc_031(place: Any) -> None:
    """Working protection is on the closing side, at the levels that were asked for, and never for more than is held."""
    request = place.entry()
    place.submit(request)
    working = place.working()
    assert {item.side for item in working} == {Side.SELL}
    assert {item.stop for item in working if item.stop is not None} == {request.stop_loss}
    assert {item.target for item in working if item.target is not None} == {request.take_profit}
    assert all(item.units in {None, place.unit} for item in working)


def test_tc_032(place: Any) -> None:
    """Protection placed for units that are held already works, and is known by its entry's client id or its own; asked for twice, it is placed once."""
    entry = place.bare()
    since = place.broker.checkpoint()
    place.broker.submit(entry, since)
    wanted = place.protection(entry)
    once, twice = place.broker.protect(wanted), place.broker.protect(wanted)
    assert len(once) == len(twice) > 0
    assert {item.venue_order_id for item in place.working()} == set(twice)
    names = [{item.protects, item.client_order_id} for item in place.working()]
    assert all(known & {entry.client_order_id, wanted.client_order_id} for known in names)


def test_tc_033(place: Any) -> None:
    """Protection for a position that does not exist is refused."""
    with pytest.raises((OrderRejectedError, NotSentError)):
        place.broker.protect(place.protection(place.bare()))
    assert place.working() == []


def test_tc_034(place: Any) -> None:
    """A cancelled order is gone when the call returns, and cancelling it again is no error."""
    order = place.submit(place.entry())
    place.broker.cancel(order.protection_ids)
    assert place.working() == []
    place.broker.cancel(order.protection_ids)
    assert place.units() == place.unit


def test_tc_035(place: Any) -> None:
    """A market that runs through the stop closes the position, at the stop or worse, and nothing is left working."""
    request, since = place.entry(), place.broker.checkpoint()
    place.broker.submit(request, since)
    place.move("-3")
    assert place.units() == 0
    assert place.working() == []
    closing = [item for item in place.executions(since, [request.client_order_id]) if item.side is Side.SELL]
    assert sum(item.fill.units for item in closing) == place.unit
    assert {item.protects for item in closing} == {request.client_order_id}
    assert all(item.fill.price <= request.stop_loss for item in closing)


def test_tc_036(place: Any) -> None:
    """A market that reaches the target closes the position, at the target or better."""
    request, since = place.entry(), place.broker.checkpoint()
    place.broker.submit(request, since)
    place.move("3")
    assert place.units() == 0
    closing = [item for item in place.executions(since, [request.client_order_id]) if item.side is Side.SELL]
    assert {item.protects for item in closing} == {request.client_order_id}
    assert all(item.fill.price >= request.take_profit for item in closing)


def test_tc_037(place: Any) -> None:
    """Cancelling protection that has filled is an error: the position it closed is gone."""
    request, since = place.entry(), place.broker.checkpoint()
    order = place.broker.submit(request, since)
    place.move("-3")
    filled = [item.venue_order_id for item in place.executions(since, [request.client_order_id])]
    met = [order_id for order_id in order.protection_ids if order_id in filled]
    assert met
    with pytest.raises(NotSentError):
        place.broker.cancel(met)


def test_tc_038(place: Any) -> None:
    """Where protection holds the units, a close fills only after cancelling it; where it does not, the close needs no cancel."""
    place.submit(place.entry())
    closing = place.exit(cancel_first=())
    if place.can.protection_holds_units:
        with pytest.raises(OrderRejectedError):
            place.submit(closing)
        assert place.units() == place.unit
        assert place.submit(place.exit()).state is OrderState.FILLED
    else:
        assert place.submit(closing).state is OrderState.FILLED
    assert (place.units(), place.working()) == (0, [])


def test_tc_039(place: Any) -> None:
    """An entry whose stop the market has passed already leaves no position without a stop."""
    above = place.off(place.broker.quote(place.instrument).ask, "1")
    target = place.off(above, "2")
    order = place.outcome(place.entry(stop_loss=above, take_profit=target))
    assert order.fills == ()
    assert order.reason
    assert place.units() == 0
