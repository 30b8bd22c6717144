"""The plant's PostgreSQL, for ledger and Prefect alike: stopped and started, locked, and its sessions counted from within."""

import contextlib
import time
from collections.abc import Iterator

import psycopg
from servers import PostgreSQL, postgresql

LEDGER, PREFECT = "ledger", "prefect"
# What libpq tells the server of every process with PGAPPNAME in its environment; whoever watches has none.
PLANT = "ffe-plant"


class Database:
    """One server with a database for the ledger and one for Prefect."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        for name in (LEDGER, PREFECT):
            server.database(name)
        self.ledger_url = server.url(LEDGER, driver="+psycopg")
        self.prefect_url = server.url(PREFECT, driver="+asyncpg")

    def connections(self) -> int:
        """Open sessions of the plant's processes on the ledger's database, whatever they are doing."""
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = %s"
            (found,) = connection.execute(query, [LEDGER, PLANT]).fetchall()
        return int(found[0])

    def away_for(self, seconds: float) -> None:
        """Stopped, which ends every session, and started again after `seconds`."""
        self._server.stop()
        time.sleep(seconds)
        self._server.start()

    @contextlib.contextmanager
    def locked(self, *tables: str) -> Iterator[None]:
        """Nobody else reads or writes these tables of the ledger meanwhile."""
        with psycopg.connect(self._server.url(LEDGER)) as connection:
            names = ", ".join(f'"{table}"' for table in tables)
            connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
            yield


@contextlib.contextmanager
def started_database() -> Iterator[Database]:
    with postgresql() as server:
        yield Database(server)
