"""Bars on disk: monthly Parquet partitions that grow, and content-addressed batches that never change.

The partitions are a cache of what the venues said: only bars that passed the suite are kept there (`keep`), together with the span
that they cover. The batch is the evidence of what one decision saw: its file is named by the sha256 of its own bytes, so its id is
checked again at every load. Bars of sim, paper, practice and live never mix: `feed` is the first folder. A cache that the disk will
not take costs requests and no cycle: `keep`, `forget` and `distrust` say so in the log and go on.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.errors import DataError
from ffe.market.calendar import Calendar
from ffe.market.models import Instrument, Timeframe
from ffe.sources import spans
from ffe.sources.files import holds, parquet_bytes, read_parquet, replace
from ffe.sources.models import BarBatch, SourceAnswer
from ffe.sources.partition import Partition
from ffe.sources.spans import Span

log = logging.getLogger(__name__)


class Gap(NamedTuple):
    """Bars that should be there and are not: opens of the first and the last of them, and how many."""

    first: datetime
    last: datetime
    bars: int


class BarStore:
    """`root` is `<data_dir>/bars`; it is made on the first write. `feed` is the mode whose bars these are."""

    def __init__(self, root: Path, feed: str = "sim") -> None:
        self.root, self.feed = root, feed

    def upsert(self, instrument: Instrument, timeframe: Timeframe, source: str, table: pa.Table) -> None:
        """Merge bars into their months. The same bars again change nothing; on the same open time the later call wins.

        Nothing becomes covered by this: a fetch asks for these bars again. `keep` is the way for bars that passed.

        Raises:
            DataError: a stored month has other columns than `table`, or can't be read or written; the message names the file.
        """
        self._partition(instrument, timeframe, source).upsert(table)

    def keep(self, batch: BarBatch, table: pa.Table) -> bool:
        """Store the bars of a batch that passed, and mark [first_open, bar_close) covered. Again, it changes nothing.

        Inside that span `table` is the whole truth: a bar that the venue has withdrawn since goes. A month file that can't be read
        is replaced; where that can't be done either, the store keeps what it had, the log says so, and the
        answer is False.
        """
        with _only_a_cache(batch.source, batch.instrument, batch.timeframe):
            self._of(batch).keep(table, (batch.first_open, batch.bar_close))
            return True
        return False

    def forget(self, batch: BarBatch) -> None:
        """Drop the coverage of [first_open, bar_close) of a batch that failed, so that the next fetch takes it all fresh."""
        with _only_a_cache(batch.source, batch.instrument, batch.timeframe):
            self._of(batch).forget((batch.first_open, batch.bar_close))

    def distrust(self, instrument: Instrument, timeframe: Timeframe, source: str) -> None:
        """Drop all coverage of a partition: another feed answers under this name now."""
        with _only_a_cache(source, instrument, timeframe):
            self._partition(instrument, timeframe, source).forget_all()

    def covered(self, instrument: Instrument, timeframe: Timeframe, source: str) -> list[Span]:
        """Spans that were asked, answered and passed, oldest first. Spans that touch are one.

        Raises:
            DataError: the partition can't be read; the message names the file.
        """
        return self._partition(instrument, timeframe, source).covered()

    def missing(
        self, instrument: Instrument, timeframe: Timeframe, source: str, start: datetime, end: datetime
    ) -> list[Span]:
        """The parts of [start, end) that are not covered, oldest first. Raises what `covered` raises."""
        return spans.missing(self.covered(instrument, timeframe, source), start, end)

    def known(
        self, instrument: Instrument, timeframe: Timeframe, source: str, start: datetime, end: datetime
    ) -> tuple[pa.Table, list[Span]]:
        """The covered bars of [start, end), oldest first, and the spans they cover: one moment's view of both.

        Raises:
            DataError: a month file can't be read; the message names it.
        """
        return self._partition(instrument, timeframe, source).known(start, end)

    def gaps(self, instrument: Instrument, timeframe: Timeframe, source: str, calendar: Calendar) -> list[Gap]:
        """Runs of bars that the calendar expects in covered time and that are not stored, oldest first.

        Raises:
            DataError: a month file can't be read; the message names it.
        """
        found: list[Gap] = []
        partition = self._partition(instrument, timeframe, source)
        for start, end in partition.covered():
            expected = calendar.expected_opens(timeframe, start, end)
            stored = partition.known(start, end)[0].column("time").to_numpy().astype(expected.dtype)
            found += _runs(expected, np.isin(expected, stored, invert=True))
        return found

    def read(
        self, instrument: Instrument, timeframe: Timeframe, source: str, start: datetime, end: datetime
    ) -> pa.Table:
        """Stored bars whose open lies in [start, end), oldest first; an empty `BAR_SCHEMA` table when there are none.

        Raises:
            DataError: a month file can't be read; the message names it.
        """
        return self._partition(instrument, timeframe, source).read(start, end)

    def write_batch(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        source: str,
        table: pa.Table,
        fetched_at: datetime,
        *,
        answers: tuple[SourceAnswer, ...] = (),
    ) -> BarBatch:
        """Store exactly these bars under the sha256 of their Parquet bytes. Equal bars of one source give one file and one id.

        `answers` go with the record and not into the file: who else was asked does not change what the bars are.

        Raises:
            DataError: `table` has no rows.
        """
        if table.num_rows == 0:
            raise DataError(f"{source} has no {timeframe.value} bars of {instrument.symbol} to store")
        about = {"instrument": instrument.symbol, "timeframe": timeframe.value, "source": source}
        content = parquet_bytes(table, about)
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.root / "batches" / sha256[:2] / f"{sha256}.parquet"
        if not holds(path, content):
            replace(path, content)
        opens = table.column("time")
        return BarBatch(
            id=sha256,
            instrument=instrument,
            timeframe=timeframe,
            source=source,
            path=path.relative_to(self.root.parent).as_posix(),
            rows=table.num_rows,
            first_open=pc.min(opens).as_py().astimezone(UTC),
            last_open=pc.max(opens).as_py().astimezone(UTC),
            fetched_at=fetched_at,
            answers=answers,
        )

    def load(self, batch: BarBatch) -> pa.Table:
        """The bars of `batch`.

        Raises:
            DataError: the file is gone, or its sha256 is not the batch's id; the message carries both.
        """
        path = self.root.parent / batch.path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"bar batch {batch.id} cannot be read from {batch.path}: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != batch.id:
            raise DataError(f"bar batch {batch.path} has sha256 {found}, expected {batch.id}")
        return read_parquet(content, batch.path)

    def _of(self, batch: BarBatch) -> Partition:
        return self._partition(batch.instrument, batch.timeframe, batch.source)

    def _partition(self, instrument: Instrument, timeframe: Timeframe, source: str) -> Partition:
        names = f"feed={self.feed}", f"source={source}", f"instrument={instrument.symbol}"
        return Partition(self.root.joinpath(*names, f"timeframe={timeframe.value}"))


@contextmanager
def _only_a_cache(source: str, instrument: Instrument, timeframe: Timeframe) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        log.warning(
            "the cache of %s bars of %s by %s stays as it was: %s", timeframe.value, instrument.symbol, source, error
        )


def _runs(opens: np.ndarray, absent: np.ndarray) -> list[Gap]:
    """One `Gap` for each unbroken run of absent bars."""
    edges = np.flatnonzero(np.diff(absent.astype(np.int8), prepend=0, append=0))
    return [
        Gap(_moment(opens[first]), _moment(opens[end - 1]), int(end - first))
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _moment(open_time: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(open_time.astype("datetime64[s]").astype(np.int64)), UTC)
