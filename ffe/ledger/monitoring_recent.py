"""What happened lately, for a monitor: model calls and incidents. Retention deletes old ones, so a total of all time would shrink.

Where rows go, a counter would fall, and Prometheus reads a fall as a restart from zero: `rate()` would show a burst that never was.
So these are read over a stretch of time that is shorter than any retention, and shown as gauges.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from ffe.ledger.order_tables import IncidentRow
from ffe.ledger.tables import ModelCallRow

# The index is on `bar_close`; a call about a daily bar comes up to a day (a weekend: three) after it closed.
OLDEST_BAR = timedelta(days=4)
NOBODY = "unknown"


class Asked(NamedTuple):
    """One model call. Tokens are 0 and the model is `unknown` where nothing came back."""

    model: str
    answered: bool
    seconds: float
    prompt_tokens: int
    completion_tokens: int


def model_calls_since(session: Session, since: datetime) -> list[Asked]:
    columns = (
        ModelCallRow.identity,
        ModelCallRow.error,
        ModelCallRow.latency_ms,
        ModelCallRow.prompt_tokens,
        ModelCallRow.completion_tokens,
    )
    query = select_columns(*map(col, columns)).where(
        col(ModelCallRow.bar_close) >= since - OLDEST_BAR, col(ModelCallRow.started_at) >= since
    )
    return [
        Asked(NOBODY if identity is None else identity["model"], error is None, ms / 1000, prompt or 0, completion or 0)
        for identity, error, ms, prompt, completion in session.connection().execute(query)
    ]


def incidents_since(session: Session, since: datetime) -> Counter[str]:
    """Incidents whose first occurrence was then or later, each with its count, by type."""
    query = (
        select(IncidentRow.type, func.sum(IncidentRow.count))
        .where(col(IncidentRow.created_at) >= since)
        .group_by(col(IncidentRow.type))
    )
    return Counter({kind: int(count) for kind, count in session.exec(query).all()})
