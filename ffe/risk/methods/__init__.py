"""Sizing methods, one file each: how much is wanted before the limits. The risk budget is a limit on all of them."""

from collections.abc import Callable

from ffe.risk.methods import atr_risk, fixed_fraction, half_kelly, volatility_target
from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.models import Denial
from ffe.settings import RiskSettings, SizingMethod

METHODS: dict[SizingMethod, Callable[[Basis, RiskSettings], Wanted | Denial]] = {
    SizingMethod.ATR_RISK: atr_risk.size,
    SizingMethod.FIXED_FRACTION: fixed_fraction.size,
    SizingMethod.VOLATILITY_TARGET: volatility_target.size,
    SizingMethod.HALF_KELLY: half_kelly.size,
}
