"""Execution spec: entries."""

from decimal import Decimal
from typing import Any

from ffe.orders.models import OrderState, Side


def test_tc_010(place: Any) -> None:
    """A long entry fills at the ask or worse, and never beyond its price bound."""
    request = place.bare()
    ask = place.broker.quote(place.instrument).ask
    order = place.submit(request)
    assert order.state is OrderState.FILLED
    assert ask <= order.average_price <= request.price_bound


def test_tc_011(place: Any) -> None:
    """The fills add up to the order, each with an id of its own and a fee that is named and not negative."""
    order = place.submit(place.bare())
    assert order.filled_units == place.unit
    assert len({fill.venue_fill_id for fill in order.fills}) == len(order.fills)
    assert all(fill.fee >= 0 and fill.fee_currency == "USD" for fill in order.fills)


def test_tc_012(place: Any) -> None:
    """The position becomes what was filled, and shows up among all positions."""
    place.submit(place.bare())
    held = place.broker.position(place.instrument)
    assert held.units == place.unit
    assert held in place.broker.positions()
    place.submit(place.bare())
    assert place.units() == 2 * place.unit


def test_tc_013(place: Any) -> None:
    """A price beyond the bound ends the order without a fill and with a reason."""
    bound = place.off(place.broker.quote(place.instrument).bid, "-1")
    order = place.submit(place.bare(price_bound=bound))
    assert (order.state, order.fills) == (OrderState.CANCELLED, ())
    assert order.reason
    assert place.units() == 0


def test_tc_014(place: Any) -> None:
    """A short entry opens a negative position where the venue allows it, and is refused where it does not."""
    request = place.bare(side=Side.SELL)
    if place.can.short:
        order = place.submit(request)
        assert order.average_price <= place.broker.quote(place.instrument).bid
        assert place.units() == -place.unit
    else:
        assert place.outcome(request).state is OrderState.REJECTED
        assert place.units() == 0


def test_tc_015(place: Any) -> None:
    """A new position takes something from available; equity loses spread, slippage and fees and nothing else."""
    before = place.broker.account_state([place.instrument])
    order = place.submit(place.bare())
    after = place.broker.account_state([place.instrument])
    bid = place.broker.quote(place.instrument).bid
    cost = (order.average_price - bid) * order.filled_units + order.fees
    assert after.available < before.available
    assert abs(before.equity - after.equity - cost) <= Decimal("0.0001")


def test_tc_016(place: Any) -> None:
    """An order without a price bound fills at the market."""
    order = place.submit(place.bare(price_bound=None))
    assert order.state is OrderState.FILLED


def test_tc_017(place: Any) -> None:
    """An entry that asks for no protection has none."""
    order = place.submit(place.bare())
    assert order.protection_ids == ()
    assert place.working() == []


def test_tc_018(place: Any) -> None:
    """In a thin book an order ends with what it got: a part of it where the venue fills in part, all or nothing elsewhere."""
    request = place.bare()
    place.simulator.control("switches", depth={place.instrument.symbol: str(place.unit / 2)})
    order = place.outcome(request)
    assert order.state.final
    parts = {place.unit / 2} if place.can.part_fills else {Decimal(0), place.unit}
    assert order.filled_units in parts
    assert place.units() == order.filled_units
