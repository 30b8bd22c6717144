"""The bars of one source, instrument and timeframe: a Parquet file a month, and the index of what they cover.

Every write holds the folder's lock and goes months first, index last, so that a crash in between leaves rows that are asked again and
never a span that is believed without its rows. A reader holds the lock shared, so that rows and index belong together.
Every fault of the disk is raised as DataError.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe.errors import DataError
from ffe.sources import coverage
from ffe.sources.coverage import Coverage, Written, month_path, months_of
from ffe.sources.files import disk_faults, holds, locked, parquet_bytes, read_parquet, replace, shared
from ffe.sources.models import BAR_SCHEMA, PRICE_BAR_SCHEMA, QUOTED_BAR_SCHEMA
from ffe.sources.spans import Span, inside, joined, outside

SCHEMAS = (BAR_SCHEMA, QUOTED_BAR_SCHEMA, PRICE_BAR_SCHEMA)


class Partition:
    """`folder` is made on the first write. Several threads and processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def upsert(self, table: pa.Table) -> None:
        """Merge bars into their months without covering anything; on the same open time the later call wins.

        Raises:
            DataError: a stored month can't be read or written, or has other columns than `table`.
        """
        with self._writing() as index:
            merged = {}
            for month in sorted(set(_months(table))):
                rows = table.filter(pa.array(_months(table) == month))
                stored = self._stored(index, month, rows.schema)
                merged[month] = rows if stored is None else pa.concat_tables([stored, rows])
            self._write(index, merged)

    def keep(self, table: pa.Table, span: Span) -> None:
        """From now on the bars of `span` are those of `table`, and `span` is covered. Bars outside it stay.

        A month that can't be read or has other columns is replaced; nothing else of it is covered then.

        Raises:
            DataError: a month or the index can't be written; `span` is covered no more than before.
        """
        with self._writing() as index:
            lost, merged = [], {}
            for month in months_of(span):
                rows = table.filter(pa.array(_months(table) == month))
                stored = self._usable(index, month, rows.schema)
                if stored is None:
                    lost.append(month)
                    merged[month] = rows
                else:
                    merged[month] = pa.concat_tables([stored.filter(pc.invert(_within(stored, *span))), rows])
            sound = index.without_months(lost)
            if lost:
                coverage.save(self.folder, sound)
            self._write(sound, merged, span)

    def forget(self, span: Span) -> None:
        """`span` is covered no longer. Raises DataError when the index can be neither written nor removed."""
        with self._writing() as index:
            self._uncover(Coverage(tuple(outside(index.spans, *span)), index.files))

    def forget_all(self) -> None:
        """Nothing is covered any longer. Raises DataError when the index can be neither written nor removed."""
        with self._writing() as index:
            self._uncover(Coverage((), index.files))

    def covered(self) -> list[Span]:
        """Raises DataError when the folder can't be read."""
        with self._reading() as index:
            return list(index.spans)

    def read(self, start: datetime, end: datetime) -> pa.Table:
        """Stored bars whose open lies in [start, end), covered or not, oldest first. Raises DataError naming a bad month."""
        with self._reading() as index:
            return self._read(index, start, end)

    def known(self, start: datetime, end: datetime) -> tuple[pa.Table, list[Span]]:
        """The covered spans of [start, end), and the bars in them. Raises DataError naming a bad month."""
        with self._reading() as index:
            spans = inside(index.spans, start, end)
            return among(self._read(index, start, end), spans), spans

    @contextmanager
    def _reading(self) -> Iterator[Coverage]:
        with disk_faults(self.folder, "read"), shared(self.folder):
            yield coverage.load(self.folder)

    @contextmanager
    def _writing(self) -> Iterator[Coverage]:
        with disk_faults(self.folder, "written"), locked(self.folder):
            yield coverage.load(self.folder)

    def _uncover(self, index: Coverage) -> None:
        """A full disk takes no smaller index; without any, nothing is covered."""
        try:
            coverage.save(self.folder, index)
        except OSError:
            (self.folder / coverage.INDEX_NAME).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        """Months that have a file, in order. `glob` would pass over a folder that may not be listed as if it were empty."""
        try:
            found = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(
            name.removeprefix("month=").removesuffix(".parquet") for name in found if fnmatch(name, "month=*.parquet")
        )

    def _read(self, index: Coverage, start: datetime, end: datetime) -> pa.Table:
        first, last = coverage.month_of(start), coverage.month_of(end)
        tables: list[pa.Table] = []
        for month in self._names():
            if first <= month <= last:
                tables.append(self._month(index, month, tables[0].schema if tables else None))
        if not tables:
            return BAR_SCHEMA.empty_table()
        stored = pa.concat_tables(tables)
        return stored.filter(_within(stored, start, end))

    def _month(self, index: Coverage, month: str, schema: pa.Schema | None) -> pa.Table:
        """The month's rows, of `schema` when it is given. Raises DataError when its file is not what was written."""
        path = month_path(self.folder, month)
        with disk_faults(path, "read"):
            content = path.read_bytes()
        written = index.files.get(month)
        if written is not None and Written.of(content) != written:
            raise DataError(f"{path} has sha256 {Written.of(content).sha256}, expected {written.sha256}")
        stored = read_parquet(content, str(path))
        if stored.schema not in ((schema,) if schema is not None else SCHEMAS):
            raise DataError(f"{path} holds columns {stored.schema.names}, not {(schema or BAR_SCHEMA).names}")
        return stored

    def _stored(self, index: Coverage, month: str, schema: pa.Schema) -> pa.Table | None:
        """The month's rows of `schema`, None when it has no file. Raises DataError when they can't be had so."""
        if not month_path(self.folder, month).exists():
            return None
        return self._month(index, month, schema.remove_metadata())

    def _usable(self, index: Coverage, month: str, schema: pa.Schema) -> pa.Table | None:
        try:
            return self._stored(index, month, schema)
        except DataError:
            return None

    def _write(self, index: Coverage, months: dict[str, pa.Table], covers: Span | None = None) -> None:
        files = dict(index.files)
        for month, rows in months.items():
            content, path = parquet_bytes(_ascending(rows)), month_path(self.folder, month)
            if not holds(path, content):
                replace(path, content)
            files[month] = Written.of(content)
        spans = index.spans if covers is None else joined([*index.spans, covers])
        coverage.save(self.folder, Coverage(tuple(spans), files))


def among(table: pa.Table, spans: Iterable[Span]) -> pa.Table:
    """The rows whose open lies in one of `spans`."""
    mask: npt.NDArray[np.bool_] = np.zeros(table.num_rows, dtype=np.bool_)
    for start, end in spans:
        mask |= _within(table, start, end).to_numpy()
    return table.filter(pa.array(mask))


def _within(table: pa.Table, start: datetime, end: datetime) -> pa.ChunkedArray:
    opens = table.column("time")
    return pc.and_(pc.greater_equal(opens, pa.scalar(start)), pc.less(opens, pa.scalar(end)))


def _months(table: pa.Table) -> npt.NDArray[np.str_]:
    return np.asarray(table.column("time").to_numpy().astype("datetime64[M]").astype(str))


def _ascending(rows: pa.Table) -> pa.Table:
    """One row per open time, ascending; of equal times the last one stays."""
    opens = rows.column("time").to_numpy()
    order = np.argsort(opens, kind="stable")
    newest = np.append(np.diff(opens[order]) != np.timedelta64(0), True)[: order.size]
    return rows.take(pa.array(order[newest]))
