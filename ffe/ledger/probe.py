"""Whether the ledger takes a write: one small row, always the same one, written for real. A rolled back write would reach no disk."""

from datetime import datetime

from ffe.ledger.database import Database
from ffe.ledger.migrate import revision
from ffe.ledger.operations_tables import CheckRunRow

KIND = "write-probe"


def write_probe(database: Database, at: datetime) -> None:
    """Raises LedgerError when the database refuses the write: read only, disk full, locked by somebody else."""
    with database.write() as session:
        session.merge(CheckRunRow(id=KIND, kind=KIND, at=at, passed=True, document={}))


def schema_revision(database: Database) -> str | None:
    """The schema's revision, as `ffe.ledger.migrations.HEAD` names them; None for an empty database. Raises LedgerError."""
    with database.read() as session:
        return revision(session.connection())
