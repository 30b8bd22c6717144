"""Shadow mode: what other strategies say at a bar's close beside the one that trades.

Only adds a table, so a ledger in use is upgraded in place and keeps every row.
"""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_decision",
        *(sa.Column(name, types.PlainText(), nullable=False) for name in ("cycle_id", "instrument", "strategy")),
        sa.Column("timeframe", types.PlainText(), nullable=False),
        sa.Column("bar_close", types.UtcDateTime(), nullable=False),
        sa.Column("params", types.OrderedJson(), nullable=False),
        sa.Column("action", types.PlainText(), nullable=True),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("error", types.PlainText(), nullable=True),
        sa.Column("batch_id", types.PlainText(), nullable=False),
        *(sa.Column(name, types.ExactDecimal(), nullable=True) for name in ("bid", "ask")),
        sa.Column("decided_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycle.id"], name=op.f("fk_shadow_decision_cycle_id_cycle")),
        sa.PrimaryKeyConstraint("cycle_id", "instrument", "strategy", name=op.f("pk_shadow_decision")),
    )
    op.create_index(op.f("ix_shadow_decision_bar_close"), "shadow_decision", ["bar_close"])


def downgrade() -> None:
    op.drop_index(op.f("ix_shadow_decision_bar_close"), "shadow_decision")
    op.drop_table("shadow_decision")
