"""A backup's file, opened for reading: its manifest, its rows, and whether all of it is what was written."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from ffe.errors import RefusedError
from ffe.ledger.backup_format import FORMAT, KINDS, MANIFEST, Manifest, TableDigest, decoded
from ffe.ledger.schema import METADATA

# RecursionError: JSON that is nested deeper than Python reads.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, NotImplementedError, RecursionError)


def table_member(name: str) -> str:
    return f"tables/{name}.jsonl"


def bar_member(batch_id: str) -> str:
    """Under the data folder, where the bar store keeps the file of this id."""
    return f"bars/batches/{batch_id[:2]}/{batch_id}.parquet"


def is_backup(path: Path) -> bool:
    """Whether it is a file that was written as a backup, of whatever format. What is cut off is none."""
    try:
        with zipfile.ZipFile(path) as file:
            return MANIFEST in file.namelist()
    except (OSError, *_DAMAGE):
        return False


class Archive:
    """Open one with `Archive.open`."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path, self._file = path, file
        self.manifest = self._manifest()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Raises RefusedError: no such file, not a backup, cut off, or one of a later format; or, in the block, rows nested too deeply."""
        try:
            file = zipfile.ZipFile(path)
        except (OSError, *_DAMAGE) as error:
            raise RefusedError(f"{path} is no whole backup: {error}") from error
        with file:
            try:
                yield cls(path, file)
            except RecursionError as error:
                # What JSON can still be read may be too deep for what sorts, writes or compares it.
                raise RefusedError(f"{path} is no whole backup: it is nested too deeply") from error

    def _manifest(self) -> Manifest:
        try:
            document = json.loads(self._file.read(MANIFEST))
            if document.get("format") != FORMAT:
                raise RefusedError(f"{self.path} has format {document.get('format')}, this version reads {FORMAT}")
            manifest = Manifest.model_validate(document)
        except (ValidationError, AttributeError, *_DAMAGE) as error:
            raise RefusedError(f"{self.path} is no backup: its {MANIFEST} can't be read: {error}") from error
        for name, summary in manifest.tables.items():
            if name not in METADATA.tables or not set(summary.columns.values()) <= set(KINDS):
                raise RefusedError(f"{self.path}: table {name} is not one that this version knows")
        return manifest

    def check(self) -> None:
        """Raises RefusedError that names the first table, or batch of bars, that is not what the manifest says."""
        for name, said in self.manifest.tables.items():
            digest = TableDigest(said.columns).add_all(self.rows(name))
            found = digest.summary()
            if found != said:
                raise self._altered(
                    f"table {name}",
                    f"{found.rows} rows with sha256 {found.sha256}, backed up were {said.rows} with {said.sha256}",
                )
        for batch_id in self.manifest.bars:
            self.bars(batch_id)

    def rows(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a table, in the order of its columns. Raises RefusedError that names the table when one can't be read."""
        columns = self.manifest.tables[name].columns
        try:
            with self._file.open(table_member(name)) as lines:
                for line in lines:
                    yield decoded(columns, line.decode())
        except _DAMAGE as error:
            raise self._altered(f"table {name}", str(error)) from error

    def bars(self, batch_id: str) -> bytes:
        """The file of a batch. Raises RefusedError when its sha256 is not its id."""
        try:
            content = self._file.read(bar_member(batch_id))
        except _DAMAGE as error:
            raise self._altered(f"bar batch {batch_id}", str(error)) from error
        found = hashlib.sha256(content).hexdigest()
        if found != batch_id:
            raise self._altered(f"bar batch {batch_id}", f"its sha256 is {found}")
        return content

    def _altered(self, what: str, why: str) -> RefusedError:
        return RefusedError(f"{self.path}: {what} is not what was backed up: {why}")
