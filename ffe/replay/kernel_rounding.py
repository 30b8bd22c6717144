"""Decimal arithmetic done in float64: the venue's grid, booked money, and comparisons that forgive the float its last digits.

A product or quotient of a few exact decimals is wrong by some 1e-16 of its size. Where the Decimal lies on a grid line or in the middle
between two, the float lies within `NEAR` of it and is taken for exact; any other value comes that near about once in 1e7 times where it is
ten million grid steps, and ten times as often where it is ten times as many. That ends at `MOST`: of more steps than `supports` lets
through (`ffe.replay.compiled_reach`) a float does not say any more which one it is on, and down is down again. A grid value is made by
dividing a whole number by a power of ten, which gives the very float that its decimal text is read as.
"""

import math

from ffe.replay.jit import compiled

NEAR = 3e-15
# Of a step of the grid.
MOST = 1e-3
# Equal shares of equity differ by far less; money on record can't make two different shares differ by so little.
SAME = 1e-12


@compiled
def _tolerance(ticks: float) -> float:
    return min(NEAR * abs(ticks) + 1e-11, MOST)


@compiled
def _grid(ticks: float, increment: float, scale: float) -> float:
    return round(ticks * increment * scale) / scale


@compiled
def down(value: float, increment: float, scale: float) -> float:
    """`money.round_down` of a value that is not negative."""
    ticks = value / increment
    whole = float(round(ticks))
    if abs(ticks - whole) > _tolerance(ticks):
        whole = float(math.floor(ticks))
    return _grid(whole, increment, scale)


@compiled
def up(value: float, increment: float, scale: float) -> float:
    """`money.round_up` of a value that is not negative."""
    ticks = value / increment
    whole = float(round(ticks))
    if abs(ticks - whole) > _tolerance(ticks):
        whole = float(math.ceil(ticks))
    return _grid(whole, increment, scale)


@compiled
def _half_even(ticks: float) -> float:
    whole = float(math.floor(ticks))
    over = ticks - whole - 0.5
    if abs(over) <= _tolerance(ticks):
        return whole + whole % 2.0
    return whole + 1.0 if over > 0 else whole


@compiled
def nearest(value: float, increment: float, scale: float) -> float:
    """`money.round_nearest`: ties to even."""
    return _grid(_half_even(value / increment), increment, scale)


@compiled
def money(value: float, scale: float) -> float:
    """To whole parts of one over `scale`, ties to even, as the desks book it."""
    return _half_even(value * scale) / scale


@compiled
def exact(value: float, scale: float) -> float:
    """The float of the decimal that `value` stands for, after a sum or difference of decimals of that scale."""
    return round(value * scale) / scale


@compiled
def below(value: float, limit: float) -> bool:
    return value < limit - SAME * (abs(value) + abs(limit))


@compiled
def above(value: float, limit: float) -> bool:
    return value > limit + SAME * (abs(value) + abs(limit))
