"""What a decision was made from: bar batches, quality reports and instrument specs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.rows import insert_once, record_of, values_of
from ffe.ledger.tables import BarBatchRow, InstrumentSpecRow, QualityReportRow
from ffe.market.models import INSTRUMENTS
from ffe.market.quality import FRESHNESS_SUITE, QualityPoint, QualityReport, Severity
from ffe.sources.models import BarBatch
from ffe.venues.models import InstrumentSpec

# A trend reads thousands of reports: columns of them, not rows.
_OF_REPORT = ("batch_id", "passed", "findings", "freshness", "checked_at", "duration_ms")
_OF_BATCH = ("instrument", "timeframe", "source")


def record_batch(session: Session, batch: BarBatch) -> None:
    """Recorded once per content hash; the first fetch of the same bytes stands.

    Raises:
        LedgerError: the same bytes are on record as another instrument's or timeframe's bars.
    """
    values = batch.model_dump(exclude={"instrument"}) | {"instrument": batch.instrument.symbol}
    if insert_once(session, BarBatchRow(**values)):
        return
    held = session.get(BarBatchRow, batch.id)
    if held is not None and (held.instrument, held.timeframe) != (batch.instrument.symbol, batch.timeframe.value):
        ours = f"{batch.instrument.symbol} {batch.timeframe.value}"
        raise LedgerError(f"bar batch {batch.id} is {held.instrument} {held.timeframe}, not {ours}")


def batch_of(row: BarBatchRow) -> BarBatch:
    values: dict[str, Any] = values_of(row) | {"instrument": INSTRUMENTS[row.instrument], "answers": row.answers or ()}
    return BarBatch.model_validate(values)


def record_quality(session: Session, report: QualityReport) -> None:
    insert_once(session, QualityReportRow(**report.model_dump(), passed=report.passed))


def passed_report(session: Session, batch_id: str) -> QualityReport | None:
    """The newest report on exactly these bars by the suite, for a decision; None when there is none or it failed."""
    query = _judged().where(col(QualityReportRow.batch_id) == batch_id)
    row = session.exec(_newest(query)).first()
    return None if row is None or not row.passed else record_of(QualityReport, row)


def disputed(session: Session, instrument: str, timeframe: str, check: str) -> str | None:
    """What `check` said against the newest bars that the suite judged for a decision; None when it had nothing to say."""
    query = _judged().join(BarBatchRow, col(BarBatchRow.id) == col(QualityReportRow.batch_id))
    query = query.where(col(BarBatchRow.instrument) == instrument, col(BarBatchRow.timeframe) == timeframe)
    row = session.exec(_newest(query)).first()
    findings = [] if row is None else record_of(QualityReport, row).critical
    return next((finding.message for finding in findings if finding.check == check), None)


def _judged() -> Any:
    """Reports of the suite on bars that were to be decided on: no backfill's, and no stale batch's, which the suite never saw."""
    return select(QualityReportRow).where(
        col(QualityReportRow.freshness).is_not(None), col(QualityReportRow.suite) != FRESHNESS_SUITE
    )


def _newest(query: Any) -> Any:
    return query.order_by(col(QualityReportRow.checked_at).desc(), col(QualityReportRow.id)).limit(1)


def quality_history(
    session: Session,
    instrument: str | None,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    backfills: bool = True,
) -> list[QualityPoint]:
    """Reports with the batch that each one is about, newest first; of all instruments when None is named.

    Without `backfills` only those of bars that were to be decided on: nobody asked whether the others are fresh.
    """
    columns = [
        *(getattr(QualityReportRow, name) for name in _OF_REPORT),
        *(getattr(BarBatchRow, name) for name in _OF_BATCH),
    ]
    query: Any = sa_select(col(QualityReportRow.id).label("report_id"), *columns).join(
        BarBatchRow, col(BarBatchRow.id) == col(QualityReportRow.batch_id)
    )
    if not backfills:
        query = query.where(col(QualityReportRow.freshness).is_not(None))
    if until is not None:
        query = query.where(col(QualityReportRow.checked_at) <= until)
    if instrument is not None:
        query = query.where(col(BarBatchRow.instrument) == instrument)
    if since is not None:
        query = query.where(col(QualityReportRow.checked_at) >= since)
    query = query.order_by(col(QualityReportRow.checked_at).desc(), col(QualityReportRow.id)).limit(limit)
    return [_point(dict(row)) for row in session.connection().execute(query).mappings()]


def _point(values: dict[str, Any]) -> QualityPoint:
    findings, freshness = values.pop("findings"), values.pop("freshness")
    return QualityPoint(
        critical=_checks(findings, Severity.CRITICAL),
        warnings=_checks(findings, Severity.WARNING),
        age_seconds=None if freshness is None else freshness["age_seconds"],
        **values,
    )


def _checks(findings: Sequence[dict[str, Any]], severity: Severity) -> tuple[str, ...]:
    return tuple(finding["check"] for finding in findings if finding["severity"] == severity)


def record_spec(session: Session, spec: InstrumentSpec) -> None:
    """A new row only when the venue's rules differ from the newest ones on record."""
    held = newest_spec(session, spec.venue, spec.instrument)
    if held is None or held != spec.model_copy(update={"fetched_at": held.fetched_at}):
        insert_once(session, InstrumentSpecRow(**spec.model_dump()))


def newest_spec(session: Session, venue: str, instrument: str) -> InstrumentSpec | None:
    """The venue's rules as they were last seen to change; None where nobody has asked for them yet."""
    query = select(InstrumentSpecRow).where(
        InstrumentSpecRow.venue == venue, InstrumentSpecRow.instrument == instrument
    )
    row = session.exec(query.order_by(col(InstrumentSpecRow.fetched_at).desc()).limit(1)).first()
    return None if row is None else record_of(InstrumentSpec, row)
