"""What operation needs: runs of standing checks, usage of the APIs, and incidents that say where they were and how to repeat them.

Only adds columns and tables, so a ledger in use is upgraded in place and keeps every row.
"""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INCIDENT_TEXTS = ("name", "run_id", "flow_run_id", "batch_id", "reproduce")
_INCIDENT_DOCUMENTS = ("parameters", "holds")
# Before a row that a decision may quote is deleted, the database looks for that decision.
_QUOTED = ("batch_id", "quality_report_id", "model_call_id")


def upgrade() -> None:
    for name in _INCIDENT_TEXTS:
        op.add_column("incident", sa.Column(name, types.PlainText(), nullable=True))
    for name in _INCIDENT_DOCUMENTS:
        op.add_column("incident", sa.Column(name, types.OrderedJson(), nullable=True))
    op.create_table(
        "check_run",
        *(sa.Column(name, types.PlainText(), nullable=False) for name in ("id", "kind")),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("broken", sa.Integer(), nullable=False),
        sa.Column("document", types.OrderedJson(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_run")),
    )
    op.create_index(op.f("ix_check_run_kind_at"), "check_run", ["kind", "at"])
    op.create_table(
        "api_usage",
        sa.Column("source", types.PlainText(), nullable=False),
        sa.Column("hour", types.UtcDateTime(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("calls", "errors")),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("source", "hour", name=op.f("pk_api_usage")),
    )
    for name in _QUOTED:
        op.create_index(op.f(f"ix_decision_{name}"), "decision", [name])


def downgrade() -> None:
    for name in reversed(_QUOTED):
        op.drop_index(op.f(f"ix_decision_{name}"), "decision")
    for table in ("api_usage", "check_run"):
        op.drop_table(table)
    for name in reversed(_INCIDENT_TEXTS + _INCIDENT_DOCUMENTS):
        op.drop_column("incident", name)
