"""History into the store: what is missing of a stretch of time, newest first, in chunks that are each held to the suite.

A chunk is a month, or the part of one that one request fetches where venues print small pages. What is covered is not asked again, so a
backfill that was stopped goes on where it was. A chunk that fails is reported with its rows and not kept; the others go on. Its batch and
its report stay in the ledger like those of a cycle, with no freshness: nobody asks whether history is fresh.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.cycle.bars import Validate
from ffe.cycle.engine import Engine
from ffe.errors import NoSourceError, SourceError
from ffe.market.models import Instrument, Timeframe
from ffe.market.quality import Finding, QualityReport, Severity
from ffe.observe.masking import masked
from ffe.sources.chain import NoBarError
from ffe.sources.coverage import month_span, months_of
from ffe.sources.models import BAR_SCHEMA
from ffe.sources.partition import among
from ffe.sources.spans import Span, inside

# With its surroundings one page at OANDA (5000), sixteen at Coinbase (300): what an outage cuts off costs little.
CHUNK_BARS = 4500
# So many bars that are covered already go before and after a chunk through the suite with it, as the surroundings of its edges.
CONTEXT_BARS = 50

Fetch = Callable[[Instrument, Timeframe, datetime, datetime], pa.Table]


class History(NamedTuple):
    """Where old bars come from: the name of a source and its `fetch`, which raises SourceError."""

    source: str
    fetch: Fetch


class ChunkOutcome(StrEnum):
    """covered: nothing was missing. empty: the source answered and has no bar there. failed: by the source or by the suite."""

    COVERED = "covered"
    KEPT = "kept"
    EMPTY = "empty"
    FAILED = "failed"


class Chunk(BaseModel):
    """What became of [start, end). `bars` went through the suite, those around the chunk with them; `findings` are the suite's, warnings
    too, with example rows. `missing` bars are expected by the calendar and not in the store now: the venue has none, or they failed.
    """

    model_config = ConfigDict(frozen=True)

    start: datetime
    end: datetime
    outcome: ChunkOutcome
    bars: int = 0
    missing: int = 0
    batch_id: str | None = None
    error: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        return f"{rfc3339(self.start)} to {rfc3339(self.end)}"

    @property
    def why(self) -> str:
        """What the source or the suite said against it."""
        said = [
            f"{finding.check}: {finding.message}" for finding in self.findings if finding.severity is Severity.CRITICAL
        ]
        return self.error if self.error is not None else "; ".join(said)


class Backfilled(BaseModel):
    """All chunks of one instrument and timeframe, newest first."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    timeframe: Timeframe
    source: str
    start: datetime
    end: datetime
    chunks: tuple[Chunk, ...]

    @property
    def failed(self) -> list[Chunk]:
        return [chunk for chunk in self.chunks if chunk.outcome is ChunkOutcome.FAILED]

    @property
    def bars(self) -> int:
        return sum(chunk.bars for chunk in self.chunks if chunk.outcome is ChunkOutcome.KEPT)


Told = Callable[[Chunk, float], None]


def backfill(
    engine: Engine,
    instrument: Instrument,
    timeframe: Timeframe,
    days: int,
    validate: Validate,
    *,
    told: Told | None = None,
    history: History | None = None,
) -> Backfilled:
    """The newest `days` days of bars, as far as they are not covered yet.

    `told` hears each chunk with the share of the work that is done (0 to 1). `history` is the instrument's first source when left out.
    Raises nothing for a chunk: see `Backfilled.failed`.
    """
    asked = first_source(engine, instrument) if history is None else history
    end = timeframe.floor(engine.clock.now())
    start = timeframe.floor(end - timedelta(days=days))
    work = _Work(engine, asked, instrument, timeframe, validate)
    pieces, chunks = _pieces(timeframe, (start, end)), []
    for number, piece in enumerate(pieces, start=1):
        chunks.append(work.chunk(piece))
        if told is not None:
            told(chunks[-1], number / len(pieces))
    return Backfilled(
        instrument=instrument.symbol,
        timeframe=timeframe,
        source=asked.source,
        start=start,
        end=end,
        chunks=tuple(chunks),
    )


def first_source(engine: Engine, instrument: Instrument) -> History:
    """The first source of the instrument's chain, asked through the chain, so that its breaker and budget count here too.

    Raises:
        RefusedError: no source of the instrument is set up.
    """
    chain = engine.chain(instrument.asset_class)
    name = chain.sources[0].name

    def fetch(wanted: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        try:
            return chain.fetch(wanted, timeframe, start, end, only=name).table
        except NoSourceError as error:
            if _has_no_bar(error):
                return BAR_SCHEMA.empty_table()
            raise

    return History(name, fetch)


def _has_no_bar(error: NoSourceError) -> bool:
    """Whether the source answered well and had nothing: before a market's first day that is the truth."""
    said = error.__cause__
    return isinstance(said, ExceptionGroup) and all(isinstance(each, NoBarError) for each in said.exceptions)


def _pieces(timeframe: Timeframe, span: Span) -> list[Span]:
    """`span` cut at months, and inside a month at every `CHUNK_BARS` bars, newest first."""
    edges = {span[0], span[1]}
    for month in months_of(span):
        at, end = month_span(month)
        while at < end:
            edges.add(min(max(at, span[0]), span[1]))
            at += CHUNK_BARS * timeframe.duration
    return list(pairwise(sorted(edges)))[::-1]


@dataclass(frozen=True)
class _Work:
    engine: Engine
    history: History
    instrument: Instrument
    timeframe: Timeframe
    validate: Validate

    def chunk(self, piece: Span) -> Chunk:
        wanted = self._wanted(piece)
        if not wanted:
            return Chunk(start=piece[0], end=piece[1], outcome=ChunkOutcome.COVERED)
        return self._fetched((wanted[0][0], wanted[-1][1]))

    def _fetched(self, span: Span) -> Chunk:
        failed = Chunk(start=span[0], end=span[1], outcome=ChunkOutcome.FAILED, missing=self._expected(span))
        covered = self.engine.store.covered(self.instrument, self.timeframe, self.history.source)
        try:
            table = self.history.fetch(self.instrument, self.timeframe, *_with_context(covered, self.timeframe, span))
        except SourceError as error:
            return failed.model_copy(update={"error": masked(f"{type(error).__name__}: {error}")})
        if table.num_rows == 0:
            return failed.model_copy(update={"outcome": ChunkOutcome.EMPTY})
        report, kept = self._judged(table)
        said = {"bars": table.num_rows, "batch_id": report.batch_id, "findings": report.findings}
        if not report.passed:
            return failed.model_copy(update=said)
        if not kept:
            return failed.model_copy(
                update=said | {"error": "passed, and could not be written to the store: see the log"}
            )
        missing = max(0, failed.missing - among(table, [span]).num_rows)
        return failed.model_copy(update=said | {"outcome": ChunkOutcome.KEPT, "missing": missing})

    def _judged(self, table: pa.Table) -> tuple[QualityReport, bool]:
        """The report, and whether the bars are in the store: kept when they pass.

        A failed batch covers nothing; what was covered around it had passed before and stays.
        """
        now, store = self.engine.clock.now(), self.engine.store
        batch = store.write_batch(self.instrument, self.timeframe, self.history.source, table, now)
        self.engine.ledger.record_batch(batch)
        report = self.validate(table, batch, now, calendar=self.engine.calendar(self.instrument).name)
        self.engine.ledger.record_quality(report)
        return report, report.passed and store.keep(batch, table)

    def _wanted(self, piece: Span) -> list[Span]:
        """The spans of `piece` that are not covered and in which the calendar expects a bar."""
        missing = self.engine.store.missing(self.instrument, self.timeframe, self.history.source, *piece)
        return [span for span in missing if self._expected(span)]

    def _expected(self, span: Span) -> int:
        return int(self.engine.calendar(self.instrument).expected_opens(self.timeframe, *span).size)


def _with_context(covered: list[Span], timeframe: Timeframe, span: Span) -> Span:
    """`span` and up to `CONTEXT_BARS` covered bars on each side that it touches."""
    reach = CONTEXT_BARS * timeframe.duration
    before = [part for part in inside(covered, span[0] - reach, span[0]) if part[1] == span[0]]
    after = [part for part in inside(covered, span[1], span[1] + reach) if part[0] == span[1]]
    return (before[0][0] if before else span[0]), (after[0][1] if after else span[1])
