"""What one fill does to a position: average-cost netting, pure Decimal.

Adding to a side averages the price in; reducing realises (price - average) per unit and leaves the average; a fill that goes
through zero closes the old side and opens the new one at its own price.
"""

from decimal import Decimal
from typing import NamedTuple

from ffe.money import ZERO
from ffe.orders.models import Leg, Side


class Holding(NamedTuple):
    """Signed base units, their average price (None when flat) and the gain realised so far in quote currency, before fees."""

    units: Decimal
    average_price: Decimal | None
    realised: Decimal


FLAT = Holding(ZERO, None, ZERO)


def own_units(held: Decimal, leg: Leg, side: Side, units: Decimal) -> Decimal:
    """How much of a fill moves what is ours. A close may also take what is not: only its part against our units counts.

    A flatten does so on purpose, any other close when a stop has filled that nobody here has seen yet.
    """
    if leg.opens:
        return units
    return min(units, max(ZERO, -held * side.sign))


def after_fill(held: Holding, side: Side, units: Decimal, price: Decimal) -> Holding:
    """The holding after `units` (positive) of `side` at `price`."""
    change = units * side.sign
    if held.average_price is None:
        return Holding(change, price, held.realised)
    total = held.units + change
    if held.units * change > 0:
        average = (held.units * held.average_price + change * price) / total
        return Holding(total, average, held.realised)
    closed = min(abs(held.units), units)
    direction = 1 if held.units > 0 else -1
    realised = held.realised + closed * (price - held.average_price) * direction
    if total == 0:
        return Holding(total, None, realised)
    return Holding(total, price if total * change > 0 else held.average_price, realised)
