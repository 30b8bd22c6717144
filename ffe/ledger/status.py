"""What a ledger is, read without changing it: schema, rows of each table, bytes."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select, text

from ffe.errors import RefusedError
from ffe.ledger.backup import columns_of, snapshot
from ffe.ledger.backup_format import bare
from ffe.ledger.database import shown
from ffe.ledger.migrate import is_known, revision
from ffe.ledger.migrations import HEAD


class LedgerStatus(BaseModel):
    """`newest` tells whether this version's migrations end at `revision`; `size` is in bytes, of the ledger's own tables on PostgreSQL."""

    model_config = ConfigDict(frozen=True)

    url: str
    revision: str
    newest: bool
    known: bool
    size: int
    rows: dict[str, int]


def status(database_url: str) -> LedgerStatus:
    """Raises RefusedError when there is no ledger, LedgerError when the database refused."""
    with snapshot(database_url) as connection:
        found = revision(connection)
        if found is None:
            raise RefusedError(f"there is no ledger at {shown(database_url)}")
        tables = columns_of(connection)
        return LedgerStatus(
            url=shown(database_url),
            revision=found,
            newest=found == HEAD,
            known=is_known(connection, found),
            size=_size(connection, list(tables)),
            rows={
                name: connection.execute(select(func.count()).select_from(bare(name, {}))).scalar_one()
                for name in tables
            },
        )


def _size(connection: Connection, names: list[str]) -> int:
    if connection.dialect.name == "postgresql":
        query = text(
            "SELECT coalesce(sum(pg_total_relation_size(format('%I', n)::regclass)), 0) FROM unnest(CAST(:names AS text[])) n"
        )
        return int(connection.execute(query, {"names": names}).scalar_one())
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return int(pages) * int(size)
