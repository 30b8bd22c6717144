"""The first schema."""

import sqlalchemy as sa
from alembic import op

from ffe.ledger import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# The history of an order is evidence: no version of this program, and no hand, edits it.
_APPEND_ONLY_SQLITE = (
    "CREATE TRIGGER order_event_no_update BEFORE UPDATE ON order_event "
    "BEGIN SELECT RAISE(ABORT, 'order_event is append-only'); END",
    "CREATE TRIGGER order_event_no_delete BEFORE DELETE ON order_event "
    "BEGIN SELECT RAISE(ABORT, 'order_event is append-only'); END",
)
_APPEND_ONLY_POSTGRESQL = (
    "CREATE FUNCTION order_event_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'order_event is append-only'; END $$",
    "CREATE TRIGGER order_event_append_only BEFORE UPDATE OR DELETE ON order_event "
    "FOR EACH ROW EXECUTE FUNCTION order_event_append_only()",
)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "account", name=op.f("pk_account")),
    )
    op.create_table(
        "bar_batch",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("timeframe", types.PlainText(), nullable=False),
        sa.Column("source", types.PlainText(), nullable=False),
        sa.Column("path", types.PlainText(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("first_open", types.UtcDateTime(), nullable=False),
        sa.Column("last_open", types.UtcDateTime(), nullable=False),
        sa.Column("fetched_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar_batch")),
    )
    op.create_table(
        "cycle",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("mode", types.PlainText(), nullable=False),
        sa.Column("timeframe", types.PlainText(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.Column("summary", types.Json(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle")),
    )
    op.create_index(op.f("ix_cycle_started_at"), "cycle", ["started_at"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("fingerprint", types.PlainText(), nullable=False),
        sa.Column("type", types.PlainText(), nullable=False),
        sa.Column("message", types.PlainText(), nullable=False),
        sa.Column("traceback", types.PlainText(), nullable=False),
        sa.Column("cycle_id", types.PlainText(), nullable=True),
        sa.Column("instrument", types.PlainText(), nullable=True),
        sa.Column("order_id", types.PlainText(), nullable=True),
        sa.Column("request", types.PlainText(), nullable=True),
        sa.Column("response", types.PlainText(), nullable=True),
        sa.Column("attempts", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_at", types.UtcDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index(op.f("ix_incident_created_at"), "incident", ["created_at"], unique=False)
    op.create_index(op.f("ix_incident_cycle_id"), "incident", ["cycle_id"], unique=False)
    op.create_index(op.f("ix_incident_fingerprint_created_at"), "incident", ["fingerprint", "created_at"], unique=False)
    op.create_table(
        "instrument_spec",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("price_increment", types.ExactDecimal(), nullable=False),
        sa.Column("size_increment", types.ExactDecimal(), nullable=False),
        sa.Column("min_size", types.ExactDecimal(), nullable=False),
        sa.Column("max_size", types.ExactDecimal(), nullable=True),
        sa.Column("min_notional", types.ExactDecimal(), nullable=True),
        sa.Column("max_notional", types.ExactDecimal(), nullable=True),
        sa.Column("margin_rate", types.ExactDecimal(), nullable=True),
        sa.Column("taker_fee_rate", types.ExactDecimal(), nullable=False),
        sa.Column("pip", types.ExactDecimal(), nullable=False),
        sa.Column("tradeable", sa.Boolean(), nullable=False),
        sa.Column("status", types.PlainText(), nullable=False),
        sa.Column("fetched_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument_spec")),
        sa.UniqueConstraint(
            "venue", "instrument", "fetched_at", name=op.f("uq_instrument_spec_venue_instrument_fetched_at")
        ),
    )
    op.create_table(
        "position",
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("units", types.ExactDecimal(), nullable=False),
        sa.Column("average_price", types.ExactDecimal(), nullable=True),
        sa.Column("realised", types.ExactDecimal(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "account", "instrument", name=op.f("pk_position")),
    )
    op.create_table(
        "model_call",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("cycle_id", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("bar_close", types.UtcDateTime(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("prompt_version", types.PlainText(), nullable=False),
        sa.Column("prompt_sha256", types.PlainText(), nullable=False),
        sa.Column("messages", types.OrderedJson(), nullable=False),
        sa.Column("answer_schema", types.OrderedJson(), nullable=False),
        sa.Column("sampling", types.OrderedJson(), nullable=False),
        sa.Column("identity", types.OrderedJson(), nullable=True),
        sa.Column("model_digest", types.PlainText(), nullable=True),
        sa.Column("raw_text", types.PlainText(), nullable=True),
        sa.Column("finish_reason", types.PlainText(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("error", types.PlainText(), nullable=True),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycle.id"], name=op.f("fk_model_call_cycle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_call")),
    )
    op.create_index(op.f("ix_model_call_bar_close"), "model_call", ["bar_close"], unique=False)
    op.create_index(op.f("ix_model_call_cycle_id"), "model_call", ["cycle_id"], unique=False)
    op.create_table(
        "quality_report",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("batch_id", types.PlainText(), nullable=False),
        sa.Column("suite", types.PlainText(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("findings", types.Json(), nullable=False),
        sa.Column("checked_at", types.UtcDateTime(), nullable=False),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["bar_batch.id"], name=op.f("fk_quality_report_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality_report")),
    )
    op.create_index(op.f("ix_quality_report_batch_id"), "quality_report", ["batch_id"], unique=False)
    op.create_table(
        "decision",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("cycle_id", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("timeframe", types.PlainText(), nullable=False),
        sa.Column("bar_close", types.UtcDateTime(), nullable=True),
        sa.Column("action", types.PlainText(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("decided_by", types.PlainText(), nullable=False),
        sa.Column("reason_code", types.PlainText(), nullable=False),
        sa.Column("reasoning", types.PlainText(), nullable=False),
        sa.Column("batch_id", types.PlainText(), nullable=True),
        sa.Column("quality_report_id", types.PlainText(), nullable=True),
        sa.Column("model_call_id", types.PlainText(), nullable=True),
        sa.Column("model", types.PlainText(), nullable=True),
        sa.Column("model_digest", types.PlainText(), nullable=True),
        sa.Column("prompt_sha256", types.PlainText(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("decided_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["bar_batch.id"], name=op.f("fk_decision_batch_id")),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycle.id"], name=op.f("fk_decision_cycle_id")),
        sa.ForeignKeyConstraint(["model_call_id"], ["model_call.id"], name=op.f("fk_decision_model_call_id")),
        sa.ForeignKeyConstraint(
            ["quality_report_id"], ["quality_report.id"], name=op.f("fk_decision_quality_report_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("cycle_id", "instrument", name=op.f("uq_decision_cycle_id_instrument")),
    )
    op.create_index(op.f("ix_decision_decided_at"), "decision", ["decided_at"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", types.PlainText(), nullable=False),
        sa.Column("client_order_id", types.PlainText(), nullable=False),
        sa.Column("decision_id", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("timeframe", types.PlainText(), nullable=False),
        sa.Column("bar_close", types.UtcDateTime(), nullable=False),
        sa.Column("leg", types.PlainText(), nullable=False),
        sa.Column("side", types.PlainText(), nullable=False),
        sa.Column("units", types.ExactDecimal(), nullable=False),
        sa.Column("reference_price", types.ExactDecimal(), nullable=False),
        sa.Column("price_bound", types.ExactDecimal(), nullable=True),
        sa.Column("stop_loss", types.ExactDecimal(), nullable=True),
        sa.Column("take_profit", types.ExactDecimal(), nullable=True),
        sa.Column("reserve_currency", types.PlainText(), nullable=False),
        sa.Column("reserve_amount", types.ExactDecimal(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("cancel_first", types.Json(), nullable=False),
        sa.Column("state", types.PlainText(), nullable=False),
        sa.Column("reason", types.PlainText(), nullable=True),
        sa.Column("venue_order_id", types.PlainText(), nullable=True),
        sa.Column("checkpoint", types.PlainText(), nullable=True),
        sa.Column("filled_units", types.ExactDecimal(), nullable=False),
        sa.Column("average_price", types.ExactDecimal(), nullable=True),
        sa.Column("fees", types.ExactDecimal(), nullable=False),
        sa.Column("protection_ids", types.Json(), nullable=False),
        sa.Column("submitted_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_orders_decision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "account",
            "instrument",
            "timeframe",
            "bar_close",
            "leg",
            name=op.f("uq_orders_account_instrument_timeframe_bar_close_leg"),
        ),
        sa.UniqueConstraint("client_order_id", name=op.f("uq_orders_client_order_id")),
    )
    op.create_index(op.f("ix_orders_created_at"), "orders", ["created_at"], unique=False)
    op.create_index(op.f("ix_orders_decision_id"), "orders", ["decision_id"], unique=False)
    op.create_index(op.f("ix_orders_venue_account_state"), "orders", ["venue", "account", "state"], unique=False)
    op.create_table(
        "sizing",
        sa.Column("decision_id", types.PlainText(), nullable=False),
        sa.Column("arithmetic", types.Json(), nullable=True),
        sa.Column("denial_code", types.PlainText(), nullable=True),
        sa.Column("denial_reason", types.PlainText(), nullable=True),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_sizing_decision_id")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_sizing")),
    )
    op.create_table(
        "fill",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("instrument", types.PlainText(), nullable=False),
        sa.Column("side", types.PlainText(), nullable=False),
        sa.Column("venue_fill_id", types.PlainText(), nullable=False),
        sa.Column("units", types.ExactDecimal(), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=False),
        sa.Column("fee", types.ExactDecimal(), nullable=False),
        sa.Column("fee_currency", types.PlainText(), nullable=False),
        sa.Column("time", types.UtcDateTime(), nullable=False),
        sa.Column("booked_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_fill_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fill")),
        sa.UniqueConstraint("venue", "account", "venue_fill_id", name=op.f("uq_fill_venue_account_venue_fill_id")),
    )
    op.create_index(op.f("ix_fill_order_id"), "fill", ["order_id"], unique=False)
    op.create_table(
        "order_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", types.PlainText(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("from_state", types.PlainText(), nullable=True),
        sa.Column("to_state", types.PlainText(), nullable=False),
        sa.Column("reason", types.PlainText(), nullable=True),
        sa.Column("detail", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_event_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_event")),
    )
    op.create_index(op.f("ix_order_event_order_id"), "order_event", ["order_id"], unique=False)
    op.create_table(
        "reservation",
        sa.Column("order_id", types.PlainText(), nullable=False),
        sa.Column("venue", types.PlainText(), nullable=False),
        sa.Column("account", types.PlainText(), nullable=False),
        sa.Column("currency", types.PlainText(), nullable=False),
        sa.Column("amount", types.ExactDecimal(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("released_at", types.UtcDateTime(), nullable=True),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_reservation_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_reservation")),
    )
    op.create_index(
        op.f("ix_reservation_venue_account_currency_released_at"),
        "reservation",
        ["venue", "account", "currency", "released_at"],
        unique=False,
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _APPEND_ONLY_POSTGRESQL if postgresql else _APPEND_ONLY_SQLITE:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("ix_reservation_venue_account_currency_released_at"), table_name="reservation")
    op.drop_table("reservation")
    op.drop_index(op.f("ix_order_event_order_id"), table_name="order_event")
    op.drop_table("order_event")
    op.drop_index(op.f("ix_fill_order_id"), table_name="fill")
    op.drop_table("fill")
    op.drop_table("sizing")
    op.drop_index(op.f("ix_orders_venue_account_state"), table_name="orders")
    op.drop_index(op.f("ix_orders_decision_id"), table_name="orders")
    op.drop_index(op.f("ix_orders_created_at"), table_name="orders")
    op.drop_table("orders")
    op.drop_index(op.f("ix_decision_decided_at"), table_name="decision")
    op.drop_table("decision")
    op.drop_index(op.f("ix_quality_report_batch_id"), table_name="quality_report")
    op.drop_table("quality_report")
    op.drop_index(op.f("ix_model_call_cycle_id"), table_name="model_call")
    op.drop_index(op.f("ix_model_call_bar_close"), table_name="model_call")
    op.drop_table("model_call")
    op.drop_table("position")
    op.drop_table("instrument_spec")
    op.drop_index(op.f("ix_incident_fingerprint_created_at"), table_name="incident")
    op.drop_index(op.f("ix_incident_cycle_id"), table_name="incident")
    op.drop_index(op.f("ix_incident_created_at"), table_name="incident")
    op.drop_table("incident")
    op.drop_index(op.f("ix_cycle_started_at"), table_name="cycle")
    op.drop_table("cycle")
    op.drop_table("bar_batch")
    op.drop_table("account")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION order_event_append_only()")
