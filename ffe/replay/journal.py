"""What a replay decided, planned and filled, in exact numbers, for whoever holds it against the live cycle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ffe.decision.models import Action, Author
from ffe.orders.models import Leg, Side
from ffe.replay.models import Gate
from ffe.risk.gate import TradePlan

# What the live gates write as their reason.
GATE_CODES: Mapping[Gate, str] = {
    Gate.MARKET_HOURS: "market_closed",
    Gate.STALE: "stale_bars",
    Gate.CONTRACT: "data_contract_failed",
    Gate.WARM_UP: "data_contract_failed",
}
ANSWERED = "model_answer"


@dataclass(frozen=True)
class Decided:
    """The decision on one instrument at one bar as it stands after the risk gate.

    `code` None: a fallback, whose reason the signals don't tell. `plan`: what was ordered. `refused`: the desk's word when it did not fill.
    """

    action: Action
    author: Author
    code: str | None
    plan: TradePlan | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Filled:
    """One fill of a decision's order or of its protection. `moment`: the bar close (epoch seconds) at whose step it was seen."""

    moment: int
    instrument: str
    leg: Leg
    side: Side
    units: Decimal
    price: Decimal
    fee: Decimal
    at: datetime


@dataclass
class Journal:
    """`decisions` by (bar close in epoch seconds, instrument); `fills` in the order in which they were made; `equity` of each venue's
    account by (moment, venue), as marked before decisions.
    """

    decisions: dict[tuple[int, str], Decided] = field(default_factory=dict)
    fills: list[Filled] = field(default_factory=list)
    equity: dict[tuple[int, str], Decimal] = field(default_factory=dict)
