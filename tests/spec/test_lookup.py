"""Execution spec: lookup and idempotency."""

from typing import Any

import pytest

from ffe.errors import OrderRejectedError, OutcomeUnknownError
from ffe.orders.models import OrderState


def test_tc_050(place: Any) -> None:
    """An order that was never sent is not found."""
    assert place.broker.lookup(place.entry(), place.broker.checkpoint()) is None


def test_tc_051(place: Any) -> None:
    """A filled order is found as it was reported, also by a process that has just started."""
    request, since = place.entry(), place.broker.checkpoint()
    order = place.broker.submit(request, since)
    assert place.broker.lookup(request, since) == order
    assert place.again().lookup(request, since) == order


def test_tc_052(place: Any) -> None:
    """An order that ended without a fill is found so, with the same reason."""
    since = place.broker.checkpoint()
    request = place.bare(price_bound=place.off(place.broker.quote(place.instrument).bid, "-1"))
    order = place.broker.submit(request, since)
    assert order.state is OrderState.CANCELLED
    assert place.broker.lookup(request, since) == order


def test_tc_053(place: Any) -> None:
    """A rejected order is found as rejected or not at all, never as filled."""
    since, spec = place.broker.checkpoint(), place.broker.spec(place.instrument)
    request = place.bare(units=spec.max_size + spec.size_increment)
    with pytest.raises(OrderRejectedError):
        place.broker.submit(request, since)
    found = place.broker.lookup(request, since)
    assert found is None or (found.state, found.fills) == (OrderState.REJECTED, ())


def test_tc_054(place: Any) -> None:
    """The same request sent twice is one order where client ids are deduplicated; elsewhere it may not be resent, and a lookup shows all fills."""
    assert place.broker.resendable() == place.can.dedupes_client_order_id
    request, since = place.bare(), place.broker.checkpoint()
    first = place.broker.submit(request, since)
    second = place.broker.submit(request, since)
    found = place.broker.lookup(request, since)
    assert place.units() == found.filled_units
    if place.can.dedupes_client_order_id:
        assert second == first == found
        assert place.units() == place.unit


def test_tc_055(place: Any) -> None:
    """Another order under the same client id is an alarm, not an answer."""
    request, since = place.bare(), place.broker.checkpoint()
    place.broker.submit(request, since)
    with pytest.raises(OutcomeUnknownError, match="not BUY"):
        place.broker.lookup(request.model_copy(update={"units": 2 * place.unit}), since)


def test_tc_056(place: Any) -> None:
    """A lookup sees an entry's fills after its position has been closed, and no protection any more."""
    request, since = place.entry(), place.broker.checkpoint()
    order = place.broker.submit(request, since)
    place.submit(place.exit())
    found = place.broker.lookup(request, since)
    assert (found.state, found.fills) == (OrderState.FILLED, order.fills)
    assert found.protection_ids == ()
