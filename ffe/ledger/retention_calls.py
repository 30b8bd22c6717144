"""Old questions to the model: the verdict and its calls go; of a call that a decision quotes the row stays, without its texts.

A trimmed call looks like one from before verdicts were recorded (no `content_sha256`), which a replay counts as older and does not miss.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, delete, exists, literal, not_, or_, select, tuple_, union, update
from sqlmodel import Session, col

from ffe.ledger.cycles import ANALYSIS
from ffe.ledger.feedback_tables import GradeRow, VerdictRow
from ffe.ledger.order_tables import OrderRow
from ffe.ledger.retention_sweep import BATCH, Removal, Sweep
from ffe.ledger.tables import DecisionRow, ModelCallRow
from ffe.market.models import Timeframe

# As long as `ffe.feedback.run` looks for the bars of a decision after its horizon, which it doubles for weekends.
GRADED_WITHIN = timedelta(days=14)
REMOVED = {"role": "system", "content": "removed by retention"}


class _Question(NamedTuple):
    cycle_id: str
    instrument: str


def remove_calls(run: Sweep, days: int | None, horizon_bars: int) -> tuple[Removal, ...]:
    """Questions about bars that closed before the limit, each as a whole: a verdict never loses a part of its calls."""
    kind = "questions to the model"
    if days is None:
        return (Removal(kind=kind, days=None),)
    removed, kept, after = 0, 0, _Question("", "")
    while True:
        with run.database.read() as session:
            page = _page(session, run, days, after)
            staying = _staying(session, run, page, horizon_bars)
        going = [question for question in page if question not in staying]
        if going and not run.dry_run:
            with run.writing() as session:
                _trim(session, going)
        removed, kept = removed + len(going), kept + len(page) - len(going)
        if len(page) < BATCH:
            return (Removal(kind=kind, days=days, removed=removed, kept=kept),)
        after = page[-1]


def _page(session: Session, run: Sweep, days: int, after: _Question) -> list[_Question]:
    """The next ones, by cycle and instrument, of which a verdict or a text is left."""
    before = run.before(days)
    verdicts: Any = select(col(VerdictRow.cycle_id).label("cycle_id"), col(VerdictRow.instrument).label("instrument"))
    calls: Any = select(col(ModelCallRow.cycle_id).label("cycle_id"), col(ModelCallRow.instrument).label("instrument"))
    texts = or_(col(ModelCallRow.content_sha256) != "", col(ModelCallRow.raw_text).is_not(None))
    both = union(
        verdicts.where(col(VerdictRow.bar_close) < before), calls.where(col(ModelCallRow.bar_close) < before, texts)
    ).subquery()
    key = tuple_(both.c.cycle_id, both.c.instrument)
    query = (
        select(both).where(key > tuple_(*map(literal, after))).order_by(both.c.cycle_id, both.c.instrument).limit(BATCH)
    )
    return [_Question(*row) for row in session.connection().execute(query)]


def _staying(session: Session, run: Sweep, page: Sequence[_Question], horizon_bars: int) -> set[_Question]:
    """Those whose decision has an order, or may still get its grade, for which the tokens of its call are read."""
    ordered = exists().where(col(OrderRow.decision_id) == col(DecisionRow.id))
    graded = exists().where(col(GradeRow.decision_id) == col(DecisionRow.id))
    wanted = (DecisionRow.cycle_id, DecisionRow.instrument, DecisionRow.timeframe, DecisionRow.bar_close)
    query: Any = select(*map(col, wanted), ordered, graded).where(
        col(DecisionRow.cycle_id).in_({question.cycle_id for question in page})
    )
    staying = set()
    for cycle_id, instrument, timeframe, bar_close, has_order, has_grade in session.connection().execute(query):
        waits = not has_grade and bar_close is not None and not cycle_id.startswith(ANALYSIS)
        patience = GRADED_WITHIN + 2 * horizon_bars * Timeframe(timeframe).duration
        if has_order or (waits and bar_close >= run.now - patience):
            staying.add(_Question(cycle_id, instrument))
    return staying


def _trim(session: Session, questions: Sequence[_Question]) -> None:
    connection, cycles = session.connection(), {question.cycle_id for question in questions}
    # The cycles have an index, pairs of columns have none.
    calls = and_(
        col(ModelCallRow.cycle_id).in_(cycles),
        tuple_(col(ModelCallRow.cycle_id), col(ModelCallRow.instrument)).in_(questions),
    )
    verdicts = and_(
        col(VerdictRow.cycle_id).in_(cycles),
        tuple_(col(VerdictRow.cycle_id), col(VerdictRow.instrument)).in_(questions),
    )
    quoted = exists().where(col(DecisionRow.model_call_id) == col(ModelCallRow.id))
    connection.execute(delete(VerdictRow).where(verdicts))
    connection.execute(delete(ModelCallRow).where(calls, not_(quoted)))
    blank: dict[str, Any] = {"messages": [REMOVED], "answer_schema": {}, "raw_text": None, "chain": None, "tokens": []}
    connection.execute(update(ModelCallRow).where(calls).values(content_sha256="", **blank))
