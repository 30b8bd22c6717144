"""Where paper accounts live: one SQLite file, every look and every change one BEGIN IMMEDIATE transaction.

Several processes share the file, and one that is killed leaves the account as it was before or after, never between. The account
itself is one JSON row; what happened to it are numbered lines that are only ever added.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from ffe.errors import OutcomeUnknownError, VenueReadError
from ffe.venues.paper_models import HOME, Booked, LineKind, PaperAccount

BUSY_SECONDS = 30.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS line (account TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (account, number))",
    "CREATE INDEX IF NOT EXISTS line_by_key ON line (account, kind, key)",
)


@dataclass(frozen=True)
class Page:
    """The account as this transaction sees it, and the lines that were in the book before."""

    account: PaperAccount
    _name: str
    _connection: sqlite3.Connection

    def find(self, kind: LineKind, key: str) -> str | None:
        """Body of the newest line of this kind and key."""
        query = "SELECT body FROM line WHERE account = ? AND kind = ? AND key = ? ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query, (self._name, kind.value, key)).fetchone()
        stored = None if row is None else str(row[0])
        fresh = [line.body for line in self.account.new_lines if (line.kind, line.key) == (kind, key)]
        return fresh[-1] if fresh else stored

    def booked(self, after: int) -> list[Booked]:
        """What moved units or money after that number, oldest first, in this transaction too."""
        query = "SELECT body FROM line WHERE account = ? AND kind = ? AND number > ? ORDER BY number"
        rows = self._connection.execute(query, (self._name, LineKind.BOOKED.value, after)).fetchall()
        fresh = [line for line in self.account.new_lines if line.kind is LineKind.BOOKED and line.number > after]
        return [
            Booked.model_validate_json(body) for body in (*(row[0] for row in rows), *(line.body for line in fresh))
        ]


class PaperBook:
    """One account of the file. It is made with its opening deposit of `balance` when it is first looked at."""

    def __init__(self, file: Path, account: str, balance: Decimal) -> None:
        self.file, self.account, self._balance = file, account, balance

    @contextmanager
    def transaction(self, now: datetime) -> Iterator[Page]:
        """The account, locked; what the block does to it commits at the block's end, or not at all when it raises.

        Raises:
            VenueReadError: the file can't be read or written, or is locked for longer than BUSY_SECONDS; nothing was changed.
            OutcomeUnknownError: the commit itself failed.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(table)
            row = connection.execute("SELECT state FROM account WHERE name = ?", (self.account,)).fetchone()
            account = self._opened(now) if row is None else PaperAccount.model_validate_json(row[0])
            yield Page(account, self.account, connection)
            if row is None or account.model_dump_json() != row[0]:
                self._save(connection, account)
            _commit(connection)

    def _opened(self, now: datetime) -> PaperAccount:
        account = PaperAccount(book=f"paper-{uuid4().hex[:8]}")
        account.deposit(HOME, self._balance, now)
        return account

    def _save(self, connection: sqlite3.Connection, account: PaperAccount) -> None:
        connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?)", (self.account, account.model_dump_json()))
        rows = [(self.account, line.number, line.kind.value, line.key, line.body) for line in account.new_lines]
        connection.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own: closing it rolls back whatever was not committed."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise VenueReadError(f"the paper book {self.file.name} could not be used: {error}") from error


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise OutcomeUnknownError(f"the paper book could not be committed: {error}") from error
