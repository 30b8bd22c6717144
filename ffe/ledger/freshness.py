"""What the ledger can tell a monitor of the bars: the newest ones on record, and how their checks ended.

Functions of a session, read at every scrape, so none of them reads all rows: series by series along an index, and reports of one
stretch of time. A batch whose newest bar opens after it was fetched is a bad one and does not count: it would hide for ever that
nothing newer arrives.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from ffe.ledger.rows import record_of
from ffe.ledger.tables import BarBatchRow, QualityReportRow
from ffe.market.models import Timeframe

_SERIES = col(BarBatchRow.instrument), col(BarBatchRow.timeframe)


class NewestBars(BaseModel):
    """The newest recorded bars of an instrument and timeframe, and who gave them when."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    timeframe: Timeframe
    source: str
    last_open: datetime
    fetched_at: datetime

    @property
    def bar_close(self) -> datetime:
        return self.last_open + self.timeframe.duration


class QualityCount(BaseModel):
    """How many reports on batches of an instrument and timeframe passed, or did not."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    timeframe: Timeframe
    passed: bool
    reports: int


def newest_bars(session: Session) -> list[NewestBars]:
    """One for each instrument and timeframe, by name."""
    found = []
    series = _series_after(session, ("", ""))
    while series is not None:
        row = _newest_row(session, series)
        if row is not None:
            found.append(record_of(NewestBars, row))
        series = _series_after(session, series)
    return found


def _series_after(session: Session, series: tuple[str, str]) -> tuple[str, str] | None:
    """The next instrument and timeframe in the order of their names."""
    query = select(*_SERIES).where(tuple_(*_SERIES) > series).order_by(*_SERIES).limit(1)
    return session.exec(query).first()


def _newest_row(session: Session, series: tuple[str, str]) -> BarBatchRow | None:
    last_open, fetched_at = col(BarBatchRow.last_open), col(BarBatchRow.fetched_at)
    query = select(BarBatchRow).where(tuple_(*_SERIES) == series, last_open <= fetched_at)
    return session.exec(query.order_by(last_open.desc(), fetched_at.desc()).limit(1)).first()


def quality_counts(session: Session, since: datetime) -> list[QualityCount]:
    """Of the reports made at `since` or later, by name."""
    names = *_SERIES, col(QualityReportRow.passed)
    query = (
        select_columns(*names, func.count(col(QualityReportRow.id)))
        .join(BarBatchRow, col(QualityReportRow.batch_id) == col(BarBatchRow.id))
        .where(col(QualityReportRow.checked_at) >= since)
        .group_by(*names)
        .order_by(*names)
    )
    return [
        QualityCount(instrument=instrument, timeframe=Timeframe(timeframe), passed=passed, reports=reports)
        for instrument, timeframe, passed, reports in session.connection().execute(query)
    ]
