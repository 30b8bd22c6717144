"""Execution spec: closes."""

from typing import Any

import pytest

from ffe.errors import NotSentError
from ffe.orders.models import OrderState, Side


def test_tc_040(place: Any) -> None:
    """A reduce-only close of everything leaves no position, and no order working."""
    place.submit(place.entry())
    order = place.submit(place.exit())
    assert (order.state, order.filled_units) == (OrderState.FILLED, place.unit)
    assert (place.units(), place.working()) == (0, [])
    assert place.instrument.symbol not in {item.instrument for item in place.broker.positions()}


def test_tc_041(place: Any) -> None:
    """A reduce-only close of a part leaves the rest."""
    place.submit(place.bare(units=3 * place.unit))
    place.submit(place.exit(units=place.unit))
    assert place.units() == 2 * place.unit


def test_tc_042(place: Any) -> None:
    """A close larger than the position never turns it around."""
    place.submit(place.bare())
    order = place.outcome(place.exit(units=5 * place.unit))
    assert order.filled_units <= place.unit
    assert order.filled_units == place.unit or order.reason
    assert 0 <= place.units() <= place.unit


def test_tc_043(place: Any) -> None:
    """A reduce-only order with nothing to close fills nothing."""
    order = place.outcome(place.bare(side=Side.SELL, reduce_only=True))
    assert order.fills == ()
    assert order.reason
    assert place.units() == 0


def test_tc_044(place: Any) -> None:
    """A close whose protection to cancel has turned into something else sells nothing, where protection holds units."""
    order = place.submit(place.entry())
    closing = place.exit(cancel_first=(str(order.venue_order_id),))
    if place.can.protection_holds_units:
        with pytest.raises(NotSentError):
            place.submit(closing)
        assert place.units() == place.unit
    else:
        assert place.submit(closing).state is OrderState.FILLED


def test_tc_045(place: Any) -> None:
    """A short is closed by a buy, where the venue allows shorts."""
    if place.can.short:
        place.submit(place.bare(side=Side.SELL))
    else:
        place.submit(place.bare())
    closing = place.exit()
    assert closing.side is (Side.BUY if place.can.short else Side.SELL)
    assert place.submit(closing).state is OrderState.FILLED
    assert place.units() == 0
