"""What a rule looks at: the wish to open a position, first without and then with prices and sizes.

A Signal is there as soon as somebody wants to enter. A Proposal needs levels, costs and a wanted size: where they can't be had, the
rules that need no more than the Signal are asked all the same, so that every reason is on record.
"""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from ffe.market.models import Instrument
from ffe.money import ZERO
from ffe.orders.models import Side
from ffe.venues.models import Quote


class Signal(BaseModel):
    """An entry that somebody wants. `atr` in price units; one that is no number is let in here to be denied by name."""

    model_config = ConfigDict(frozen=True)

    instrument: Instrument
    side: Side
    confidence: int
    atr: Decimal = Field(allow_inf_nan=True)
    quote: Quote


class Proposal(Signal):
    """An entry with its numbers. Prices in quote currency; `unit_*` per base unit in the account currency.

    `units` is the wanted size before any limit. `bound` is the worst price that would be accepted. `fee_rate` is a share of the
    traded value, on the way in and on the way out. `reserved` is notional that other orders under way have set money aside for;
    `open_notional` everything open by the margin in use, None on spot.
    """

    entry: Decimal
    stop: Decimal
    target: Decimal
    bound: Decimal
    units: Decimal
    unit_notional: Decimal
    unit_risk: Decimal
    fee_rate: Decimal
    reserved: Decimal = ZERO
    open_notional: Decimal | None = None

    @property
    def slippage(self) -> Decimal:
        """Greatest accepted distance from the entry, as a share of it."""
        return abs(self.bound - self.entry) / self.entry

    @property
    def reward_risk(self) -> Decimal:
        """What is won at the target over what is lost at the stop, after a fee on both legs and one more spread on the way out."""
        won = abs(self.target - self.entry) - self._costs(self.target)
        lost = abs(self.entry - self.stop) + self._costs(self.stop)
        return won / lost

    def _costs(self, leaving: Decimal) -> Decimal:
        return (self.entry + leaving) * self.fee_rate + self.quote.spread
