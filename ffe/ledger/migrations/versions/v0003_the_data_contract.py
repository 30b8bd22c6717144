"""What the data contract needs: what each source said of a batch, how fresh it was, and the health of the sources.

Only adds columns and tables, so a ledger in use is upgraded in place and keeps every row.
"""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEWEST_BARS = "ix_bar_batch_instrument_timeframe_last_open"
_MOMENTS = ("next_request", "last_success", "last_error")


def upgrade() -> None:
    op.add_column("bar_batch", sa.Column("answers", types.Json(), nullable=True))
    op.add_column("quality_report", sa.Column("freshness", types.Json(), nullable=True))
    op.add_column("decision", sa.Column("pulse_batches", types.Json(), nullable=True))
    op.create_index(op.f("ix_quality_report_checked_at"), "quality_report", ["checked_at"])
    op.create_index(op.f(_NEWEST_BARS), "bar_batch", ["instrument", "timeframe", "last_open"])
    _create_source_tables()


def _create_source_tables() -> None:
    op.create_table(
        "source_health",
        *_key("feed", "source"),
        sa.Column("failures", sa.Integer(), nullable=False),
        *(sa.Column(name, types.UtcDateTime(), nullable=True) for name in ("until", "trial_until", "stopped_until")),
        sa.Column("stopped_why", types.PlainText(), nullable=True),
        *(sa.Column(f"{name}_at", types.UtcDateTime(), nullable=True) for name in _MOMENTS),
        sa.Column("last_error", types.PlainText(), nullable=True),
        sa.PrimaryKeyConstraint("feed", "source", name=op.f("pk_source_health")),
    )
    op.create_table(
        "source_usage",
        *_key("feed", "source", "day"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("requests", "answered", "failed", "skipped")),
        sa.PrimaryKeyConstraint("feed", "source", "day", name=op.f("pk_source_usage")),
    )
    op.create_table(
        "source_refusal",
        *_key("feed", "source", "what"),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("why", types.PlainText(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "source", "what", name=op.f("pk_source_refusal")),
    )
    op.create_table(
        "cross_check",
        *_key("feed", "source", "instrument"),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "source", "instrument", name=op.f("pk_cross_check")),
    )


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, types.PlainText(), nullable=False) for name in names]


def downgrade() -> None:
    for table in ("cross_check", "source_refusal", "source_usage", "source_health"):
        op.drop_table(table)
    op.drop_index(op.f(_NEWEST_BARS), table_name="bar_batch")
    op.drop_index(op.f("ix_quality_report_checked_at"), table_name="quality_report")
    op.drop_column("decision", "pulse_batches")
    op.drop_column("quality_report", "freshness")
    op.drop_column("bar_batch", "answers")
