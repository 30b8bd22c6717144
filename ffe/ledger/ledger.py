"""The one door to the truth: every method is one transaction; what it returns is frozen.

The work is in the module of each noun (`orders`, `fills`, `reservations`, ...), as functions of a session; this facade only
opens that session, for writing or for reading. What it says of orders is in `order_ledger`, what it says of accounts in
`account_ledger`, of bar sources in `source_ledger`, of what became of decisions in `feedback_ledger`, of its own running in
`operations_ledger`, of shadow mode in `shadow_ledger`. Safe to share between threads; a process opens its own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self, Unpack

from sqlalchemy.exc import SQLAlchemyError

from ffe.decision.models import Decision, ModelCall
from ffe.errors import LedgerError, RefusedError
from ffe.ledger import cycles, decisions, evidence, explain, incidents
from ffe.ledger.account_ledger import AccountLedger
from ffe.ledger.database import Database, shown
from ffe.ledger.feedback_ledger import FeedbackLedger
from ffe.ledger.migrate import upgrade_database
from ffe.ledger.models import Cycle, Incident
from ffe.ledger.operations_ledger import OperationsLedger
from ffe.ledger.order_ledger import OrderLedger
from ffe.ledger.shadow_ledger import ShadowLedger
from ffe.ledger.source_ledger import SourceLedger
from ffe.market.models import Timeframe
from ffe.market.quality import QualityPoint, QualityReport
from ffe.risk.models import Denial, Sizing, Verdict
from ffe.sources.models import BarBatch
from ffe.venues.models import InstrumentSpec


class Ledger(OrderLedger, AccountLedger, SourceLedger, FeedbackLedger, OperationsLedger, ShadowLedger):
    """Open one with `Ledger.open`. Every method raises LedgerError when the database refuses."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Creates the file's folder and brings the schema up to date.

        Raises:
            RefusedError: it can't be opened: no such server, not a database. Nothing is made in its place.
        """
        try:
            database = Database(url)
            upgrade_database(database)
        except (SQLAlchemyError, LedgerError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise RefusedError(f"the ledger can't be opened: {cause} ({shown(url)})") from error
        return cls(database)

    def close(self) -> None:
        self.database.close()

    # cycles and what decisions are made from

    def start_cycle(self, cycle_id: str, mode: str, timeframe: str, started_at: datetime) -> None:
        with self.database.write() as session:
            cycles.start_cycle(session, cycle_id, mode, timeframe, started_at)

    def finish_cycle(self, cycle_id: str, finished_at: datetime, summary: dict[str, Any]) -> None:
        with self.database.write() as session:
            cycles.finish_cycle(session, cycle_id, finished_at, summary)

    def cycle(self, cycle_id: str) -> Cycle:
        """Raises LedgerError when there is no such cycle."""
        with self.database.read() as session:
            return cycles.cycle(session, cycle_id)

    def cycles(self, limit: int = 50) -> list[Cycle]:
        with self.database.read() as session:
            return cycles.cycles(session, limit)

    def record_batch(self, batch: BarBatch) -> None:
        with self.database.write() as session:
            evidence.record_batch(session, batch)

    def record_quality(self, report: QualityReport) -> None:
        with self.database.write() as session:
            evidence.record_quality(session, report)

    def passed_report(self, batch_id: str) -> QualityReport | None:
        """The newest report on exactly these bars by the suite, for a decision; None when there is none or it failed."""
        with self.database.read() as session:
            return evidence.passed_report(session, batch_id)

    def disputed(self, instrument: str, timeframe: Timeframe, check: str) -> str | None:
        """What `check` said against the newest bars that the suite judged for a decision; None when it had nothing to say."""
        with self.database.read() as session:
            return evidence.disputed(session, instrument, timeframe.value, check)

    def quality_history(
        self,
        instrument: str | None = None,
        limit: int = 200,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        backfills: bool = True,
    ) -> list[QualityPoint]:
        """Reports of bar batches checked in [since, until], newest first; without `backfills` only of bars that were to be decided on."""
        with self.database.read() as session:
            return evidence.quality_history(session, instrument, limit, since, until, backfills=backfills)

    def record_spec(self, spec: InstrumentSpec) -> None:
        with self.database.write() as session:
            evidence.record_spec(session, spec)

    def spec(self, venue: str, instrument: str) -> InstrumentSpec | None:
        """The venue's rules for an instrument as they were last recorded; None where nobody has asked for them yet."""
        with self.database.read() as session:
            return evidence.newest_spec(session, venue, instrument)

    # decisions

    def record_model_calls(
        self, cycle_id: str, instrument: str, bar_close: datetime, calls: Sequence[ModelCall]
    ) -> None:
        with self.database.write() as session:
            decisions.record_model_calls(session, cycle_id, instrument, bar_close, calls)

    def model_calls(self, cycle_id: str, instrument: str) -> list[ModelCall]:
        with self.database.read() as session:
            return decisions.model_calls(session, cycle_id, instrument)

    def record_decision(self, decision: Decision) -> None:
        with self.database.write() as session:
            decisions.record_decision(session, decision)

    def record_sizing(
        self, decision_id: str, sizing: Sizing | None, denial: Denial | None = None, verdicts: Sequence[Verdict] = ()
    ) -> None:
        """Once per decision; `verdicts` is what each risk rule said."""
        with self.database.write() as session:
            decisions.record_sizing(session, decision_id, sizing, denial, verdicts)

    def sizing(self, decision_id: str) -> Sizing | None:
        """The arithmetic of a decision's order; None for a close, a denial and a HOLD."""
        with self.database.read() as session:
            return decisions.sizing(session, decision_id)

    def decision(self, decision_id: str) -> Decision:
        """Raises LedgerError when there is no such decision."""
        with self.database.read() as session:
            return decisions.decision(session, decision_id)

    def decisions(self, limit: int = 50) -> list[Decision]:
        with self.database.read() as session:
            return decisions.decisions(session, limit)

    # incidents and the whole chain

    def record_incident(
        self,
        *,
        type: str,  # noqa: A002 - the field's name in the record
        message: str,
        traceback: str,
        at: datetime,
        instrument: str | None = None,
        attempts: Sequence[Any] = (),
        **evidence: Unpack[incidents.Evidence],
    ) -> Incident:
        """A new incident, or one more count of the same one within the hour."""
        with self.database.write() as session:
            return incidents.record_incident(
                session,
                type=type,
                message=message,
                traceback=traceback,
                at=at,
                instrument=instrument,
                attempts=attempts,
                **evidence,
            )

    def incidents(self, limit: int = 50) -> list[Incident]:
        with self.database.read() as session:
            return incidents.incidents(session, limit)

    def incident(self, text: str) -> Incident | None:
        """By id or a unique start of it of 6 or more characters, its artifact's key or its run's id; None: none. Raises LedgerError for several."""
        with self.database.read() as session:
            return incidents.incident(session, text)

    def runs_with_incidents(self, since: datetime) -> set[str]:
        """Ids of the runs that an incident seen since then names."""
        with self.database.read() as session:
            return incidents.runs_with_incidents(session, since)

    def touched(
        self, *, order_id: str | None = None, cycle_id: str | None = None, instrument: str | None = None
    ) -> dict[str, Any]:
        """Orders with their history and reservation that a failure may have touched; empty: none."""
        with self.database.read() as session:
            return incidents.touched(session, order_id=order_id, cycle_id=cycle_id, instrument=instrument)

    def explain(self, text: str) -> dict[str, Any] | None:
        """The chain behind a cycle, decision, order or client order id, or a unique prefix of 6 or more characters."""
        with self.database.read() as session:
            return explain.explain(session, text)
