"""Verdicts on bars: freshness and the quality report. The checks themselves live in `expectations/`."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.market.models import Timeframe

# The gate before the suite, and the check on other sources: names that other rooms look for in a report.
FRESHNESS_SUITE = "freshness"
CROSS_CHECK = "cross-check"


class Severity(StrEnum):
    """critical stops the trade, warning goes into the prompt and the artifact, info into the log."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Finding(BaseModel):
    """One failed check. `message` names the rule and the numbers; `examples` holds up to five offending rows as text."""

    model_config = ConfigDict(frozen=True)

    check: str
    severity: Severity
    message: str
    column: str | None = None
    unexpected: int | None = None
    examples: tuple[str, ...] = ()


class Reference(BaseModel):
    """What another source says the bar that opened at `open` closed at: a second opinion for the cross-check."""

    model_config = ConfigDict(frozen=True)

    source: str
    open: datetime
    close: Decimal


class Freshness(BaseModel):
    """Age of the newest complete bar, counted from its close. `limit_seconds` None means no time limit (1d)."""

    model_config = ConfigDict(frozen=True)

    bar_close: datetime
    age_seconds: float
    limit_seconds: float | None
    fresh: bool
    message: str


class QualityReport(BaseModel):
    """Result of one suite over one batch. `passed` is true when no finding is critical; a check that could not run is critical.

    `freshness` is what the gate before the suite said; None where bars were checked for history and not for a decision.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    batch_id: str
    suite: str
    checks: int
    findings: tuple[Finding, ...]
    checked_at: datetime
    duration_ms: float
    freshness: Freshness | None = None

    @property
    def passed(self) -> bool:
        return not self.critical

    @property
    def critical(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.CRITICAL]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.WARNING]


class QualityPoint(BaseModel):
    """One report as a line of an instrument's history: `critical` and `warnings` are names of checks.

    `age_seconds` is the age of the newest bar when it was checked; None where bars were checked for history.
    """

    model_config = ConfigDict(frozen=True)

    report_id: str
    batch_id: str
    instrument: str
    timeframe: Timeframe
    source: str
    passed: bool
    critical: tuple[str, ...]
    warnings: tuple[str, ...]
    age_seconds: float | None
    checked_at: datetime
    duration_ms: float
