"""Money, prices and sizes: Decimal everywhere, and the only doors between Decimal, text and float.

Sizes always round down, so that rounding can never spend more than was decided. `plain` never prints an
exponent: `1E-8` is not a number that a venue accepts.
"""

import math
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal, InvalidOperation

ZERO = Decimal(0)


def decimal(value: str | int | Decimal) -> Decimal:
    """Exact Decimal of text, an int or a Decimal. Floats are refused by type; NaN and infinity by value.

    Raises:
        ValueError: not a finite decimal number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{value!r} is {type(value).__name__}; money is text, int or Decimal")
    try:
        number = Decimal(value.strip()) if isinstance(value, str) else Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a decimal number") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is not finite")
    return number


def from_float(value: float, places: int = 12) -> Decimal:
    """Decimal of an indicator value. The one place where a float may become a Decimal; never used for balances.

    Raises:
        ValueError: NaN or infinity.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN).normalize()


def plain(value: Decimal) -> str:
    """Text of a Decimal without exponent: `0.00000001`, never `1E-8`."""
    return format(value, "f")


def round_down(value: Decimal, increment: Decimal) -> Decimal:
    """Largest multiple of `increment` that is not above `value` in magnitude; the sign is kept.

    Raises:
        ValueError: `increment` is not positive.
    """
    return _to_multiple(value, increment, ROUND_DOWN)


def round_up(value: Decimal, increment: Decimal) -> Decimal:
    """Smallest multiple of `increment` that is not below `value` in magnitude. Never for sizes."""
    return _to_multiple(value, increment, ROUND_UP)


def round_nearest(value: Decimal, increment: Decimal) -> Decimal:
    """Nearest multiple of `increment`, ties to even: for prices, where neither side is safer."""
    return _to_multiple(value, increment, ROUND_HALF_EVEN)


def _to_multiple(value: Decimal, increment: Decimal, rounding: str) -> Decimal:
    if increment <= 0:
        raise ValueError(f"increment {plain(increment)} is not positive")
    return ((value / increment).to_integral_value(rounding=rounding) * increment).quantize(increment)
