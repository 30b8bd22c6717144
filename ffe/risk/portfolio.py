"""The account beside the trade: what is held, what it was worth, how the last trades ended. Pure records, filled by the cycle's steps.

Positions are ours: units that an order of this ledger made. What else lies in the account shows in its equity and in its margin only.
"""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.ledger.models import ClosedTrade
from ffe.money import ZERO


class Held(BaseModel):
    """One position. `units` signed in base units; `notional` positive and `stop_risk` in the account currency.

    `stop_risk` is what is lost from here to the stop; None means without a stop: then all of the notional is at risk.
    """

    model_config = ConfigDict(frozen=True)

    instrument: str
    units: Decimal
    notional: Decimal
    stop_risk: Decimal | None
    opened_at: datetime | None
    unrealised: Decimal | None = None

    @property
    def at_risk(self) -> Decimal:
        return self.notional if self.stop_risk is None else self.stop_risk


class Portfolio(BaseModel):
    """Equity and everything open in one account, at `now`.

    `day_start_equity` and `peak_equity` are None until there is a mark of them: then both are what `equity` is. `trades` are
    newest first. `returns` are daily, as shares, by instrument and oldest first, for VaR only.
    """

    model_config = ConfigDict(frozen=True)

    equity: Decimal
    currency: str
    day_start_equity: Decimal | None = None
    peak_equity: Decimal | None = None
    positions: tuple[Held, ...] = ()
    trades: tuple[ClosedTrade, ...] = ()
    returns: dict[str, tuple[Decimal, ...]] = {}
    now: datetime

    def notional_of(self, instrument: str) -> Decimal:
        """What is held of one instrument, either way, in the account currency."""
        return sum((held.notional for held in self.positions if held.instrument == instrument), ZERO)

    @property
    def gross(self) -> Decimal:
        """Longs and shorts added up, in the account currency."""
        return sum((held.notional for held in self.positions), ZERO)

    def last_trade(self, instrument: str) -> ClosedTrade | None:
        """The newest round trip in one instrument; None without one."""
        return next((trade for trade in self.trades if trade.instrument == instrument), None)
