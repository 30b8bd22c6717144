"""The ledger's methods about bar sources: it is the `SourceLog` that all processes share."""

from datetime import datetime, timedelta

from ffe.errors import SourceSkippedError
from ffe.ledger import sources
from ffe.ledger.database import Database
from ffe.sources.health import Admission, Breaker, Budget, SourceState, Usage
from ffe.sources.models import Outcome


class SourceLedger:
    """Health, budget and refusals of the sources. `feed` is the mode. Every method raises LedgerError when the database refuses."""

    database: Database

    def admit_source(self, feed: str, source: str, at: datetime, budget: Budget | None = None) -> Admission:
        """Leave to ask this source once, to be given back with `settle_source`.

        Raises:
            SourceSkippedError: its circuit is open, another process has the trial, its quota or budget is spent; counted as skipped.
        """
        with self.database.write() as session:
            said = sources.admit(session, feed, source, at, budget)
        if isinstance(said, SourceSkippedError):
            raise said
        return said

    def settle_source(
        self,
        admission: Admission,
        at: datetime,
        breaker: Breaker,
        outcome: Outcome,
        *,
        counts: bool = True,
        error: str | None = None,
    ) -> None:
        """What came of an admitted call. `counts` False: a failure that says nothing about the source's health."""
        with self.database.write() as session:
            sources.settle(session, admission, at, breaker, outcome, counts=counts, error=error)

    def spend_request(
        self, feed: str, source: str, at: datetime, budget: Budget, *, latest: datetime, what: tuple[str, ...] = ()
    ) -> datetime:
        """Counts one request and returns when it may be sent, not after `latest`.

        Raises:
            SourceSkippedError: no budget left, the service's quota is spent, or no turn in time. Nothing is counted.
            NotOfferedError: the service refused one of `what` within the last day. Nothing is counted.
        """
        with self.database.write() as session:
            return sources.spend(session, feed, source, at, budget, latest=latest, what=what)

    def stop_source(self, feed: str, source: str, at: datetime, why: str) -> None:
        """The service said that its quota is spent: not asked before the next UTC day, at least an hour."""
        with self.database.write() as session:
            sources.stop(session, feed, source, at, why)

    def refuse_source(self, feed: str, source: str, what: str, at: datetime, why: str) -> None:
        """The service said that it does not offer `what`: believed for a day."""
        with self.database.write() as session:
            sources.refuse(session, feed, source, what, at=at, why=why)

    def claim_cross_check(self, feed: str, source: str, instrument: str, at: datetime, every: timedelta) -> bool:
        """True for one caller in `every`, in whatever process."""
        with self.database.write() as session:
            return sources.claim_cross_check(session, feed, source, instrument, at=at, every=every)

    def source_states(self, feed: str, at: datetime) -> list[SourceState]:
        """Of every source that was ever asked, by name."""
        with self.database.read() as session:
            return sources.states(session, feed, at)

    def source_usage(self, since: str, feed: str | None = None) -> list[tuple[str, str, Usage]]:
        """(feed, source, counts) of each UTC day from `since` (`2026-11-21`) on, oldest first; all feeds when none is named."""
        with self.database.read() as session:
            return sources.usage_of(session, feed, since)
