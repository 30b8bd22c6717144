"""The ledger's safe copies: taken while others trade, in one form for SQLite and PostgreSQL, and compared row by row when restored.

A backup is one read transaction: a WAL snapshot on SQLite, REPEATABLE READ on PostgreSQL. Every table is of the same moment, no writer
waits for it, and no program of the database's own version is needed. A schema older than this version's is backed up as it is, so that
a deployment can make its copy before it upgrades. The file is written aside, synced and renamed, and readable by its owner only.
"""

import hashlib
import importlib.metadata
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from ffe.clock import Clock, SystemClock
from ffe.errors import ConfigurationError, LedgerError, RefusedError
from ffe.ledger.backup_archive import bar_member, is_backup, table_member
from ffe.ledger.backup_format import (
    FORMAT,
    MANIFEST,
    Columns,
    Manifest,
    TableDigest,
    TableSummary,
    bare,
    encoded,
    kind_of,
)
from ffe.ledger.backup_restore import RestoreReport, restore, verify
from ffe.ledger.database import Database, ledger_url, shown
from ffe.ledger.migrate import is_known, revision
from ffe.ledger.schema import METADATA
from ffe.ledger.tables import BarBatchRow
from ffe.sources.files import disk_faults

__all__ = ["BackupReport", "RestoreReport", "backup", "restore", "verify"]

ROWS_AT_ONCE = 500
# https://www.sqlite.org/tempfiles.html
SQLITE_BESIDE = ("-wal", "-shm", "-journal")


class BackupReport(BaseModel):
    """`rows` by table. `bars` batch files are in the archive; `bars_missing` are on record and had no file of their sha256 any more."""

    model_config = ConfigDict(frozen=True)

    path: str
    taken_at: datetime
    revision: str
    rows: dict[str, int]
    bars: int
    bars_missing: int
    size: int
    seconds: float


def backup(
    database_url: str, target: Path, *, force: bool = False, bars_from: Path | None = None, clock: Clock | None = None
) -> BackupReport:
    """Writes the ledger at `database_url` to `target`. `bars_from` is the data folder whose batch files go with it; None: none.

    Raises:
        RefusedError: `target` is there and not `force`, is no backup, or is part of the ledger; or there is no ledger.
        ConfigurationError: the ledger's schema is of a newer version.
        LedgerError: the database refused.
        DataError: the disk refused.
    """
    began = time.monotonic()
    _refuse(database_url, target, force=force)
    with disk_faults(target, "written"), snapshot(database_url) as connection:
        found = revision(connection)
        if found is None:
            raise RefusedError(f"there is no ledger at {shown(database_url)}")
        if not is_known(connection, found):
            raise ConfigurationError(
                f"the ledger's schema {found} is of a newer version: back it up with the one that made it"
            )
        taken_at = (clock or SystemClock()).now()
        with _aside(target) as path:
            manifest, missing = _write(connection, path, found, taken_at, bars_from)
    return BackupReport(
        path=str(target),
        taken_at=taken_at,
        revision=found,
        rows={name: summary.rows for name, summary in manifest.tables.items()},
        bars=len(manifest.bars),
        bars_missing=missing,
        size=target.stat().st_size,
        seconds=time.monotonic() - began,
    )


def _refuse(database_url: str, target: Path, *, force: bool) -> None:
    """Nothing that a backup must not replace: not the ledger, not SQLite's own files beside it, not what is no backup."""
    url = ledger_url(database_url)
    if url.get_backend_name() == "sqlite":
        ledger = Path(str(url.database)).resolve()
        if target.resolve() in {ledger, *(ledger.with_name(f"{ledger.name}{each}") for each in SQLITE_BESIDE)}:
            raise RefusedError(f"{target} is part of the ledger itself")
    if target.exists() and not force:
        raise RefusedError(f"{target} is there already; --force replaces it")
    if target.exists() and not is_backup(target):
        raise RefusedError(f"{target} is no backup; --force replaces nothing else")


@contextmanager
def snapshot(database_url: str) -> Iterator[Connection]:
    """A connection that sees one committed state until it is closed, and changes nothing."""
    url = ledger_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise RefusedError(f"there is no ledger at {shown(database_url)}")
    database = Database(database_url)
    try:
        with database.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger could not be backed up: {getattr(error, 'orig', None) or error}") from error
    finally:
        database.close()


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A new file beside `target`, mode 0600, that takes its place when the block ends well and goes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    path = Path(name)
    try:
        yield path
        for place in (path, target.parent):
            _sync(place)
        path.replace(target)
        _sync(target.parent)
    finally:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(
    connection: Connection, path: Path, found: str, taken_at: datetime, bars_from: Path | None
) -> tuple[Manifest, int]:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        tables = {
            name: _write_table(connection, file, name, columns) for name, columns in columns_of(connection).items()
        }
        bars, missing = ([], 0) if bars_from is None else _write_bars(connection, file, bars_from)
        manifest = Manifest(
            format=FORMAT,
            version=importlib.metadata.version("finance-feedback-engine"),
            revision=found,
            taken_at=taken_at,
            tables=tables,
            bars=tuple(bars),
        )
        file.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    return manifest, missing


def columns_of(connection: Connection) -> dict[str, Columns]:
    """Tables of the ledger that the database has, parents first, with the columns that they have there and their kinds."""
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    return {
        known.name: {each["name"]: kind_of(known.c[each["name"]].type) for each in inspector.get_columns(known.name)}
        for known in METADATA.sorted_tables
        if known.name in there
    }


def _write_table(connection: Connection, file: zipfile.ZipFile, name: str, columns: Columns) -> TableSummary:
    digest = TableDigest(columns)
    query = select(bare(name, columns)).execution_options(yield_per=ROWS_AT_ONCE)
    with file.open(table_member(name), "w", force_zip64=True) as lines:
        for row in connection.execute(query):
            digest.add(row)
            lines.write(f"{encoded(columns, row)}\n".encode())
    return digest.summary()


def _write_bars(connection: Connection, file: zipfile.ZipFile, data_dir: Path) -> tuple[list[str], int]:
    """Ids of the batches whose file is there with their bytes, and how many have none."""
    table = METADATA.tables[str(BarBatchRow.__tablename__)]
    written, missing = [], 0
    for batch_id in connection.execute(select(table.c.id).order_by(table.c.id)).scalars().all():
        member = bar_member(batch_id)
        try:
            content = (data_dir / member).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != batch_id:
            missing += 1
            continue
        # Parquet is compressed already.
        file.writestr(member, content, zipfile.ZIP_STORED)
        written.append(batch_id)
    return written, missing
