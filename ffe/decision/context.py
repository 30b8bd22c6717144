"""What the model is told, gathered from one batch of bars and its pulse. Nothing in it is newer than the batch's last close."""

from decimal import Decimal

import pyarrow as pa

from ffe.decision.models import Context, FramePulse
from ffe.errors import DataError
from ffe.market.quality import QualityReport
from ffe.money import from_float, plain
from ffe.sources.models import BarBatch

RECENT_CLOSES = 8


def build_context(
    batch: BarBatch, table: pa.Table, report: QualityReport, frames: tuple[FramePulse, ...], consensus: str
) -> Context:
    """Context of the newest bar of `table`, whose pulse is `frames` (the base frame among them). Closes are oldest first.

    Raises:
        DataError: no bars, a report on another batch, or no ATR on the base frame: without it there is no stop.
    """
    if report.batch_id != batch.id:
        raise DataError(f"quality report {report.id} is about batch {report.batch_id}, not {batch.id}")
    closes = tuple(
        _trimmed(value) for value in table.column("close").slice(max(0, table.num_rows - RECENT_CLOSES)).to_pylist()
    )
    if not closes:
        raise DataError(f"batch {batch.id} has no bars")
    return Context(
        instrument=batch.instrument,
        timeframe=batch.timeframe,
        bar_close=batch.bar_close,
        batch_id=batch.id,
        quality_report_id=report.id,
        last_close=closes[-1],
        atr=_atr(batch, frames),
        pulse=frames,
        consensus=consensus,
        recent_closes=closes,
        warnings=tuple(f"{finding.check}: {finding.message}" for finding in report.warnings),
    )


def _atr(batch: BarBatch, frames: tuple[FramePulse, ...]) -> Decimal:
    base = next((frame for frame in frames if frame.timeframe is batch.timeframe), None)
    if base is None or base.atr is None:
        reason = "the base frame is missing" if base is None else base.partial or f"{base.bars} bars"
        raise DataError(f"no ATR for {batch.instrument.symbol} {batch.timeframe.value}: {reason}")
    return from_float(base.atr)


def _trimmed(value: Decimal) -> Decimal:
    """`6812.01`, not the `6812.010000000000000000` of the column's fixed scale."""
    return Decimal(plain(value.normalize()))
