"""ATR risk: a fixed share of equity is lost when the stop is hit, and the stop is a multiple of the ATR away.

units = per_trade x equity / risk of one unit
"""

from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.wording import units_within
from ffe.settings import RiskSettings, SizingMethod


def size(basis: Basis, settings: RiskSettings) -> Wanted:
    units = units_within(settings.per_trade * basis.equity, basis.unit_risk)
    return Wanted(method=SizingMethod.ATR_RISK.value, units=units)
