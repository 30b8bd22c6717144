"""Verdicts on bars: freshness and the quality report. The checks themselves live in `expectations/`."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


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


class QualityReport(BaseModel):
    """Result of one suite over one batch. `passed` is true when no finding is critical; a check that could not run is critical."""

    model_config = ConfigDict(frozen=True)

    id: str
    batch_id: str
    suite: str
    checks: int
    findings: tuple[Finding, ...]
    checked_at: datetime
    duration_ms: float

    @property
    def passed(self) -> bool:
        return not self.critical

    @property
    def critical(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.CRITICAL]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.WARNING]


class Freshness(BaseModel):
    """Age of the newest complete bar, counted from its close. `limit_seconds` None means no time limit (1d)."""

    model_config = ConfigDict(frozen=True)

    bar_close: datetime
    age_seconds: float
    limit_seconds: float | None
    fresh: bool
    message: str
