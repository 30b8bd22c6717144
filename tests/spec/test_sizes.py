"""Execution spec: sizes and precision."""

from decimal import Decimal
from typing import Any

import pytest

from ffe.errors import NotSentError, OrderRejectedError
from ffe.orders.models import OrderState


def test_tc_020(place: Any) -> None:
    """A size finer than the venue's increment is never sent."""
    fine = place.broker.spec(place.instrument).size_increment / 10
    with pytest.raises(NotSentError, match="multiple"):
        place.submit(place.bare(units=place.unit + fine))
    assert place.units() == 0


def test_tc_021(place: Any) -> None:
    """A price finer than the venue's increment, in the bound, the stop or the target, is never sent."""
    fine = place.broker.spec(place.instrument).price_increment / 10
    request = place.entry()
    for name in ("price_bound", "stop_loss", "take_profit"):
        with pytest.raises(NotSentError, match="multiple"):
            place.submit(request.model_copy(update={name: getattr(request, name) + fine}))
    assert place.units() == 0


def test_tc_022(place: Any) -> None:
    """A size of zero or less is never sent."""
    for units in (Decimal(0), -place.unit):
        with pytest.raises(NotSentError, match="not positive"):
            place.submit(place.bare(units=units))


def test_tc_023(place: Any) -> None:
    """A size above the venue's maximum is rejected with the venue's reason."""
    spec = place.broker.spec(place.instrument)
    with pytest.raises(OrderRejectedError) as caught:
        place.submit(place.bare(units=spec.max_size + spec.size_increment))
    assert caught.value.reason
    assert place.units() == 0


def test_tc_024(place: Any) -> None:
    """An order that the account can't pay fills nothing, with no doubt left, and says why."""
    order = place.outcome(place.bare(units=place.unit * 90_000))
    assert order.state in {OrderState.CANCELLED, OrderState.REJECTED}
    assert "INSUFFICIENT" in str(order.reason)
    assert place.units() == 0


def test_tc_025(place: Any) -> None:
    """A size of one increment more fills exactly that."""
    units = place.unit + place.broker.spec(place.instrument).size_increment
    assert place.submit(place.bare(units=units)).filled_units == units
    assert place.units() == units
