"""The kill switch: four positions, kept in the ledger, read in the very transaction that lets an order go to the wire.

normal        everything goes
reduce-only   decisions are made, closes are carried out, entries are HOLD by `halt`. The drawdown and daily-loss rules trip this one:
              a rule must never keep anybody from leaving the market
halt          nobody is asked: every decision is HOLD by `halt`. Stops and targets at the venue, watched exits and repairs go on
flatten       halt, and everything held is being closed
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.orders.models import Leg


class SwitchState(StrEnum):
    NORMAL = "normal"
    REDUCE_ONLY = "reduce-only"
    HALT = "halt"
    FLATTEN = "flatten"


class KillSwitch(BaseModel):
    """The newest line of the switch's append-only history. `by` is `person` or the name of the rule that tripped it."""

    model_config = ConfigDict(frozen=True)

    state: SwitchState
    reason: str
    by: str
    at: datetime | None

    def __str__(self) -> str:
        return f"{self.state} since {'ever' if self.at is None else rfc3339(self.at)}, by {self.by}: {self.reason}"

    def allows(self, leg: Leg) -> bool:
        """Whether an order of this leg may go to the wire. Protection, watched exits, repairs and flattening always may."""
        if self.state is SwitchState.NORMAL:
            return True
        if leg is Leg.EXIT:
            return self.state is SwitchState.REDUCE_ONLY
        return not leg.opens


NEVER_SET = KillSwitch(state=SwitchState.NORMAL, reason="never set", by="person", at=None)
