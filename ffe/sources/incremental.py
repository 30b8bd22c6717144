"""A bar source that asks the real one only for what the store lacks.

The newest bars are the ones that venues still change, so the newest three stored bars before every part that is asked are asked again
with it, in the same call. Where they are not what the store holds, the whole window is taken fresh; and where older bars differ as well,
another feed answers under this name, and nothing of the partition is believed any more. Stored bars come only from batches that passed
(`BarStore.keep`); what comes back is exactly what a direct fetch would give, unless a venue changed a bar later than that.
"""

import logging
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ffe.clock import Clock
from ffe.errors import DataError
from ffe.market.models import Instrument, Timeframe
from ffe.sources.partition import among
from ffe.sources.protocol import BarSource
from ffe.sources.spans import Span, inside, joined, missing
from ffe.sources.store import BarStore

log = logging.getLogger(__name__)

REVISED = 3
# Two spans closer than the smallest page of any venue (Coinbase, 300 bars) cost no more requests together than one by one.
NEAR_BARS = 300


class Incremental:
    """Wraps `source`; safe to share between threads as far as `source` is."""

    def __init__(self, source: BarSource, store: BarStore, clock: Clock) -> None:
        self.name = source.name
        self._source, self._store, self._clock = source, store, clock

    def close(self) -> None:
        self._source.close()

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        """See `BarSource.fetch`. Nothing is kept here: bars are judged first. Raises what the source raises."""
        try:
            stored, covered = self._known(instrument, timeframe, start, end)
        except DataError as error:
            log.warning("%s bars of %s are fetched fresh: %s", timeframe.value, instrument.symbol, error)
            return self._source.fetch(instrument, timeframe, start, end)
        asked = _asked(stored, covered, timeframe, (start, end))
        answers = [self._source.fetch(instrument, timeframe, *span) for span in asked]
        if asked == [(start, end)]:
            self._judge(instrument, timeframe, stored, among(answers[0], covered))
            return answers[0]
        if not _agree(stored, covered, asked, answers):
            fresh = self._source.fetch(instrument, timeframe, start, end)
            self._judge(instrument, timeframe, stored, among(fresh, covered))
            return fresh
        return _assembled(stored, asked, answers, (start, end))

    def _known(
        self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime
    ) -> tuple[pa.Table, list[Span]]:
        """Stored bars that are complete now. A simulator's clock may have been set back since they were stored."""
        until = min(end, timeframe.floor(self._clock.now()))
        return self._store.known(instrument, timeframe, self.name, start, max(start, until))

    def _judge(self, instrument: Instrument, timeframe: Timeframe, stored: pa.Table, fresh: pa.Table) -> None:
        """Where a bar older than the newest ones reads otherwise now, what is stored outside the window is another feed's too.

        A bar that is only absent is no sign of that: an answer may have been cut short.
        """
        older = stored.slice(0, max(0, stored.num_rows - REVISED) or stored.num_rows)
        if older.num_rows and not _same(_opening_with(older, fresh), _opening_with(fresh, older)):
            log.warning("%s has other %s bars of %s than before", self.name, timeframe.value, instrument.symbol)
            self._store.distrust(instrument, timeframe, self.name)


def _asked(stored: pa.Table, covered: list[Span], timeframe: Timeframe, window: Span) -> list[Span]:
    """The spans to ask for: what is not covered, each with the newest stored bars before it; spans of a page's distance are one."""
    opens = [moment.astimezone(UTC) for moment in stored.column("time").to_pylist()]
    spans = [(_revisable(opens, start), end) for start, end in missing(covered, *window)]
    if opens:
        spans.append((_revisable(opens, window[1]), window[1]))
    return joined(spans, within=NEAR_BARS * timeframe.duration)


def _revisable(opens: list[datetime], before: datetime) -> datetime:
    """Open of the third newest stored bar before `before`, or of the oldest; `before` itself when there is none."""
    return next(iter([moment for moment in opens if moment < before][-REVISED:]), before)


def _agree(stored: pa.Table, covered: list[Span], asked: list[Span], answers: list[pa.Table]) -> bool:
    """Whether every bar that was asked again is the stored one, and no other is where none was."""
    return all(
        _same(among(stored, [span]), among(answer, inside(covered, *span)))
        for span, answer in zip(asked, answers, strict=True)
    )


def _same(stored: pa.Table, fresh: pa.Table) -> bool:
    return bool(stored.schema.equals(fresh.schema) and stored.equals(fresh))


def _opening_with(table: pa.Table, other: pa.Table) -> pa.Table:
    """The rows of `table` that `other` has a bar for."""
    return table.filter(pc.is_in(table.column("time"), other.column("time").combine_chunks()))


def _assembled(stored: pa.Table, asked: list[Span], answers: list[pa.Table], window: Span) -> pa.Table:
    """Answers and the stored bars between them, in order of time."""
    parts: list[pa.Table] = []
    at = window[0]
    for (start, end), answer in zip(asked, answers, strict=True):
        parts += [among(stored, [(at, start)]), answer]
        at = end
    return pa.concat_tables([*parts, among(stored, [(at, window[1])])]).combine_chunks()
