"""The feedback part of the schema: verdicts with their questions, grades, calibrations and evaluations of models."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index

from ffe.ledger.tables import LedgerRow, amount, document, moment, ordered_document, text


class VerdictRow(LedgerRow, table=True):
    """What was asked and what came of it, for a cycle that waits for it in another process and for a replay. Key order is kept."""

    __tablename__ = "verdict"

    cycle_id: str = text(primary_key=True, foreign_key="cycle.id")
    instrument: str = text(primary_key=True)
    bar_close: datetime = moment()
    context: dict[str, Any] = ordered_document()
    answer: dict[str, Any] | None = ordered_document()
    error: str | None = text()
    votes: list[Any] | None = ordered_document()
    ensemble: dict[str, Any] | None = ordered_document()
    recorded_at: datetime = moment(index=True)


class GradeRow(LedgerRow, table=True):
    """Columns are those of `ffe.feedback.models.Grade`."""

    __tablename__ = "grade"
    __table_args__ = (Index(None, "timeframe", "known_at"), Index(None, "model_digest", "known_at"))

    decision_id: str = text(primary_key=True, foreign_key="decision.id")
    instrument: str = text()
    timeframe: str = text()
    bar_close: datetime = moment()
    action: str = text()
    decided_by: str = text()
    opinion: str | None = text()
    model_digest: str | None = text()
    prompt_version: str | None = text()
    horizon_bars: int
    known_at: datetime = moment()
    entry_price: Decimal = amount()
    exit_price: Decimal = amount()
    exit: str = text()
    cost: float
    net_return: float
    long_return: float
    short_return: float
    paid: bool
    regret: float
    stated: float | None
    token: float | None
    odds: dict[str, float] | None = document()
    graded_at: datetime = moment()


class CalibrationRow(LedgerRow, table=True):
    """Columns are those of `ffe.feedback.models.Calibration`."""

    __tablename__ = "calibration"
    __table_args__ = (Index(None, "model_digest", "prompt_version", "known_until"),)

    id: str = text(primary_key=True)
    model_digest: str = text()
    prompt_version: str = text()
    source: str = text()
    method: str = text()
    parameters: dict[str, Any] = document()
    habit: dict[str, float] | None = document()
    grades: int
    known_until: datetime = moment()
    brier_before: float
    brier_after: float
    ece_before: float
    ece_after: float
    fitted_at: datetime = moment()


class ModelEvalRow(LedgerRow, table=True):
    """Columns are those of `ffe.feedback.models.ModelEval`."""

    __tablename__ = "model_eval"

    id: str = text(primary_key=True)
    model: str = text()
    model_digest: str = text(index=True)
    quantization: str | None = text()
    runtime: str = text()
    prompt_version: str = text()
    cases_sha256: str = text()
    metrics: dict[str, float] = document()
    report: str | None = text()
    evaluated_at: datetime = moment()
