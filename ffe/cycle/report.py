"""What one cycle says of itself: the document that `ffe run --json` prints and the ledger keeps."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from ffe.decision.models import Decision
from ffe.market.models import Instrument, Timeframe
from ffe.market.quality import Finding, Freshness, QualityReport
from ffe.money import plain
from ffe.orders.models import Order
from ffe.risk.models import Sizing
from ffe.sources.models import BarBatch, Outcome

Money = Annotated[Decimal, PlainSerializer(plain, return_type=str, when_used="json")]


class QualitySummary(BaseModel):
    model_config = ConfigDict(frozen=True)

    passed: bool
    critical: tuple[str, ...]
    warnings: tuple[str, ...]


class OrderSummary(BaseModel):
    model_config = ConfigDict(frozen=True)

    client_order_id: str
    venue_order_id: str | None
    state: str
    side: str
    leg: str
    units: Money
    filled_units: Money
    average_price: Money | None
    fees: Money
    reason: str | None
    placed_by_this_cycle: bool


class ErrorSummary(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    incident: str


class InstrumentReport(BaseModel):
    """One row of the cycle. `bar_close` and what hangs on it are None when no bars were fetched."""

    model_config = ConfigDict(frozen=True)

    instrument: str
    venue: str
    bar_close: datetime | None = None
    source: str | None = None
    age_seconds: float | None = None
    limit_seconds: float | None = None
    quality: QualitySummary | None = None
    decision: dict[str, Any] | None = None
    sizing: dict[str, Any] | None = None
    order: OrderSummary | None = None
    error: ErrorSummary | None = None


class CycleReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    cycle_id: str
    mode: str
    timeframe: Timeframe
    started_at: datetime
    finished_at: datetime
    timings_ms: dict[str, float]
    instruments: tuple[InstrumentReport, ...]

    @property
    def failed(self) -> tuple[InstrumentReport, ...]:
        return tuple(row for row in self.instruments if row.error is not None)


_DECISION_FIELDS = (
    "id",
    "action",
    "confidence",
    "decided_by",
    "reason_code",
    "reasoning",
    "model",
    "model_digest",
    "prompt_sha256",
    "seed",
    "latency_ms",
    "confidence_parts",
    "votes",
)
_SIZING_FIELDS = ("units", "notional", "risk_amount", "stop_loss", "take_profit", "balance", "entry_price")


def decision_summary(decision: Decision) -> dict[str, Any]:
    return decision.model_dump(mode="json", include=set(_DECISION_FIELDS))


def sizing_summary(sizing: Sizing) -> dict[str, Any]:
    """Numbers as plain text without trailing zeros, and never with an exponent."""
    numbers = {name: _text(getattr(sizing, name)) for name in _SIZING_FIELDS}
    clamps = [
        {"name": clamp.name, "before": _text(clamp.before), "after": _text(clamp.after), "rule": clamp.rule}
        for clamp in sizing.clamps
    ]
    return numbers | {"method": sizing.method, "balance_source": sizing.balance_source, "clamps": clamps}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value.normalize())


def order_summary(order: Order, *, placed_now: bool) -> OrderSummary:
    """`placed_now` is false for the order of an earlier run of the same bar."""
    return OrderSummary(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        state=order.state.value,
        side=order.side.value,
        leg=order.leg.value,
        units=order.units,
        filled_units=order.filled_units,
        average_price=order.average_price,
        fees=order.fees,
        reason=order.reason,
        placed_by_this_cycle=placed_now,
    )


def quality_summary(
    report: QualityReport | None, freshness: Freshness | None, batch: BarBatch | None = None
) -> QualitySummary | None:
    """Both gates in one verdict, and which sources had failed before one answered. None when nothing was checked."""
    if freshness is None or report is None:
        return None
    failed = [] if batch is None else [answer for answer in batch.answers if answer.outcome is Outcome.FAILED]
    return QualitySummary(
        passed=report.passed and freshness.fresh,
        critical=tuple(_line(finding) for finding in report.critical),
        warnings=(
            *(_line(finding) for finding in report.warnings),
            *(f"failover: {answer.source}: {answer.message}" for answer in failed),
        ),
    )


def _line(finding: Finding) -> str:
    return f"{finding.check}: {finding.message}"


def blank_row(instrument: Instrument) -> InstrumentReport:
    return InstrumentReport(instrument=instrument.symbol, venue=instrument.venue)
