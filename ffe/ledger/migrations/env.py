"""Alembic's entry: runs on the connection that `ffe.ledger.migrate` hands over, inside its transaction."""

from alembic import context

from ffe.ledger.migrate import VERSION_TABLE, include_name
from ffe.ledger.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    include_name=include_name,
    transactional_ddl=True,
    user_module_prefix="types.",
)
with context.begin_transaction():
    context.run_migrations()
