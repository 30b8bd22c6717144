"""What a decision means against what is held: the one table.

    held    BUY                  SELL
    flat    enter long           enter short (margin) | denied nothing_to_sell (spot)
    long    denied already_long  close the long
    short   close the short      denied already_short

HOLD means nothing anywhere. There is no adding to a position, and no order goes through zero: a close only closes. With `reverse` a
close on margin says that an entry the other way is to be planned once it is filled: two orders, two legs. Dust (less than the venue
takes) counts as flat. A close takes everything held, also what protection holds, so that protection goes first.
"""

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Action
from ffe.money import ZERO, plain, round_down
from ffe.orders.models import Leg, Side
from ffe.risk.models import Denial
from ffe.venues.models import InstrumentSpec, Quote, VenuePosition


class Held(StrEnum):
    FLAT = "flat"
    LONG = "long"
    SHORT = "short"


class Move(BaseModel):
    """An entry or an exit. `units` and `protection` are those of the position to close; zero and empty for an entry.

    `then_reverse`: the entry the other way is to be planned when this close is filled.
    """

    model_config = ConfigDict(frozen=True)

    leg: Leg
    side: Side
    units: Decimal = ZERO
    protection: tuple[str, ...] = ()
    then_reverse: bool = False


def held(position: VenuePosition, spec: InstrumentSpec, quote: Quote) -> Held:
    """Which way the position points; flat when the venue would not take an order for it."""
    size = round_down(abs(position.units), spec.size_increment)
    if size == 0 or size < spec.min_size:
        return Held.FLAT
    if spec.min_notional is not None and size * quote.bid < spec.min_notional:
        return Held.FLAT
    return Held.LONG if position.units > 0 else Held.SHORT


def move(
    action: Action, position: VenuePosition, spec: InstrumentSpec, quote: Quote, *, reverse: bool = False
) -> Move | Denial | None:
    """The table above. None for HOLD. A close that is too large for one order reverses nothing: something is left to close first."""
    if action is Action.HOLD:
        return None
    side = Side(action.value)
    now = held(position, spec, quote)
    if now is Held.FLAT:
        return _entry(side, position, spec)
    closing = Side.SELL if now is Held.LONG else Side.BUY
    if side is not closing:
        return Denial(
            code=f"already_{now.value}",
            reason=f"{action.value} {spec.instrument} while {plain(position.units)} is held: positions are not added to",
        )
    there = round_down(abs(position.units), spec.size_increment)
    units = there if spec.max_size is None else min(there, spec.max_size)
    return Move(
        leg=Leg.EXIT,
        side=closing,
        units=units,
        protection=position.protection,
        then_reverse=reverse and spec.margin_rate is not None and units == there,
    )


def _entry(side: Side, position: VenuePosition, spec: InstrumentSpec) -> Move | Denial:
    if side is Side.SELL and spec.margin_rate is None:
        return Denial(
            code="nothing_to_sell",
            reason=f"SELL {spec.instrument} on spot with {plain(position.units)} held, minimum {plain(spec.min_size)}",
        )
    return Move(leg=Leg.ENTRY, side=side)
