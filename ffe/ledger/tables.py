"""The evidence half of the schema: cycles, specs, bars, quality, model calls, decisions and sizings.

Columns mirror the records of the same name in `ffe/**/models.py`, so that a record goes in by `model_dump` and comes out by
`model_validate`. Orders and money are in `order_tables`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, MetaData, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from ffe.ledger.types import ExactDecimal, Json, OrderedJson, PlainText, UtcDateTime

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class LedgerRow(SQLModel, registry=registry(metadata=METADATA)):
    """Base of every row: its own metadata, so that no other SQLModel in the process lands in the ledger."""


def text(**options: Any) -> Any:
    return Field(sa_type=PlainText, **options)


def amount(**options: Any) -> Any:
    return Field(sa_type=ExactDecimal, **options)


def moment(**options: Any) -> Any:
    return Field(sa_type=UtcDateTime, **options)


def document(**options: Any) -> Any:
    return Field(sa_type=Json, **options)


def ordered_document(**options: Any) -> Any:
    return Field(sa_type=OrderedJson, **options)


class CycleRow(LedgerRow, table=True):
    __tablename__ = "cycle"

    id: str = text(primary_key=True)
    mode: str = text()
    timeframe: str = text()
    started_at: datetime = moment(index=True)
    finished_at: datetime | None = moment(default=None)
    summary: dict[str, Any] | None = document(default=None)


class InstrumentSpecRow(LedgerRow, table=True):
    __tablename__ = "instrument_spec"
    __table_args__ = (UniqueConstraint("venue", "instrument", "fetched_at"),)

    id: int | None = Field(default=None, primary_key=True)
    instrument: str = text()
    venue: str = text()
    price_increment: Decimal = amount()
    size_increment: Decimal = amount()
    min_size: Decimal = amount()
    max_size: Decimal | None = amount()
    min_notional: Decimal | None = amount()
    max_notional: Decimal | None = amount()
    margin_rate: Decimal | None = amount()
    taker_fee_rate: Decimal = amount()
    pip: Decimal = amount()
    tradeable: bool
    status: str = text()
    fetched_at: datetime = moment()
    min_trailing_distance: Decimal | None = amount(default=None)


class BarBatchRow(LedgerRow, table=True):
    """`id` is the sha256 of the Parquet file at `path`."""

    __tablename__ = "bar_batch"
    __table_args__ = (Index(None, "instrument", "timeframe", "last_open"),)

    id: str = text(primary_key=True)
    instrument: str = text()
    timeframe: str = text()
    source: str = text()
    path: str = text()
    rows: int
    first_open: datetime = moment()
    last_open: datetime = moment()
    fetched_at: datetime = moment()
    answers: list[Any] | None = document(default=None)


class QualityReportRow(LedgerRow, table=True):
    __tablename__ = "quality_report"

    id: str = text(primary_key=True)
    batch_id: str = text(foreign_key="bar_batch.id", index=True)
    suite: str = text()
    checks: int
    passed: bool
    findings: list[Any] = document()
    checked_at: datetime = moment(index=True)
    duration_ms: float
    freshness: dict[str, Any] | None = document(default=None)


class ModelCallRow(LedgerRow, table=True):
    """Key order of messages, schema and sampling is kept: they are what a replay sends again."""

    __tablename__ = "model_call"

    id: str = text(primary_key=True)
    cycle_id: str = text(foreign_key="cycle.id", index=True)
    instrument: str = text()
    bar_close: datetime = moment(index=True)
    attempt: int
    prompt_version: str = text()
    prompt_sha256: str = text()
    messages: list[Any] = ordered_document()
    answer_schema: dict[str, Any] = ordered_document()
    sampling: dict[str, Any] = ordered_document()
    identity: dict[str, Any] | None = ordered_document()
    model_digest: str | None = text()
    raw_text: str | None = text()
    finish_reason: str | None = text()
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    started_at: datetime = moment()
    error: str | None = text()
    chain: str | None = text(default=None)
    content_sha256: str = text(default="", index=True)
    member: str = text(default="model")
    tokens: list[Any] = ordered_document(default_factory=list)
    load_ms: float = 0.0
    prompt_ms: float | None = None
    generation_ms: float | None = None


class DecisionRow(LedgerRow, table=True):
    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("cycle_id", "instrument"),)

    id: str = text(primary_key=True)
    cycle_id: str = text(foreign_key="cycle.id")
    instrument: str = text()
    timeframe: str = text()
    bar_close: datetime | None = moment()
    action: str = text()
    confidence: int
    decided_by: str = text()
    reason_code: str = text()
    reasoning: str = text()
    batch_id: str | None = text(foreign_key="bar_batch.id", index=True)
    quality_report_id: str | None = text(foreign_key="quality_report.id", index=True)
    model_call_id: str | None = text(foreign_key="model_call.id", index=True)
    model: str | None = text()
    model_digest: str | None = text()
    prompt_sha256: str | None = text()
    seed: int | None
    latency_ms: float | None
    decided_at: datetime = moment(index=True)
    pulse_batches: dict[str, str] | None = document(default=None)
    opinion: str | None = text(default=None)
    situation: dict[str, float] | None = document(default=None)
    confidence_parts: dict[str, Any] | None = document(default=None)
    votes: list[Any] | None = document(default=None)


class SizingRow(LedgerRow, table=True):
    """The arithmetic behind an order, or why a decision became none."""

    __tablename__ = "sizing"

    decision_id: str = text(primary_key=True, foreign_key="decision.id")
    arithmetic: dict[str, Any] | None = document()
    denial_code: str | None = text()
    denial_reason: str | None = text()
    verdicts: list[Any] | None = document(default=None)
