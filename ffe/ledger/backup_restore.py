"""A backup into an empty ledger, or with `force` in place of one: whole or not at all, compared with the archive before it is committed.

The schema is built as it was when the backup was taken, filled, compared, and then brought up to date: one transaction. Orders that were
placed after the backup are unknown to it, so a restored ledger does not trade: its kill switch stands at `halt` until a person has
reconciled, which finds those orders at the venue, and typed `ffe resume`. What was reserved and on its way stays as it was.
"""

import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from ffe.clock import Clock, SystemClock, rfc3339
from ffe.errors import ConfigurationError, LedgerError, RefusedError
from ffe.ledger.backup_archive import Archive, bar_member
from ffe.ledger.backup_format import Manifest, TableDigest, bare
from ffe.ledger.database import Database, shown
from ffe.ledger.migrate import VERSION_TABLE, build, is_known, queue_up, revision
from ffe.ledger.migrations import HEAD
from ffe.ledger.reconciling import UNREAD
from ffe.ledger.schema import METADATA
from ffe.orders.switch import SwitchState
from ffe.sources.files import disk_faults, holds, replace

ROWS_AT_ONCE = 500
# Not `person`: only a person resumes, and epochs of drawdown count a person's resumes.
BY = "restore"


class RestoreReport(BaseModel):
    """`rows` by table, as they were backed up. `revision` is the backup's schema, `upgraded_to` the ledger's now; `switch` says why it is halted."""

    model_config = ConfigDict(frozen=True)

    source: str
    taken_at: datetime
    revision: str
    upgraded_to: str
    rows: dict[str, int]
    bars: int
    switch: str
    seconds: float


def restore(
    source: Path, database_url: str, *, force: bool = False, bars_to: Path | None = None, clock: Clock | None = None
) -> RestoreReport:
    """Fills the ledger at `database_url` from `source`; batch files in it go under the data folder `bars_to`, None: they stay out.

    Raises:
        RefusedError: the archive is not what was written, or the ledger holds rows and not `force`.
        ConfigurationError: archive or ledger has a schema of a newer version.
        LedgerError: the database refused, or what it holds is not what the archive has; nothing is changed then.
        DataError: the disk refused the batch files.
    """
    began = time.monotonic()
    with Archive.open(source) as archive:
        archive.check()
        bars = 0 if bars_to is None else _write_bars(archive, bars_to)
        database = Database(database_url)
        try:
            with database.writing_connection() as connection:
                reason = _replace(connection, archive, force=force, at=(clock or SystemClock()).now())
        except RefusedError as error:
            raise RefusedError(f"{error} ({shown(database_url)})") from error
        finally:
            database.close()
    manifest = archive.manifest
    return RestoreReport(
        source=str(source),
        taken_at=manifest.taken_at,
        revision=manifest.revision,
        upgraded_to=HEAD,
        rows={name: summary.rows for name, summary in manifest.tables.items()},
        bars=bars,
        switch=reason,
        seconds=time.monotonic() - began,
    )


def verify(source: Path) -> RestoreReport:
    """Restores into a SQLite ledger and a data folder that are thrown away. Raises what `restore` raises."""
    with tempfile.TemporaryDirectory(prefix="ffe-verify-") as folder:
        return restore(source, f"sqlite:///{folder}/ledger.sqlite", bars_to=Path(folder))


def _replace(connection: Connection, archive: Archive, *, force: bool, at: datetime) -> str:
    queue_up(connection)
    _refuse(connection, archive.manifest, force=force)
    _drop(connection)
    build(connection, archive.manifest.revision)
    _fill(connection, archive)
    _compare(connection, archive.manifest)
    _continue_ids(connection, archive.manifest)
    build(connection, HEAD)
    return _halt(connection, archive.manifest.taken_at, at)


def _refuse(connection: Connection, manifest: Manifest, *, force: bool) -> None:
    if not is_known(connection, manifest.revision):
        raise ConfigurationError(f"the backup's schema {manifest.revision} is of a newer version than this one")
    found = revision(connection)
    if found is not None and not is_known(connection, found):
        raise ConfigurationError(f"the ledger's schema {found} is of a newer version: nothing is restored into it")
    there = set(inspect(connection).get_table_names())
    for name in sorted(there & METADATA.tables.keys()):
        rows = connection.execute(select(func.count()).select_from(bare(name, {}))).scalar_one()
        if rows and not force:
            raise RefusedError(f"the ledger is not empty: {name} has {rows} rows; --force replaces all of it")


def _drop(connection: Connection) -> None:
    """The ledger's tables and what watches over them, and nothing else that may live in the same database."""
    functions: Iterable[str] = ()
    if connection.dialect.name == "postgresql":
        query = text(
            "SELECT DISTINCT p.oid::regprocedure::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid) AND c.relname = ANY(:names)"
        )
        functions = connection.execute(query, {"names": sorted(METADATA.tables)}).scalars().all()
    METADATA.drop_all(connection)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {VERSION_TABLE}")
    for signature in functions:
        connection.exec_driver_sql(f"DROP FUNCTION {signature}")


def _fill(connection: Connection, archive: Archive) -> None:
    """Parents before children: foreign keys hold at every row."""
    there = set(inspect(connection).get_table_names()) & METADATA.tables.keys()
    lost = sorted(there - archive.manifest.tables.keys())
    if lost:
        raise RefusedError(f"{archive.path}: table {lost[0]} is missing from the backup")
    for known in METADATA.sorted_tables:
        if known.name in archive.manifest.tables:
            _fill_table(connection, archive, known.name)


def _fill_table(connection: Connection, archive: Archive, name: str) -> None:
    columns = archive.manifest.tables[name].columns
    rows, insert = archive.rows(name), bare(name, columns).insert()
    try:
        while some := [dict(zip(columns, row, strict=True)) for row in islice(rows, ROWS_AT_ONCE)]:
            connection.execute(insert, some)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise LedgerError(f"table {name} of the backup does not fit its schema: {cause}") from error


def _compare(connection: Connection, manifest: Manifest) -> None:
    for name, said in manifest.tables.items():
        query = select(bare(name, said.columns)).execution_options(yield_per=ROWS_AT_ONCE)
        found = TableDigest(said.columns).add_all(connection.execute(query)).summary()
        if found != said:
            raise LedgerError(
                f"table {name} came out otherwise: {found.rows} rows with sha256 {found.sha256}, "
                f"backed up were {said.rows} with {said.sha256}; nothing was restored"
            )


def _continue_ids(connection: Connection, manifest: Manifest) -> None:
    """SQLite counts on from the highest id by itself; a sequence of PostgreSQL has to be told."""
    if connection.dialect.name != "postgresql":
        return
    for name, summary in manifest.tables.items():
        if summary.columns.get("id") == "int":
            highest = connection.execute(select(func.max(bare(name, summary.columns).c.id))).scalar()
            sequence = func.pg_get_serial_sequence(name, "id")
            connection.execute(select(func.setval(sequence, highest or 1, highest is not None)))


def _halt(connection: Connection, taken_at: datetime, at: datetime) -> str:
    """Appends to the switch's history; what stood before is named, so that whoever resumes knows it. No account counts as read since."""
    table = METADATA.tables["kill_switch"]
    last = connection.execute(select(table.c.state, table.c.reason).order_by(table.c.id.desc()).limit(1)).first()
    before = "" if last is None or last.state == SwitchState.NORMAL else f"; it stood at {last.state}: {last.reason}"
    reason = f"restored from backup of {rfc3339(taken_at)}: reconcile, then resume{before}"
    connection.execute(table.insert().values(state=SwitchState.HALT.value, reason=reason, by=BY, at=at))
    connection.execute(METADATA.tables["cursor"].update().values(at=UNREAD))
    return reason


def _write_bars(archive: Archive, data_dir: Path) -> int:
    """Content decides the name, so a file that is there already is the same one or a damaged one, which is replaced."""
    with disk_faults(data_dir, "written"):
        for batch_id in archive.manifest.bars:
            path, content = data_dir / bar_member(batch_id), archive.bars(batch_id)
            if not holds(path, content):
                replace(path, content)
    return len(archive.manifest.bars)
