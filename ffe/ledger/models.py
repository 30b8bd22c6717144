"""What the ledger alone knows, as frozen records: cycles, positions, incidents, reservations and order events."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Action
from ffe.market.models import Timeframe
from ffe.orders.models import OrderState, Side

# Fixed for ever, like the one of client order ids.
EVENT_NAMESPACE = UUID("a9d1d7a4-6c5e-5f4b-8a54-4d5a5b1f7c21")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Cycle(_Record):
    """One run over some instruments. `finished_at` None: still running, or it died."""

    id: str
    mode: str
    timeframe: str
    started_at: datetime
    finished_at: datetime | None = None
    summary: dict[str, Any] | None = None


class OrderEvent(_Record):
    """One line of an order's append-only history. Equal states mean news without a change of state (a fill, a resend)."""

    order_id: str
    at: datetime
    from_state: OrderState | None
    to_state: OrderState
    reason: str | None
    detail: dict[str, Any] | None


class Reservation(_Record):
    """Balance set aside for one order; open until `released_at`. `used` tells money spent by fills from money given back."""

    order_id: str
    venue: str
    account: str
    currency: str
    amount: Decimal
    created_at: datetime
    released_at: datetime | None
    used: bool


class Position(_Record):
    """Booked from fills. `units` signed, negative is short; `realised` in the quote currency, before fees.

    `external` units lie in the account too and no order of ours made them. `updated_at` None: nothing was ever booked.
    """

    venue: str
    account: str
    instrument: str
    units: Decimal
    average_price: Decimal | None
    realised: Decimal
    updated_at: datetime | None
    external: Decimal = Decimal(0)


class Cursor(_Record):
    """How far reconciliation has read a venue, and the cash and wallets it saw there."""

    venue: str
    account: str
    checkpoint: str
    totals: dict[str, Decimal]
    at: datetime


class Adjustment(_Record):
    """Units at the venue that no order of ours made: held before we came, traded by hand, taken by the venue. `units` signed."""

    id: str
    venue: str
    account: str
    instrument: str
    units: Decimal
    price: Decimal | None
    cause: str
    time: datetime


def event_id(*event: str) -> str:
    """Of what we book for an event of the venue: a pure function of it, so that a second look books nothing twice."""
    return str(uuid5(EVENT_NAMESPACE, "|".join(event)))


class EquityMark(_Record):
    venue: str
    account: str
    currency: str
    equity: Decimal
    at: datetime


class ClosedTrade(_Record):
    """What one closing order realised of an entry. `side` is the position's: BUY was long. `return_on_notional` is a share, after known fees."""

    instrument: str
    side: Side
    units: Decimal
    entry_price: Decimal
    exit_price: Decimal
    realised: Decimal
    fees: Decimal
    return_on_notional: Decimal
    opened_at: datetime
    closed_at: datetime
    decision_id: str | None


class Incident(_Record):
    """A failure worth reading. `count` says how often it came within an hour of `created_at`; `attempts` are the retries.

    `name` is the task or flow that failed in `run_id` of `flow_run_id`; `parameters` what it was given; `holds` what the ledger held
    of its orders then; `batch_id` the bars it worked on; `reproduce` the command that does it again. None in rows of older versions.
    """

    id: str
    type: str
    message: str
    traceback: str
    cycle_id: str | None
    instrument: str | None
    order_id: str | None
    request: str | None
    response: str | None
    attempts: list[Any]
    name: str | None = None
    run_id: str | None = None
    flow_run_id: str | None = None
    batch_id: str | None = None
    reproduce: str | None = None
    parameters: dict[str, Any] | None = None
    holds: dict[str, Any] | None = None
    created_at: datetime
    last_at: datetime
    count: int


class CheckRun(_Record):
    """What one run of a standing check found. `kind`: reality-check or preflight; `broken` counts the failed items of `document`."""

    id: str
    kind: str
    at: datetime
    passed: bool
    broken: int
    document: dict[str, Any]


class ApiUsage(_Record):
    """Calls of the API `source` within the UTC hour that begins at `hour`; `seconds` is the sum of their durations."""

    source: str
    hour: datetime
    calls: int
    errors: int
    seconds: float


class ShadowDecision(_Record):
    """What a strategy that does not trade said of an instrument in one cycle, written down before the bar's outcome could be known.

    `params`: every parameter with its value. `action` and `confidence` None: it failed, and `error` says how. `bid` and `ask` at the bar's
    close, where the bars have them.
    """

    cycle_id: str
    instrument: str
    timeframe: Timeframe
    bar_close: datetime
    strategy: str
    params: dict[str, float]
    action: Action | None = None
    confidence: int | None = None
    error: str | None = None
    batch_id: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    decided_at: datetime
