"""The shadow half of the schema: what strategies that don't trade said in live cycles.

Never deleted: a row is small, and a record of decisions with holes in it compares nothing. Its cycle is never deleted either. The row of
`batch_id` may go in its time (it is no foreign key); a report replays the bars of the store, which are never trimmed.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe.ledger.tables import LedgerRow, amount, moment, ordered_document, text


class ShadowDecisionRow(LedgerRow, table=True):
    """One strategy's word on one instrument in one cycle. `action` and `confidence` NULL: it failed, and `error` says how."""

    __tablename__ = "shadow_decision"

    cycle_id: str = text(primary_key=True, foreign_key="cycle.id")
    instrument: str = text(primary_key=True)
    strategy: str = text(primary_key=True)
    timeframe: str = text()
    bar_close: datetime = moment(index=True)
    params: dict[str, Any] = ordered_document()
    action: str | None = text(default=None)
    confidence: int | None = None
    error: str | None = text(default=None)
    batch_id: str = text()
    bid: Decimal | None = amount(default=None)
    ask: Decimal | None = amount(default=None)
    decided_at: datetime = moment()
