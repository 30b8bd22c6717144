"""From an instrument to bars that may be traded on: fetched from the first source that answers, gated, remembered.

Only bars that passed both gates enter the store; bars that failed are forgotten there, so that the next fetch takes the window
fresh. The batch file and its report stay either way: they are the evidence of what was seen.
"""

import uuid
from datetime import datetime, timedelta
from typing import Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ffe.cycle.engine import Engine
from ffe.errors import SourceError
from ffe.market.calendar import lookback_start
from ffe.market.freshness import check_freshness
from ffe.market.models import Instrument, Timeframe
from ffe.market.pulse import PULSE_TIMEFRAMES
from ffe.market.quality import CROSS_CHECK, FRESHNESS_SUITE, Finding, Freshness, QualityReport, Reference, Severity
from ffe.sources import alphavantage, crosscheck
from ffe.sources.models import BarBatch

UNSETTLED = "sources disagreed, and no other one has agreed since: "
# The pulse never spends the few requests that Alpha Vantage gives away.
SPARED = frozenset({alphavantage.NAME})


class Validate(Protocol):
    """The suite: `references` are what other sources say of the same bars, `calendar` the name of the market's. Never raises."""

    def __call__(
        self,
        table: pa.Table,
        batch: BarBatch,
        now: datetime,
        references: tuple[Reference, ...] = (),
        *,
        calendar: str | None = None,
    ) -> QualityReport: ...


class Frames(BaseModel):
    """Batches of the other timeframes of a pulse, and why some are absent."""

    model_config = ConfigDict(frozen=True)

    batches: tuple[BarBatch, ...] = ()
    absent: dict[Timeframe, str] = {}


class Bars(BaseModel):
    """What one instrument's cycle starts from."""

    model_config = ConfigDict(frozen=True)

    batch: BarBatch
    frames: Frames


class Gated(BaseModel):
    """Both gates' word on a batch. `table` holds its bars when both let it pass."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    freshness: Freshness
    report: QualityReport
    table: pa.Table | None = None

    @property
    def why(self) -> str:
        return "; ".join(f"{finding.check}: {finding.message}" for finding in self.report.critical)


def fetch_batch(
    engine: Engine,
    instrument: Instrument,
    timeframe: Timeframe,
    *,
    end: datetime | None = None,
    only: str | None = None,
) -> BarBatch:
    """The newest complete bars that close by `end` (now), as a recorded batch of one source; `only` asks that source alone.

    Raises:
        NoSourceError: no source gave a bar; it names what each one said.
    """
    now = engine.clock.now()
    until, wanted = end or now, engine.settings.lookback_bars
    # One more, for the bar that is still running: the source leaves it out.
    start = lookback_start(engine.calendar(instrument), timeframe, wanted + 1, until)
    fetched = engine.chain(instrument.asset_class).fetch(instrument, timeframe, start, until, only=only)
    table = fetched.table.slice(max(0, fetched.table.num_rows - wanted))
    batch = engine.store.write_batch(instrument, timeframe, fetched.source, table, now, answers=fetched.answers)
    engine.ledger.record_batch(batch)
    return batch


def fetch_frames(engine: Engine, batch: BarBatch) -> Frames:
    """The other timeframes of the pulse, from the source that answered for `batch` and no newer than its close. Never raises for a source."""
    batches, absent = [], {}
    for timeframe in PULSE_TIMEFRAMES:
        if timeframe is batch.timeframe:
            continue
        if batch.source in SPARED:
            absent[timeframe] = f"not asked of {batch.source}"
            continue
        try:
            # A bar that opens before this closes by the batch's close.
            end = batch.bar_close - timeframe.duration + timedelta(seconds=1)
            batches.append(fetch_batch(engine, batch.instrument, timeframe, end=end, only=batch.source))
        except SourceError as error:
            absent[timeframe] = str(error)
    return Frames(batches=tuple(batches), absent=absent)


def freshness_of(engine: Engine, batch: BarBatch, now: datetime) -> Freshness:
    """Age of a batch's newest bar at `now`, against the calendar and the settings' limits."""
    calendar = engine.calendar(batch.instrument)
    return check_freshness(batch.bar_close, batch.timeframe, now, calendar, engine.settings.freshness)


def references(engine: Engine, batch: BarBatch, now: datetime, *, again: bool = False) -> tuple[Reference, ...]:
    """What other sources say of the same bars; none where there is no other, or nothing is due. `again` asks before it is due."""
    if not engine.settings.sources.cross_check:
        return ()
    chain = engine.chain(batch.instrument.asset_class)
    return crosscheck.references(chain, engine.store, batch, now, again=again)


def gate(engine: Engine, batch: BarBatch, now: datetime, validate: Validate) -> Gated:
    """Freshness, then the suite with a second opinion. Recorded either way; what passes enters the store, what fails leaves it."""
    return _gated(engine, batch, freshness_of(engine, batch, now), now, validate, second_opinion=True)


def _gated(
    engine: Engine,
    batch: BarBatch,
    freshness: Freshness,
    now: datetime,
    validate: Validate,
    *,
    second_opinion: bool = False,
) -> Gated:
    if not freshness.fresh:
        report = _stale(batch, freshness, now)
        engine.ledger.record_quality(report)
        return Gated(freshness=freshness, report=report)
    table = engine.store.load(batch)
    dispute = _dispute(engine, batch)
    others = references(engine, batch, now, again=dispute is not None) if second_opinion else ()
    calendar = engine.calendar(batch.instrument).name
    report = validate(table, batch, now, others, calendar=calendar).model_copy(update={"freshness": freshness})
    if dispute is not None and not crosscheck.timely(others, batch):
        report = report.model_copy(update={"findings": (_unsettled(dispute), *report.findings)})
    engine.ledger.record_quality(report)
    if not report.passed:
        engine.store.forget(batch)
        return Gated(freshness=freshness, report=report)
    engine.store.keep(batch, table)
    return Gated(freshness=freshness, report=report, table=table)


def _dispute(engine: Engine, batch: BarBatch) -> str | None:
    """What another source last said against these bars; None where none did, or nobody is to be asked any more."""
    if not engine.settings.sources.cross_check:
        return None
    return engine.ledger.disputed(batch.instrument.symbol, batch.timeframe, CROSS_CHECK)


def _unsettled(dispute: str) -> Finding:
    """A disagreement lasts until another source agrees: one that can't be asked just now has not changed its mind."""
    text = dispute if dispute.startswith(UNSETTLED) else f"{UNSETTLED}{dispute}"
    return Finding(check=CROSS_CHECK, severity=Severity.CRITICAL, message=text)


def gate_frame(engine: Engine, frame: BarBatch, base: BarBatch, validate: Validate) -> Gated:
    """`gate` for another timeframe of the pulse of `base`.

    Its freshness is judged at the base's close, where the pulse ends: a 1m frame behind a base of 1h is not stale at half past. Bars
    that passed before, byte for byte, are not held to the suite again: most frames are unchanged from one cycle to the next, and
    nothing in the suite gets worse with time alone.
    """
    freshness = freshness_of(engine, frame, base.bar_close)
    report = engine.ledger.passed_report(frame.id) if freshness.fresh else None
    if report is None:
        return _gated(engine, frame, freshness, engine.clock.now(), validate)
    return Gated(freshness=freshness, report=report, table=engine.store.load(frame))


def _stale(batch: BarBatch, freshness: Freshness, now: datetime) -> QualityReport:
    """The report of a batch that never reached the suite."""
    finding = Finding(check=FRESHNESS_SUITE, severity=Severity.CRITICAL, message=freshness.message)
    return QualityReport(
        id=uuid.uuid4().hex,
        batch_id=batch.id,
        suite=FRESHNESS_SUITE,
        checks=1,
        findings=(finding,),
        checked_at=now,
        duration_ms=0.0,
        freshness=freshness,
    )
