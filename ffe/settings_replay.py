"""Settings of replay and of shadow mode. Part of `ffe.settings.Settings`."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from ffe.settings_section import Section


def _names(value: Any) -> Any:
    names = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


class ReplaySettings(Section):
    """`capital`: USD of each venue's account. `half_spread_bps`: assumed where only trades were recorded. `crypto_fee_rate`: taker fee.

    `slippage_bps`: what every fill is worse than the quote. `resume_after_days`: a tripped kill switch is set back by then; None: never.
    `resamples`: bootstrap samples behind every interval.
    """

    capital: Decimal = Field(default=Decimal(10_000), gt=0)
    half_spread_bps: float = Field(default=1.0, ge=0, le=500)
    crypto_fee_rate: Decimal = Field(default=Decimal("0.006"), ge=0, lt=Decimal("0.1"))
    slippage_bps: float = Field(default=1.0, ge=0, le=100)
    resume_after_days: float | None = Field(default=None, gt=0)
    resamples: int = Field(default=1000, ge=100, le=100_000)


class ShadowSettings(Section):
    """`strategies` decide beside the one that trades, on the same bars, and never order anything."""

    strategies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
