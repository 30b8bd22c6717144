"""Volatility target: positions of equal volatility, so that a wild market gets less money (Moskowitz, Ooi, Pedersen: Time series momentum, 2012).

units = volatility_target / annual volatility x equity / notional of one unit

The volatility of a bar comes from its range: a random walk's expected range is sqrt(8 / pi) of its sigma (Feller 1951, used by
Parkinson 1980), so sigma = ATR / entry / sqrt(8 / pi); times sqrt(bars per year). An ATR counts gaps as range, which errs to the small
side of a position.
"""

from decimal import Decimal

from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.models import Denial
from ffe.risk.wording import units_within
from ffe.settings import RiskSettings, SizingMethod

# sqrt(8 / pi)
RANGE_IN_SIGMA = Decimal("1.5957691216")


def size(basis: Basis, settings: RiskSettings) -> Wanted | Denial:
    """Denied `no_volatility` when the bars of a year are not known, or a market has not moved: any size would be right."""
    if basis.bars_per_year is None or basis.bars_per_year <= 0 or basis.atr <= 0:
        bars = "an unknown number of" if basis.bars_per_year is None else basis.bars_per_year
        reason = f"no volatility of {basis.symbol} from ATR {basis.atr} and {bars} bars a year"
        return Denial(code="no_volatility", reason=reason)
    notional = (
        settings.volatility_target / annual_volatility(basis.atr, basis.entry, basis.bars_per_year) * basis.equity
    )
    return Wanted(method=SizingMethod.VOLATILITY_TARGET.value, units=units_within(notional, basis.unit_notional))


def annual_volatility(atr: Decimal, entry: Decimal, bars_per_year: Decimal) -> Decimal:
    """Share of the price, one standard deviation over a year."""
    return atr / entry / RANGE_IN_SIGMA * bars_per_year.sqrt()
