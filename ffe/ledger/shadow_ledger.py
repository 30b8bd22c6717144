"""The ledger's methods about shadow mode: what strategies that don't trade said, and the trader beside them."""

from collections.abc import Sequence
from datetime import datetime

from ffe.decision.models import Decision
from ffe.ledger import shadow
from ffe.ledger.database import Database
from ffe.ledger.models import ShadowDecision


class ShadowLedger:
    """Every method raises LedgerError when the database refuses."""

    database: Database

    def record_shadows(self, decisions: Sequence[ShadowDecision]) -> int:
        """How many were new; what a strategy said first in a cycle on an instrument stands."""
        with self.database.write() as session:
            return shadow.record_shadows(session, decisions)

    def shadows(
        self, mode: str, timeframe: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[ShadowDecision]:
        """Of cycles in `mode` on bars that closed in [since, until], by bar, then in the order in which they were made."""
        with self.database.read() as session:
            return shadow.shadows(session, mode, timeframe, since, until)

    def trader_decisions(self, mode: str, timeframe: str, *, since: datetime, until: datetime) -> list[Decision]:
        """Decisions that the model was asked for, whoever had the last word, on bars that closed in [since, until], oldest first."""
        with self.database.read() as session:
            return shadow.trader_decisions(session, mode, timeframe, since, until)
