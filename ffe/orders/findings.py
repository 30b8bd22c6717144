"""What a reconciliation finds, and what it hands to whoever reports it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ffe.orders.close import Desk
from ffe.orders.differences import Difference, DifferenceKind, difference_id
from ffe.orders.models import Order


class Trouble(BaseModel):
    """Something that deserves an incident although nothing was raised. `request` and `response` are the venue's, when there were any."""

    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    instrument: str | None
    order_id: str | None
    request: str | None = None
    response: str | None = None


class Reconciliation(BaseModel):
    """`settled`: one line for each thing that was booked, adopted, placed, cancelled or closed. `open`: what is left to a person."""

    model_config = ConfigDict(frozen=True)

    venue: str
    account: str
    at: datetime
    settled: tuple[str, ...]
    open: tuple[Difference, ...]
    orders: tuple[Order, ...]
    incidents: tuple[Trouble, ...]

    @property
    def clean(self) -> bool:
        return not self.open


@dataclass
class Findings:
    """What one reconciliation has found so far."""

    settled: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)

    @property
    def distinct(self) -> list[Difference]:
        return list({each.id: each for each in self.differences}.values())


def difference(
    desk: Desk,
    kind: DifferenceKind,
    instrument: str | None,
    key: str,
    message: str,
    *,
    venue_says: str,
    ledger_says: str,
) -> Difference:
    """Found now, at this desk's venue and account."""
    venue, account = desk.broker.venue, desk.broker.account
    return Difference(
        id=difference_id(venue, account, kind, key, venue_says=venue_says, ledger_says=ledger_says),
        venue=venue,
        account=account,
        instrument=instrument,
        kind=kind,
        key=key,
        message=message,
        venue_says=venue_says,
        ledger_says=ledger_says,
        found_at=desk.clock.now(),
    )


def news_of(found: Sequence[Difference], known: frozenset[str]) -> list[Trouble]:
    """One incident for each difference that was not open before. An unprotected position has its own, with the venue's answer."""
    return [
        Trouble(
            type=f"{each.kind.value.title().replace('-', '')}Difference",
            message=each.message,
            instrument=each.instrument,
            order_id=None,
        )
        for each in found
        if each.id not in known and each.kind is not DifferenceKind.UNPROTECTED
    ]
