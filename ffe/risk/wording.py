"""Numbers as the reasons of the risk gate print them, and the one division that turns room into units."""

from decimal import ROUND_DOWN, Context, Decimal

from ffe.money import plain

PLACES = Decimal("1e-12")
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_WIDE = Context(prec=60, rounding=ROUND_DOWN)


def cut(value: Decimal) -> Decimal:
    """Without what comes after the twelfth place, however large the number is."""
    return value.quantize(PLACES, context=_WIDE)


def show(value: Decimal) -> str:
    """At most twelve places, no trailing zeros, no exponent."""
    return plain(cut(value).normalize(_WIDE))


def percent(share: Decimal) -> str:
    """`1.4388 %` of 0.014388: at most four places."""
    return f"{plain((share * 100).quantize(Decimal('1e-4')).normalize())} %"


def units_within(room: Decimal, unit: Decimal) -> Decimal:
    """Most units whose cost of `unit` each fits into `room`, cut and never rounded up: times `unit` they are not above it."""
    return _DOWN.divide(room, unit)
