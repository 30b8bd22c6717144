"""The ledger's methods about verdicts, grades, calibrations and evaluations of models."""

from collections.abc import Sequence
from datetime import datetime

from ffe.decision.models import Context, Decision
from ffe.decision.verdict import AskedVerdict, Verdict
from ffe.feedback.models import Calibration, Grade, ModelEval, PastSituation
from ffe.ledger import feedback
from ffe.ledger.database import Database
from ffe.market.models import Timeframe


class FeedbackLedger:
    """Every method raises LedgerError when the database refuses."""

    database: Database

    def record_verdict(self, cycle_id: str, context: Context, verdict: Verdict, at: datetime) -> bool:
        """What was asked, every call and what they amount to, in one transaction. False, and nothing kept, when there is one already."""
        with self.database.write() as session:
            return feedback.record_verdict(session, cycle_id, context, verdict, at)

    def verdict(self, cycle_id: str, instrument: str) -> AskedVerdict | None:
        """What a cycle's question about an instrument came to; None while nobody has written it down."""
        with self.database.read() as session:
            return feedback.verdict(session, cycle_id, instrument)

    def verdicts(self, limit: int = 50) -> list[AskedVerdict]:
        """The newest `limit`, newest first."""
        with self.database.read() as session:
            return feedback.verdicts(session, limit)

    def decisions_on(self, asked: Sequence[AskedVerdict]) -> list[Decision]:
        """All decisions of the cycles that these verdicts are of."""
        with self.database.read() as session:
            return feedback.decisions_on(session, asked)

    def without_verdict(self) -> feedback.Unmatched:
        """What the whole ledger holds of questions whose verdict is not there."""
        with self.database.read() as session:
            return feedback.without_verdict(session)

    def record_grade(self, grade: Grade) -> bool:
        """False when the decision has a grade already: the first one stands."""
        with self.database.write() as session:
            return feedback.record_grade(session, grade)

    def ungraded(
        self,
        closed_before: datetime,
        limit: int = 500,
        *,
        closed_after: datetime | None = None,
        instrument: str | None = None,
        timeframe: Timeframe | None = None,
    ) -> list[Decision]:
        """Decisions with bars behind them that closed before `closed_before` and have no grade, oldest first."""
        with self.database.read() as session:
            return feedback.ungraded(
                session,
                closed_before,
                limit,
                closed_after=closed_after,
                instrument=instrument,
                timeframe=timeframe,
            )

    def ungraded_markets(
        self, closed_after: datetime, closed_before: datetime
    ) -> list[tuple[str, Timeframe, datetime]]:
        """Instruments and timeframes that `ungraded` has a decision of, with the newest bar close of each."""
        with self.database.read() as session:
            return feedback.ungraded_markets(session, closed_after, closed_before)

    def grades(
        self,
        *,
        model_digest: str | None = None,
        prompt_version: str | None = None,
        known_by: datetime | None = None,
        opinions: bool = False,
        limit: int = 5000,
    ) -> list[Grade]:
        """The newest `limit` that fit, in the order in which they became known.

        `opinions` gives what the model itself said instead of what was decided, where it said something: what is learned from.
        """
        with self.database.read() as session:
            return feedback.grades(
                session,
                model_digest=model_digest,
                prompt_version=prompt_version,
                known_by=known_by,
                opinions=opinions,
                limit=limit,
            )

    def past_situations(self, timeframe: Timeframe, known_by: datetime, limit: int = 2000) -> list[PastSituation]:
        """Graded opinions of the model whose outcome was known by `known_by`, newest first: never a fact from later."""
        with self.database.read() as session:
            return feedback.past_situations(session, timeframe, known_by, limit)

    def graded_votes(self, known_by: datetime, limit: int = 2000) -> dict[str, list[float]]:
        """The net return of every vote of an ensemble whose outcome was known by `known_by`, by member, the newest first."""
        with self.database.read() as session:
            return feedback.graded_votes(session, known_by, limit)

    def record_calibration(self, calibration: Calibration) -> None:
        with self.database.write() as session:
            feedback.record_calibration(session, calibration)

    def calibration(
        self, model_digest: str, prompt_version: str, source: str, known_by: datetime
    ) -> Calibration | None:
        """The newest one made only from what was known by `known_by`; None when there is none."""
        with self.database.read() as session:
            return feedback.calibration(session, model_digest, prompt_version, source, known_by)

    def calibrations(self, limit: int = 500) -> list[Calibration]:
        with self.database.read() as session:
            return feedback.calibrations(session, limit)

    def record_eval(self, evaluation: ModelEval) -> None:
        with self.database.write() as session:
            feedback.record_eval(session, evaluation)

    def evals(self, model_digest: str | None = None, limit: int = 50) -> Sequence[ModelEval]:
        """Newest first, of one model or of all."""
        with self.database.read() as session:
            return feedback.evals(session, model_digest, limit)
