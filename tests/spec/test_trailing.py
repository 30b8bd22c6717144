"""Execution spec: trailing stops."""

from decimal import Decimal
from typing import Any

import pytest

from ffe.errors import NotSentError
from ffe.venues.models import OrderRequest, WorkingKind


def trailing(place: Any, percent: str = "1") -> OrderRequest:
    """An entry whose only protection trails."""
    distance = place.off(place.broker.quote(place.instrument).mid, percent) - place.off(
        place.broker.quote(place.instrument).mid, "0"
    )
    request: OrderRequest = place.bare(trailing_distance=distance)
    return request


def test_tc_070(place: Any) -> None:
    """A trailing stop rests at its distance from the market; a venue that has none never gets the order."""
    request = trailing(place)
    if not place.can.trailing_stop:
        with pytest.raises(NotSentError):
            place.submit(request)
        assert place.units() == 0
        return
    order = place.submit(request)
    (stop,) = place.working()
    assert (stop.kind, stop.venue_order_id) == (WorkingKind.TRAILING_STOP, order.protection_ids[0])
    bid = place.broker.quote(place.instrument).bid
    assert abs(bid - stop.stop - request.trailing_distance) <= place.broker.quote(place.instrument).spread


def test_tc_071(place: Any) -> None:
    """A trailing stop follows a better price, and stays where it is when the price comes back."""
    if not place.can.trailing_stop:
        assert place.broker.spec(place.instrument).min_trailing_distance is None
        return
    place.submit(trailing(place))
    (before,) = place.working()
    place.move("2")
    (higher,) = place.working()
    assert higher.stop > before.stop
    place.move("-0.3")
    (after,) = place.working()
    assert after.stop >= higher.stop
    assert place.units() == place.unit


def test_tc_072(place: Any) -> None:
    """A market that falls back to the trailing stop closes the position, and the fill names its entry."""
    if not place.can.trailing_stop:
        assert not [item for item in place.working() if item.kind is WorkingKind.TRAILING_STOP]
        return
    request, since = trailing(place), place.broker.checkpoint()
    place.broker.submit(request, since)
    place.move("2")
    assert place.units() == place.unit
    place.move("-2")
    assert (place.units(), place.working()) == (0, [])
    closing = place.executions(since, [request.client_order_id])[-1]
    assert closing.protects == request.client_order_id
    assert closing.fill.price > place.off(place.broker.quote(place.instrument).bid, "-1")


def test_tc_073(place: Any) -> None:
    """A distance below the venue's minimum opens nothing."""
    least = place.broker.spec(place.instrument).min_trailing_distance
    distance = place.broker.spec(place.instrument).price_increment if least is None else least / Decimal(10)
    assert place.can.trailing_stop == (least is not None)
    request = place.bare(trailing_distance=distance)
    if place.can.trailing_stop:
        assert place.outcome(request).reason
    else:
        with pytest.raises(NotSentError):
            place.submit(request)
    assert place.units() == 0
