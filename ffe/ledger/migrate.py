"""Brings a ledger to the newest schema.

The check alone costs one read: Alembic is imported only when there is something to do. Two processes that upgrade at once
queue up (BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL) and the second finds nothing left to do; the whole
upgrade is one transaction, so a killed one leaves the old schema.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from ffe.errors import ConfigurationError
from ffe.ledger.database import Database
from ffe.ledger.migrations import HEAD

if TYPE_CHECKING:
    from alembic.config import Config

# Any constant will do, as long as every version of the ledger uses the same one.
_ADVISORY_LOCK = 4_616_025
# Not `alembic_version`: a PostgreSQL database shared with Prefect holds that one already.
VERSION_TABLE = "ledger_version"


def upgrade(url: str) -> bool:
    """Upgrades the ledger at `url` to `HEAD`; False when it was there already."""
    database = Database(url)
    try:
        return upgrade_database(database)
    finally:
        database.close()


def upgrade_database(database: Database) -> bool:
    """Like `upgrade`, over an open database.

    Raises:
        ConfigurationError: the schema is of a newer version than this one knows.
        LedgerError: the database refused.
    """
    with database.engine.connect() as connection:
        if revision(connection) == HEAD:
            return False
    with database.writing_connection() as connection:
        queue_up(connection)
        if revision(connection) == HEAD:
            return False
        build(connection, "head")
        return True


def queue_up(connection: Connection) -> None:
    """One upgrade or restore at a time; held until the transaction ends. SQLite's writers queue up by themselves."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def is_known(connection: Connection, name: str) -> bool:
    """Whether this version's migrations know the revision; one that they don't know is of a newer version."""
    from alembic.script import ScriptDirectory

    return name in {script.revision for script in ScriptDirectory.from_config(config(connection)).walk_revisions()}


def revision(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def build(connection: Connection, target: str) -> None:
    """Brings the schema to the revision `target`. Raises ConfigurationError when there is no way from what is there."""
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(config(connection), target)
    except CommandError as error:
        raise ConfigurationError(f"the ledger's schema is unknown to this version: {error}") from error


def config(connection: Connection) -> "Config":
    """Alembic's configuration for `connection`; the scripts lie inside this package, installed or not."""
    from alembic.config import Config

    result = Config(attributes={"connection": connection})
    result.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    result.set_main_option("path_separator", "os")
    return result


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Only the ledger's own tables: a PostgreSQL database may be shared with others (Prefect's, for one)."""
    from ffe.ledger.schema import METADATA

    del parents
    return kind != "table" or name in METADATA.tables
