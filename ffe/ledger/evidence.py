"""What a decision was made from: bar batches, quality reports and instrument specs."""

from typing import Any

from sqlmodel import Session, col, select

from ffe.errors import LedgerError
from ffe.ledger.rows import insert_once, record_of, values_of
from ffe.ledger.tables import BarBatchRow, InstrumentSpecRow, QualityReportRow
from ffe.market.models import INSTRUMENTS
from ffe.market.quality import QualityReport
from ffe.sources.models import BarBatch
from ffe.venues.models import InstrumentSpec


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
    values: dict[str, Any] = values_of(row) | {"instrument": INSTRUMENTS[row.instrument]}
    return BarBatch.model_validate(values)


def record_quality(session: Session, report: QualityReport) -> None:
    insert_once(session, QualityReportRow(**report.model_dump(), passed=report.passed))


def record_spec(session: Session, spec: InstrumentSpec) -> None:
    """A new row only when the venue's rules differ from the newest ones on record."""
    query = select(InstrumentSpecRow).where(
        InstrumentSpecRow.venue == spec.venue, InstrumentSpecRow.instrument == spec.instrument
    )
    row = session.exec(query.order_by(col(InstrumentSpecRow.fetched_at).desc()).limit(1)).first()
    same = row is not None and record_of(InstrumentSpec, row) == spec.model_copy(update={"fetched_at": row.fetched_at})
    if not same:
        insert_once(session, InstrumentSpecRow(**spec.model_dump()))
