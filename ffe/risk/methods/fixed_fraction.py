"""Fixed fraction: the same share of equity in every position, whatever its stop.

units = fixed_fraction x equity / notional of one unit
"""

from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.wording import units_within
from ffe.settings import RiskSettings, SizingMethod


def size(basis: Basis, settings: RiskSettings) -> Wanted:
    units = units_within(settings.fixed_fraction * basis.equity, basis.unit_notional)
    return Wanted(method=SizingMethod.FIXED_FRACTION.value, units=units)
