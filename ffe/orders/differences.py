"""What reconciliation finds and can't settle by itself: a difference between venue and ledger, named, with both sides.

Its id is a pure function of what is different, so a second look at the same thing is the same difference.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

# Fixed for ever, like the one of client order ids: a synthetic id must be the same in every version.
DIFFERENCE_NAMESPACE = UUID("0f0c5b1e-2c0a-5b57-8d2e-0a8f3f6f4b52")


class DifferenceKind(StrEnum):
    """`external-trade` and `balance` are events: only a person's acknowledgement ends them. The others end when they are gone."""

    UNRESOLVED_ORDER = "unresolved-order"
    POSITION = "position"
    EXTERNAL_TRADE = "external-trade"
    FOREIGN_ORDER = "foreign-order"
    UNPROTECTED = "unprotected"
    BALANCE = "balance"

    @property
    def event(self) -> bool:
        return self in {DifferenceKind.EXTERNAL_TRADE, DifferenceKind.BALANCE}


class Difference(BaseModel):
    """`instrument` None: it concerns the whole account and blocks new exposure on all of it. `key` tells two of one kind apart."""

    model_config = ConfigDict(frozen=True)

    id: str
    venue: str
    account: str
    instrument: str | None
    kind: DifferenceKind
    key: str
    message: str
    venue_says: str
    ledger_says: str
    found_at: datetime
    settled_at: datetime | None = None
    settled_how: str | None = None

    @property
    def open(self) -> bool:
        return self.settled_at is None


def difference_id(
    venue: str, account: str, kind: DifferenceKind, key: str, *, venue_says: str, ledger_says: str
) -> str:
    text = "|".join((venue, account, kind.value, key, venue_says, ledger_says))
    return str(uuid5(DIFFERENCE_NAMESPACE, text))
