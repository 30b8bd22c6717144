"""The bar sources' part of the schema: health, usage by day, what a service refused, and when a second opinion was last asked for."""

from datetime import datetime

from ffe.ledger.tables import LedgerRow, moment, text


class SourceHealthRow(LedgerRow, table=True):
    """Columns are those of `ffe.sources.health.Health`. The row is also the lock behind which one source is admitted."""

    __tablename__ = "source_health"

    feed: str = text(primary_key=True)
    source: str = text(primary_key=True)
    failures: int = 0
    until: datetime | None = moment(default=None)
    trial_until: datetime | None = moment(default=None)
    stopped_until: datetime | None = moment(default=None)
    stopped_why: str | None = text(default=None)
    next_request_at: datetime | None = moment(default=None)
    last_success_at: datetime | None = moment(default=None)
    last_error_at: datetime | None = moment(default=None)
    last_error: str | None = text(default=None)


class SourceUsageRow(LedgerRow, table=True):
    """One row a UTC day, so that two clocks on both sides of midnight count in two places and lose nothing."""

    __tablename__ = "source_usage"

    feed: str = text(primary_key=True)
    source: str = text(primary_key=True)
    day: str = text(primary_key=True)
    requests: int = 0
    answered: int = 0
    failed: int = 0
    skipped: int = 0


class SourceRefusalRow(LedgerRow, table=True):
    __tablename__ = "source_refusal"

    feed: str = text(primary_key=True)
    source: str = text(primary_key=True)
    what: str = text(primary_key=True)
    at: datetime = moment()
    why: str = text()


class CrossCheckRow(LedgerRow, table=True):
    __tablename__ = "cross_check"

    feed: str = text(primary_key=True)
    source: str = text(primary_key=True)
    instrument: str = text(primary_key=True)
    at: datetime = moment()
