"""What a sizing method works from, and what it answers."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.ledger.models import ClosedTrade
from ffe.risk.models import Clamp


class Basis(BaseModel):
    """`equity`, `unit_notional` and `unit_risk` in the account currency, the latter two per base unit; `entry` and `atr` in price units.

    `trades` are the account's round trips, newest first. `bars_per_year` belongs to the timeframe that the ATR is of.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    equity: Decimal
    entry: Decimal
    atr: Decimal
    unit_notional: Decimal
    unit_risk: Decimal
    trades: tuple[ClosedTrade, ...] = ()
    bars_per_year: Decimal | None = None


class Wanted(BaseModel):
    """Base units before any limit but the method's own, by the method that was really used."""

    model_config = ConfigDict(frozen=True)

    method: str
    units: Decimal
    clamps: tuple[Clamp, ...] = ()
