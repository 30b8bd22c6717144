"""What the order path needs: kill switch, reconciliation, protection and the verdicts of the risk rules.

Only adds columns and tables, so a ledger in use is upgraded in place and keeps every row.
"""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# Who stopped or resumed trading, when and why, is evidence like the events of an order.
_APPEND_ONLY_SQLITE = (
    "CREATE TRIGGER kill_switch_no_update BEFORE UPDATE ON kill_switch "
    "BEGIN SELECT RAISE(ABORT, 'kill_switch is append-only'); END",
    "CREATE TRIGGER kill_switch_no_delete BEFORE DELETE ON kill_switch "
    "BEGIN SELECT RAISE(ABORT, 'kill_switch is append-only'); END",
)
_APPEND_ONLY_POSTGRESQL = (
    "CREATE FUNCTION kill_switch_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'kill_switch is append-only'; END $$",
    "CREATE TRIGGER kill_switch_append_only BEFORE UPDATE OR DELETE ON kill_switch "
    "FOR EACH ROW EXECUTE FUNCTION kill_switch_append_only()",
)


def upgrade() -> None:
    op.add_column("orders", sa.Column("trailing_distance", types.ExactDecimal(), nullable=True))
    op.add_column("orders", sa.Column("dead_protection", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("orders", sa.Column("watched", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("sizing", sa.Column("verdicts", types.Json(), nullable=True))
    op.add_column("instrument_spec", sa.Column("min_trailing_distance", types.ExactDecimal(), nullable=True))
    op.create_table(
        "kill_switch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", types.PlainText(), nullable=False),
        sa.Column("reason", types.PlainText(), nullable=False),
        sa.Column("by", types.PlainText(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kill_switch")),
    )
    op.create_table(
        "cursor",
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("checkpoint", types.PlainText(), nullable=False),
        sa.Column("totals", types.Json(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "account", name=op.f("pk_cursor")),
    )
    op.create_table(
        "adjustment",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("units", types.ExactDecimal(), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=True),
        sa.Column("cause", types.PlainText(), nullable=False),
        sa.Column("time", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjustment")),
    )
    op.create_index(op.f("ix_adjustment_venue_account_instrument"), "adjustment", ["venue", "account", "instrument"])
    op.create_table(
        "cash_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("venue_id", types.PlainText(), nullable=False),
        sa.Column("cause", types.PlainText(), nullable=False),
        sa.Column("currency", types.PlainText(), nullable=False),
        sa.Column("amount", types.ExactDecimal(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=True),
        sa.Column("time", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_event")),
        sa.UniqueConstraint("venue", "account", "venue_id", name=op.f("uq_cash_event_venue_account_venue_id")),
    )
    op.create_table(
        "difference",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=True),
        sa.Column("kind", types.PlainText(), nullable=False),
        sa.Column("key", types.PlainText(), nullable=False),
        sa.Column("message", types.PlainText(), nullable=False),
        sa.Column("venue_says", types.PlainText(), nullable=False),
        sa.Column("ledger_says", types.PlainText(), nullable=False),
        sa.Column("found_at", types.UtcDateTime(), nullable=False),
        sa.Column("settled_at", types.UtcDateTime(), nullable=True),
        sa.Column("settled_how", types.PlainText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_difference")),
    )
    op.create_index(op.f("ix_difference_found_at"), "difference", ["found_at"])
    op.create_index(op.f("ix_difference_venue_account_settled_at"), "difference", ["venue", "account", "settled_at"])
    op.create_table(
        "equity_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("currency", types.PlainText(), nullable=False),
        sa.Column("equity", types.ExactDecimal(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_equity_mark")),
    )
    op.create_index(op.f("ix_equity_mark_venue_account_epoch_at"), "equity_mark", ["venue", "account", "epoch", "at"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _APPEND_ONLY_POSTGRESQL if postgresql else _APPEND_ONLY_SQLITE:
        op.execute(statement)


def downgrade() -> None:
    for table in ("equity_mark", "difference", "cash_event", "adjustment", "cursor", "kill_switch"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION kill_switch_append_only()")
    op.drop_column("instrument_spec", "min_trailing_distance")
    op.drop_column("sizing", "verdicts")
    for column in ("watched", "dead_protection", "trailing_distance"):
        op.drop_column("orders", column)
