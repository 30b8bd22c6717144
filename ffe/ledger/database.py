"""Engines and sessions: SQLite in WAL mode by default, PostgreSQL by URL.

On SQLite a writing session opens with BEGIN IMMEDIATE, so that a check and the write it allows see one state; on PostgreSQL
the same is done with row locks (`rows.locked`). Python's own implicit transactions are switched off: they begin too late.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session

from ffe.errors import ConfigurationError, LedgerError

BUSY_SECONDS = 30
_PRAGMAS = (f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON", "synchronous=FULL")
# Changing to WAL does not wait for others by itself; two processes that open a new ledger at once do it by turns.
WAL_TRIES, WAL_PAUSE = 300, 0.1


def ledger_url(url: str) -> URL:
    """SQLAlchemy URL of `sqlite:///file` or `postgresql://...` (any driver name is replaced by psycopg).

    Raises:
        ConfigurationError: another database, not a URL, or SQLite in memory, which would forget every order.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "the ledger URL is not a database URL; use sqlite:///FILE or postgresql://..."
        ) from None
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"a ledger on {backend!r} is not supported; use sqlite:///FILE or postgresql://...")
    if parsed.database in {None, "", ":memory:"}:
        raise ConfigurationError("a ledger in memory would forget every order; use sqlite:///FILE")
    return parsed.set(drivername="sqlite")


def shown(url: str) -> str:
    """The URL as a person may see it, without its password."""
    return ledger_url(url).render_as_string(hide_password=True)


class Database:
    """One engine and its two kinds of session."""

    def __init__(self, url: str) -> None:
        self.url = ledger_url(url)
        self.engine = _sqlite(self.url) if self.url.get_backend_name() == "sqlite" else _postgresql(self.url)
        self._writing = self.engine.execution_options(ledger_writing=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose work commits at the end of the block, whole or not at all.

        Raises:
            LedgerError: the database refused it; the cause is chained.
        """
        with _named_errors(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session over one consistent state; what is changed in it is dropped."""
        with _named_errors(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        with _named_errors(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        raise LedgerError(f"the ledger refused: {error if cause is None else cause}") from error


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Accounts and orders are nobody else's to read. Where it can't be made, the first connection says why.
    if not path.exists():
        with suppress(OSError):
            path.touch(mode=0o600)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, record: Any) -> None:
    del record
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.OperationalError when somebody else keeps the file for 30 s."""
    for _ in range(WAL_TRIES - 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError:
            time.sleep(WAL_PAUSE)
    connection.execute("PRAGMA journal_mode=WAL").close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("ledger_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _postgresql(url: URL) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS * 1000}"
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10, "options": options})
