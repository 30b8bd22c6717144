"""What one base unit of an entry costs, uses and risks, in the account currency."""

from decimal import ROUND_CEILING, Decimal

from pydantic import BaseModel, ConfigDict

from ffe.risk.levels import Levels
from ffe.risk.wording import PLACES
from ffe.venues.models import Conversion, InstrumentSpec, Quote


class UnitCost(BaseModel):
    """`notional` at the entry, `reserve` what to set aside at the price bound with fee and spread, `risk` the loss at the stop."""

    model_config = ConfigDict(frozen=True)

    notional: Decimal
    reserve: Decimal
    risk: Decimal


def unit_cost(placed: Levels, conversion: Conversion, spec: InstrumentSpec, quote: Quote) -> UnitCost:
    """Margin counts base->home x margin rate; base->home is the pair's price x quote->home, so EURGBP in USD comes out as EURUSD."""
    worst = max(placed.entry, placed.bound)
    fee = worst * spec.taker_fee_rate
    if spec.margin_rate is None:
        reserve = worst + fee
    else:
        reserve = worst * conversion.position * spec.margin_rate + (quote.spread + fee) * conversion.loss
    return UnitCost(
        notional=_up(placed.entry * conversion.position), reserve=_up(reserve), risk=_up(placed.lost * conversion.loss)
    )


def _up(value: Decimal) -> Decimal:
    """To twelve places, upwards: a cost per unit may be overstated by a hair, and products with it stay exact."""
    return value.quantize(PLACES, rounding=ROUND_CEILING)
