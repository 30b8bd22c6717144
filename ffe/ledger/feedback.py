"""Verdicts with their questions, grades of decisions, calibrations and evaluations of models."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from ffe.decision.answer import Answer
from ffe.decision.models import Action, Author, Context, Decision, ModelCall, Vote
from ffe.decision.verdict import AskedVerdict, Verdict
from ffe.feedback.models import Calibration, Grade, ModelEval, PastSituation, earned_by
from ffe.ledger.cycles import ANALYSIS
from ffe.ledger.decisions import record_model_calls
from ffe.ledger.feedback_tables import CalibrationRow, GradeRow, ModelEvalRow, VerdictRow
from ffe.ledger.rows import insert_once, newest, record_of, records_of
from ffe.ledger.tables import DecisionRow, ModelCallRow
from ffe.market.models import Timeframe
from ffe.settings import EnsembleSettings

# Databases bound the number of parameters of a statement.
CYCLES_AT_ONCE = 200


def record_verdict(session: Session, cycle_id: str, context: Context, verdict: Verdict, at: datetime) -> bool:
    """The calls and what they amount to, in one transaction: nobody finds one without the other.

    False, and nothing is kept, when the cycle has a verdict on the instrument already: two processes that ask are one question.
    """
    instrument = context.instrument.symbol
    frames = tuple(frame.model_copy(update={"closes": ()}) for frame in context.pulse)
    row = VerdictRow(
        cycle_id=cycle_id,
        instrument=instrument,
        bar_close=context.bar_close,
        context=context.model_copy(update={"pulse": frames}).model_dump(mode="json"),
        answer=None if verdict.answer is None else verdict.answer.model_dump(mode="json"),
        error=verdict.error,
        votes=None if verdict.votes is None else [vote.model_dump(mode="json") for vote in verdict.votes],
        ensemble=None if verdict.ensemble is None else verdict.ensemble.model_dump(mode="json"),
        recorded_at=at,
    )
    if not insert_once(session, row):
        return False
    record_model_calls(session, cycle_id, instrument, context.bar_close, verdict.calls)
    return True


def verdict(session: Session, cycle_id: str, instrument: str) -> AskedVerdict | None:
    row = session.get(VerdictRow, (cycle_id, instrument))
    return None if row is None else _asked(session, row)


def verdicts(session: Session, limit: int) -> list[AskedVerdict]:
    """The newest `limit` of them, newest first."""
    return [_asked(session, row) for row in newest(session, VerdictRow, VerdictRow.recorded_at, limit)]


class Unmatched(NamedTuple):
    """What is on record of questions that have no verdict: (cycle id, instrument, what), and how many of them are from before there were any."""

    left: list[tuple[str, str, str]]
    older: int


def decisions_on(session: Session, asked: Sequence[AskedVerdict]) -> list[Decision]:
    """The decisions of the verdicts' cycles, whenever they say that they were made."""
    cycles = sorted({each.cycle_id for each in asked})
    found: list[Decision] = []
    for start in range(0, len(cycles), CYCLES_AT_ONCE):
        some = cycles[start : start + CYCLES_AT_ONCE]
        rows = session.exec(select(DecisionRow).where(col(DecisionRow.cycle_id).in_(some))).all()
        found += records_of(Decision, rows)
    return found


def without_verdict(session: Session) -> Unmatched:
    """Calls of no verdict, and decisions that quote a call or are the model's and have none. Older calls have no `content_sha256`."""
    calls = _lost(session, ModelCallRow, col(ModelCallRow.content_sha256) != "")
    quoting = or_(col(DecisionRow.model_call_id).is_not(None), col(DecisionRow.decided_by) == Author.MODEL.value)
    decisions = _lost(session, DecisionRow, quoting)
    older = set(_lost(session, ModelCallRow, col(ModelCallRow.content_sha256) == ""))
    left = [(*place, "model_call") for place in calls] + [
        (*place, "decision") for place in decisions if place not in older
    ]
    return Unmatched(sorted(left), len(older))


def _lost(session: Session, table: type[ModelCallRow] | type[DecisionRow], which: Any) -> list[tuple[str, str]]:
    """Cycle and instrument of rows that have no verdict, each once."""
    there = and_(col(VerdictRow.cycle_id) == table.cycle_id, col(VerdictRow.instrument) == table.instrument)
    query: Any = sa_select(col(table.cycle_id), col(table.instrument)).outerjoin(VerdictRow, there)
    query = query.where(col(VerdictRow.cycle_id).is_(None), which).distinct()
    return [(cycle_id, instrument) for cycle_id, instrument in session.connection().execute(query)]


def _asked(session: Session, row: VerdictRow) -> AskedVerdict:
    query = select(ModelCallRow).where(ModelCallRow.cycle_id == row.cycle_id, ModelCallRow.instrument == row.instrument)
    calls = session.exec(query.order_by(col(ModelCallRow.started_at), col(ModelCallRow.attempt))).all()
    return AskedVerdict(
        cycle_id=row.cycle_id,
        context=Context.model_validate(row.context),
        verdict=Verdict(
            calls=tuple(records_of(ModelCall, calls)),
            answer=None if row.answer is None else Answer.model_validate(row.answer),
            error=row.error,
            votes=None if row.votes is None else tuple(Vote.model_validate(vote) for vote in row.votes),
            ensemble=None if row.ensemble is None else EnsembleSettings.model_validate(row.ensemble),
        ),
    )


def record_grade(session: Session, grade: Grade) -> bool:
    """False when the decision has its grade already: the first one stands."""
    return insert_once(session, GradeRow(**grade.model_dump()))


def ungraded(
    session: Session,
    closed_before: datetime,
    limit: int,
    *,
    closed_after: datetime | None = None,
    instrument: str | None = None,
    timeframe: Timeframe | None = None,
) -> list[Decision]:
    """Decisions about bars that closed before `closed_before` and have no grade, oldest first.

    A HOLD that no bars stand behind has none, and an analysis decides nothing.
    """
    query = _without_grade(select(DecisionRow), closed_after, closed_before)
    if instrument is not None:
        query = query.where(DecisionRow.instrument == instrument)
    if timeframe is not None:
        query = query.where(DecisionRow.timeframe == timeframe.value)
    rows = session.exec(query.order_by(col(DecisionRow.bar_close), col(DecisionRow.id)).limit(limit)).all()
    return records_of(Decision, rows)


def ungraded_markets(
    session: Session, closed_after: datetime, closed_before: datetime
) -> list[tuple[str, Timeframe, datetime]]:
    """Instruments and timeframes that `ungraded` has a decision of, in order of their names, with the newest bar close of each."""
    market = col(DecisionRow.instrument), col(DecisionRow.timeframe)
    query = _without_grade(sa_select(*market, func.max(DecisionRow.bar_close)), closed_after, closed_before)
    rows = session.connection().execute(query.group_by(*market).order_by(*market)).all()
    return [(instrument, Timeframe(timeframe), newest_close) for instrument, timeframe, newest_close in rows]


def _without_grade(query: Any, closed_after: datetime | None, closed_before: datetime) -> Any:
    query = query.outerjoin(GradeRow, col(GradeRow.decision_id) == col(DecisionRow.id)).where(
        col(GradeRow.decision_id).is_(None),
        col(DecisionRow.bar_close) < closed_before,
        col(DecisionRow.batch_id).is_not(None),
        col(DecisionRow.cycle_id).not_like(f"{ANALYSIS}%"),
    )
    if closed_after is None:
        return query
    # Nobody decides before the bar has closed, and the moment of deciding has the index.
    return query.where(col(DecisionRow.bar_close) >= closed_after, col(DecisionRow.decided_at) >= closed_after)


def grades(
    session: Session,
    *,
    model_digest: str | None,
    prompt_version: str | None,
    known_by: datetime | None,
    opinions: bool,
    limit: int,
) -> list[Grade]:
    """The newest `limit` that fit, in the order in which they became known; with `opinions` of what the model itself said."""
    query = select(GradeRow)
    if model_digest is not None:
        query = query.where(GradeRow.model_digest == model_digest)
    if prompt_version is not None:
        query = query.where(GradeRow.prompt_version == prompt_version)
    if known_by is not None:
        query = query.where(col(GradeRow.known_at) <= known_by)
    if opinions:
        query = query.where(col(GradeRow.opinion).is_not(None))
    rows = session.exec(query.order_by(col(GradeRow.known_at).desc(), col(GradeRow.decision_id)).limit(limit)).all()
    found = records_of(Grade, reversed(rows))
    return [said for each in found if (said := each.as_opinion()) is not None] if opinions else found


def past_situations(session: Session, timeframe: Timeframe, known_by: datetime, limit: int) -> list[PastSituation]:
    """Graded opinions of the model on this timeframe whose outcome was known by `known_by`, the newest `limit`, newest first."""
    names = set(PastSituation.model_fields) - {"situation", "action", "net_return"}
    columns = [*(getattr(GradeRow, name) for name in sorted(names)), col(GradeRow.opinion).label("action")]
    query: Any = sa_select(*columns, col(DecisionRow.situation)).join(
        DecisionRow, col(DecisionRow.id) == col(GradeRow.decision_id)
    )
    query = query.where(
        col(GradeRow.timeframe) == timeframe.value,
        col(GradeRow.known_at) <= known_by,
        col(GradeRow.opinion).is_not(None),
        col(DecisionRow.situation).is_not(None),
    )
    query = query.order_by(col(GradeRow.known_at).desc(), col(GradeRow.decision_id)).limit(limit)
    return [_past(dict(row)) for row in session.connection().execute(query).mappings()]


def _past(row: dict[str, Any]) -> PastSituation:
    earned = earned_by(Action(row["action"]), row["long_return"], row["short_return"])
    return PastSituation.model_validate(row | {"net_return": earned})


def graded_votes(session: Session, known_by: datetime, limit: int) -> dict[str, list[float]]:
    """What each member's votes would have earned, by its name, from the newest `limit` graded decisions that were voted on."""
    query = select(GradeRow, DecisionRow).join(DecisionRow, col(DecisionRow.id) == col(GradeRow.decision_id))
    query = query.where(col(DecisionRow.votes).is_not(None), col(GradeRow.known_at) <= known_by)
    returns: dict[str, list[float]] = {}
    for grade, decision in session.exec(query.order_by(col(GradeRow.known_at).desc()).limit(limit)).all():
        for vote in map(Vote.model_validate, decision.votes or []):
            if vote.counts and vote.action is not None:
                earned = earned_by(vote.action, grade.long_return, grade.short_return)
                returns.setdefault(vote.member, []).append(earned)
    return returns


def record_calibration(session: Session, calibration: Calibration) -> None:
    insert_once(session, CalibrationRow(**calibration.model_dump()))


def calibration(
    session: Session, model_digest: str, prompt_version: str, source: str, known_by: datetime
) -> Calibration | None:
    query = select(CalibrationRow).where(
        CalibrationRow.model_digest == model_digest,
        CalibrationRow.prompt_version == prompt_version,
        CalibrationRow.source == source,
        col(CalibrationRow.known_until) <= known_by,
    )
    order = (col(CalibrationRow.known_until).desc(), col(CalibrationRow.fitted_at).desc())
    row = session.exec(query.order_by(*order).limit(1)).first()
    return None if row is None else record_of(Calibration, row)


def calibrations(session: Session, limit: int) -> list[Calibration]:
    return records_of(Calibration, newest(session, CalibrationRow, CalibrationRow.fitted_at, limit))


def record_eval(session: Session, evaluation: ModelEval) -> None:
    insert_once(session, ModelEvalRow(**evaluation.model_dump()))


def evals(session: Session, model_digest: str | None, limit: int) -> Sequence[ModelEval]:
    query = select(ModelEvalRow)
    if model_digest is not None:
        query = query.where(ModelEvalRow.model_digest == model_digest)
    return records_of(ModelEval, session.exec(query.order_by(col(ModelEvalRow.evaluated_at).desc()).limit(limit)).all())
