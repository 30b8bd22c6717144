"""The ledger's methods about its own running: standing checks and the usage of APIs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ffe.ledger import operations
from ffe.ledger.database import Database
from ffe.ledger.models import ApiUsage, CheckRun


class OperationsLedger:
    """Every method raises LedgerError when the database refuses."""

    database: Database

    def record_check(self, kind: str, at: datetime, *, passed: bool, broken: int, document: dict[str, Any]) -> CheckRun:
        """One run of the standing check `kind`; `document` is all that it found."""
        with self.database.write() as session:
            return operations.record_check(session, kind, at, passed=passed, broken=broken, document=document)

    def checks(
        self, kind: str, limit: int = 50, *, mode: str | None = None, until: datetime | None = None
    ) -> list[CheckRun]:
        """Runs of a standing check, newest first; of any mode, and as late as any, unless `mode` and `until` say otherwise."""
        with self.database.read() as session:
            return operations.checks(session, kind, limit, mode, until)

    def add_api_usage(self, usage: Sequence[ApiUsage]) -> None:
        """Adds counts of calls to those of their hours, whichever process they come from."""
        with self.database.write() as session:
            operations.add_api_usage(session, usage)

    def api_usage(self, since: datetime) -> list[ApiUsage]:
        """Usage of every API by UTC hour, oldest first; the hour of `since` included."""
        with self.database.read() as session:
            return operations.api_usage(session, since)
