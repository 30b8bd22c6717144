"""Everything the simulated venues remember: tables of immutable rows in memory, each change committed to SQLite before its reply leaves.

Rows are never edited in place, so undoing a failed request is putting the old rows back. One transaction per request: a process killed at
any moment has either the whole effect of a request or none of it. A file lock keeps a second simulator away from the same folder.
"""

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from simulator.codec import decode, encode

T = TypeVar("T")
LOCK_WAIT_SECONDS = 120.0


class FolderBusyError(Exception):
    """Another simulator kept the state folder for the whole wait."""


class Table(Generic[T]):
    """Rows by text key, in the order in which they were first put."""

    def __init__(self, name: str, kind: type[T], rows: dict[str, T]) -> None:
        self.name, self.kind, self._rows = name, kind, rows
        self._before: dict[str, T | None] = {}

    def get(self, key: str) -> T | None:
        return self._rows.get(key)

    def __getitem__(self, key: str) -> T:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def values(self) -> list[T]:
        return list(self._rows.values())

    def items(self) -> list[tuple[str, T]]:
        return list(self._rows.items())

    def put(self, key: str, row: T) -> T:
        self._before.setdefault(key, self._rows.get(key))
        self._rows[key] = row
        return row

    def changed(self) -> list[tuple[str, T]]:
        return [(key, self._rows[key]) for key in self._before]

    def keep(self) -> None:
        self._before.clear()

    def undo(self) -> None:
        for key, row in self._before.items():
            if row is None:
                del self._rows[key]
            else:
                self._rows[key] = row
        self._before.clear()


class State:
    """The tables of one folder. `close` must be called to give the folder to the next simulator."""

    def __init__(self, folder: Path, wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_folder(folder, wait_seconds)
        self._db = sqlite3.connect(folder / "venue.sqlite", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives a killed process; only a power cut may lose the newest commits, and this is a simulator.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, tab TEXT, id TEXT, body TEXT, UNIQUE (tab, id))"
        )
        self._tables: dict[str, Table[Any]] = {}

    def table(self, name: str, kind: type[T]) -> Table[T]:
        """The table `name`, read from disk the first time."""
        if name not in self._tables:
            rows = self._db.execute("SELECT id, body FROM row WHERE tab = ? ORDER BY seq", (name,))
            self._tables[name] = Table(name, kind, {key: decode(kind, body) for key, body in rows})
        table: Table[T] = self._tables[name]
        return table

    def tables(self) -> dict[str, Table[Any]]:
        return dict(self._tables)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All puts inside reach the disk together, or, when the block raises, none happened."""
        try:
            yield
            self._commit()
        except BaseException:
            for table in self._tables.values():
                table.undo()
            raise

    @property
    def changed(self) -> bool:
        return any(table.changed() for table in self._tables.values())

    def _commit(self) -> None:
        changes = [(table.name, key, encode(row)) for table in self._tables.values() for key, row in table.changed()]
        if not changes:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT INTO row (tab, id, body) VALUES (?, ?, ?) ON CONFLICT (tab, id) DO UPDATE SET body = excluded.body",
                changes,
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        for table in self._tables.values():
            table.keep()

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)


def _lock_folder(
    folder: Path,
    wait_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline, told = clock() + wait_seconds, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock() >= deadline:
                os.close(handle)
                raise FolderBusyError(f"another simulator has held {folder} for {wait_seconds:g} s") from None
            if not told:
                sys.stderr.write(f"waiting up to {wait_seconds:g} s for another simulator to leave {folder}\n")
                told = True
            sleep(0.1)
        else:
            return handle
