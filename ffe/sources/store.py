"""Bars on disk: monthly Parquet partitions that grow, and content-addressed batches that never change.

The partitions are a cache of what the venues said; the batch is the evidence of what one decision saw. A batch file is named by the
sha256 of its own bytes, so its id is checked again at every load. Both are written beside the target, synced and renamed: a reader
sees the old file or the new one. Two processes may write the same partition: an advisory lock makes the merge one at a time.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ffe.errors import DataError
from ffe.market.models import Instrument, Timeframe
from ffe.sources.models import BAR_SCHEMA, BarBatch


class BarStore:
    """`root` is `<data_dir>/bars`; it is made on the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def upsert(self, instrument: Instrument, timeframe: Timeframe, source: str, table: pa.Table) -> None:
        """Merge bars into their months. The same bars again change nothing; on the same open time the later call wins.

        Raises:
            DataError: the stored month has other columns than `table`.
        """
        folder = self._partition(instrument, timeframe, source)
        for month in sorted(set(_months(table))):
            rows = table.filter(pa.array(_months(table) == month))
            path = folder / f"month={month}.parquet"
            with _locked(folder):
                _replace(path, _parquet(_merge(path, rows)))

    def read(
        self, instrument: Instrument, timeframe: Timeframe, source: str, start: datetime, end: datetime
    ) -> pa.Table:
        """Stored bars whose open lies in [start, end), oldest first; an empty `BAR_SCHEMA` table when there are none."""
        months = f"month={start.astimezone(UTC):%Y-%m}.parquet", f"month={end.astimezone(UTC):%Y-%m}.parquet"
        files = sorted(self._partition(instrument, timeframe, source).glob("month=*.parquet"))
        tables = [_read(path.read_bytes()) for path in files if months[0] <= path.name <= months[1]]
        if not tables:
            return BAR_SCHEMA.empty_table()
        stored = pa.concat_tables(tables)
        opens = stored.column("time")
        inside = pc.and_(pc.greater_equal(opens, pa.scalar(start)), pc.less(opens, pa.scalar(end)))
        return stored.filter(inside)

    def write_batch(
        self, instrument: Instrument, timeframe: Timeframe, source: str, table: pa.Table, fetched_at: datetime
    ) -> BarBatch:
        """Store exactly these bars under the sha256 of their Parquet bytes. Equal bars of one source give one file and one id.

        Raises:
            DataError: `table` has no rows.
        """
        if table.num_rows == 0:
            raise DataError(f"{source} has no {timeframe.value} bars of {instrument.symbol} to store")
        content = _parquet(table, {"instrument": instrument.symbol, "timeframe": timeframe.value, "source": source})
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.root / "batches" / sha256[:2] / f"{sha256}.parquet"
        if not path.exists() or path.read_bytes() != content:
            _replace(path, content)
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
        return _read(content)

    def _partition(self, instrument: Instrument, timeframe: Timeframe, source: str) -> Path:
        return self.root / f"source={source}" / f"instrument={instrument.symbol}" / f"timeframe={timeframe.value}"


def _months(table: pa.Table) -> Any:
    return table.column("time").to_numpy().astype("datetime64[M]").astype(str)


def _merge(path: Path, rows: pa.Table) -> pa.Table:
    """Stored rows and new ones, one row per open time, ascending; of equal times the last one stays."""
    merged = rows
    if path.exists():
        stored = _read(path.read_bytes())
        if stored.schema.names != rows.schema.names:
            raise DataError(f"{path.name} holds columns {stored.schema.names}, not {rows.schema.names}")
        merged = pa.concat_tables([stored, rows.cast(stored.schema)])
    opens = merged.column("time").to_numpy()
    order = np.argsort(opens, kind="stable")
    newest = np.append(np.diff(opens[order]) != np.timedelta64(0), True)
    return merged.take(pa.array(order[newest]))


def _parquet(table: pa.Table, about: dict[str, str] | None = None) -> bytes:
    """Parquet bytes that depend on rows, columns and `about` alone, not on chunking or inherited metadata."""
    plain = table.combine_chunks().replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    pq.write_table(plain, sink, compression="zstd", store_schema=True)
    return bytes(sink.getvalue())


def _read(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content)).replace_schema_metadata(None)


def _replace(path: Path, content: bytes) -> None:
    """Write, sync and rename, so that a crash leaves the old file or the new one and never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time in `folder`, across processes; the lock ends with its holder, also when that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
