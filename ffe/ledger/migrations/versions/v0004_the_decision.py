"""What the decision needs: verdicts with their questions, token odds, votes, grades, calibrations and evaluations of models.

Only adds columns and tables, so a ledger in use is upgraded in place and keeps every row.
"""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DECISION = ("situation", "confidence_parts", "votes")
_CALL = ("chain", "content_sha256", "member", "tokens", "load_ms", "prompt_ms", "generation_ms")


def upgrade() -> None:
    op.add_column("decision", sa.Column("opinion", types.PlainText(), nullable=True))
    for name in _DECISION:
        op.add_column("decision", sa.Column(name, types.Json(), nullable=True))
    _widen_model_calls()
    _create_verdict()
    _create_grade()
    _create_calibration()
    _create_model_eval()


def _widen_model_calls() -> None:
    """Old calls have no digest of their content and no tokens: an empty one says so."""
    op.add_column("model_call", sa.Column("chain", types.PlainText(), nullable=True))
    op.add_column("model_call", sa.Column("content_sha256", types.PlainText(), nullable=False, server_default=""))
    op.add_column("model_call", sa.Column("member", types.PlainText(), nullable=False, server_default="model"))
    op.add_column("model_call", sa.Column("tokens", types.OrderedJson(), nullable=False, server_default="[]"))
    op.add_column("model_call", sa.Column("load_ms", sa.Float(), nullable=False, server_default="0"))
    op.add_column("model_call", sa.Column("prompt_ms", sa.Float(), nullable=True))
    op.add_column("model_call", sa.Column("generation_ms", sa.Float(), nullable=True))
    op.create_index(op.f("ix_model_call_content_sha256"), "model_call", ["content_sha256"])


def _create_verdict() -> None:
    op.create_table(
        "verdict",
        *_texts("cycle_id", "instrument"),
        _moment("bar_close"),
        sa.Column("context", types.OrderedJson(), nullable=False),
        sa.Column("answer", types.OrderedJson(), nullable=True),
        *_texts("error", nullable=True),
        sa.Column("votes", types.OrderedJson(), nullable=True),
        sa.Column("ensemble", types.OrderedJson(), nullable=True),
        _moment("recorded_at"),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycle.id"], name=op.f("fk_verdict_cycle_id_cycle")),
        sa.PrimaryKeyConstraint("cycle_id", "instrument", name=op.f("pk_verdict")),
    )
    op.create_index(op.f("ix_verdict_recorded_at"), "verdict", ["recorded_at"])


def _create_grade() -> None:
    op.create_table(
        "grade",
        *_texts("decision_id", "instrument", "timeframe", "action", "decided_by", "exit"),
        *_texts("opinion", "model_digest", "prompt_version", nullable=True),
        *(_moment(name) for name in ("bar_close", "known_at", "graded_at")),
        sa.Column("horizon_bars", sa.Integer(), nullable=False),
        *(sa.Column(name, types.ExactDecimal(), nullable=False) for name in ("entry_price", "exit_price")),
        *_floats("cost", "net_return", "long_return", "short_return", "regret"),
        sa.Column("paid", sa.Boolean(), nullable=False),
        *_floats("stated", "token", nullable=True),
        sa.Column("odds", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_grade_decision_id_decision")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_grade")),
    )
    op.create_index(op.f("ix_grade_timeframe_known_at"), "grade", ["timeframe", "known_at"])
    op.create_index(op.f("ix_grade_model_digest_known_at"), "grade", ["model_digest", "known_at"])


def _create_calibration() -> None:
    op.create_table(
        "calibration",
        *_texts("id", "model_digest", "prompt_version", "source", "method"),
        sa.Column("parameters", types.Json(), nullable=False),
        sa.Column("habit", types.Json(), nullable=True),
        sa.Column("grades", sa.Integer(), nullable=False),
        _moment("known_until"),
        *_floats("brier_before", "brier_after", "ece_before", "ece_after"),
        _moment("fitted_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibration")),
    )
    name = "ix_calibration_model_digest_prompt_version_known_until"
    op.create_index(op.f(name), "calibration", ["model_digest", "prompt_version", "known_until"])


def _create_model_eval() -> None:
    op.create_table(
        "model_eval",
        *_texts("id", "model", "model_digest", "runtime", "prompt_version", "cases_sha256"),
        *_texts("quantization", "report", nullable=True),
        sa.Column("metrics", types.Json(), nullable=False),
        _moment("evaluated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_eval")),
    )
    op.create_index(op.f("ix_model_eval_model_digest"), "model_eval", ["model_digest"])


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, types.PlainText(), nullable=nullable) for name in names]


def _floats(*names: str, nullable: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float(), nullable=nullable) for name in names]


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, types.UtcDateTime(), nullable=False)


def downgrade() -> None:
    for table in ("model_eval", "calibration", "grade", "verdict"):
        op.drop_table(table)
    op.drop_index(op.f("ix_model_call_content_sha256"), "model_call")
    for name in reversed(_CALL):
        op.drop_column("model_call", name)
    for name in reversed(_DECISION):
        op.drop_column("decision", name)
    op.drop_column("decision", "opinion")
