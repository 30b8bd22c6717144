"""Health and budget of the bar sources. Whether a source may be asked and that it was are one transaction, behind its row.

What the states mean and how they follow each other is in `ffe.sources.health`; here they are only read, locked and written.
"""

from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from ffe.clock import rfc3339
from ffe.errors import NotOfferedError, SourceSkippedError
from ffe.ledger.rows import insert_once, locked, record_of
from ffe.ledger.source_tables import CrossCheckRow, SourceHealthRow, SourceRefusalRow, SourceUsageRow
from ffe.sources import health
from ffe.sources.health import Admission, Breaker, Budget, Health, SourceState, Usage
from ffe.sources.models import Outcome


def admit(
    session: Session, feed: str, source: str, at: datetime, budget: Budget | None
) -> Admission | SourceSkippedError:
    """Leave to ask, or why not; the refusal is returned, so that its count is committed."""
    row = _locked(session, feed, source)
    usage = _usage(session, feed, source, at)
    try:
        after, trial_until = health.admitted(record_of(Health, row), at)
        if budget is not None:
            health.check_budget(usage.requests, budget, at)
    except SourceSkippedError as error:
        usage.skipped += 1
        session.flush()
        return error
    _write(session, row, after)
    return Admission(feed=feed, source=source, at=at, trial_until=trial_until)


def settle(
    session: Session,
    admission: Admission,
    at: datetime,
    breaker: Breaker,
    outcome: Outcome,
    *,
    counts: bool,
    error: str | None,
) -> None:
    """Writes what came of an admitted call into health and usage."""
    row = _locked(session, admission.feed, admission.source)
    usage = _usage(session, admission.feed, admission.source, at)
    setattr(usage, outcome.value, getattr(usage, outcome.value) + 1)
    after = health.settled(record_of(Health, row), admission, at, breaker, outcome, counts=counts, error=error)
    _write(session, row, after)


def spend(
    session: Session, feed: str, source: str, at: datetime, budget: Budget, *, latest: datetime, what: tuple[str, ...]
) -> datetime:
    """Counts one request and gives it its turn.

    Raises:
        SourceSkippedError, NotOfferedError: not now, or not this; nothing is counted.
    """
    row = _locked(session, feed, source)
    usage = _usage(session, feed, source, at)
    for each in what:
        _check_refusal(session, (feed, source, each), at)
    before = record_of(Health, row)
    health.check_stop(before, at)
    health.check_budget(usage.requests, budget, at)
    when = health.turn(before, at, budget, latest)
    row.next_request_at = health.following(when, budget)
    usage.requests += 1
    session.flush()
    return when


def stop(session: Session, feed: str, source: str, at: datetime, why: str) -> None:
    row = _locked(session, feed, source)
    row.stopped_until, row.stopped_why = health.stopped_until(at), why
    session.flush()


def refuse(session: Session, feed: str, source: str, what: str, *, at: datetime, why: str) -> None:
    insert_once(session, SourceRefusalRow(feed=feed, source=source, what=what, at=at, why=why))
    row = locked(session, SourceRefusalRow, feed, source, what)
    row.at, row.why = at, why
    session.flush()


def claim_cross_check(
    session: Session, feed: str, source: str, instrument: str, *, at: datetime, every: timedelta
) -> bool:
    """True for the first caller in `every`; a claim from the future is a leftover of another clock and does not hold."""
    if insert_once(session, CrossCheckRow(feed=feed, source=source, instrument=instrument, at=at)):
        return True
    row = locked(session, CrossCheckRow, feed, source, instrument)
    if timedelta(0) <= at - row.at < every:
        return False
    row.at = at
    session.flush()
    return True


def states(session: Session, feed: str, at: datetime) -> list[SourceState]:
    """Of every source of `feed` that was ever asked, by name."""
    rows = session.exec(
        select(SourceHealthRow).where(SourceHealthRow.feed == feed).order_by(col(SourceHealthRow.source))
    ).all()
    return [_state(session, row, at) for row in rows]


def usage_of(session: Session, feed: str | None, since: str) -> list[tuple[str, str, Usage]]:
    """(feed, source, counts) of each UTC day from `since` (`2026-11-21`) on, oldest first; every feed with `feed` None."""
    query = select(SourceUsageRow).where(col(SourceUsageRow.day) >= since)
    if feed is not None:
        query = query.where(SourceUsageRow.feed == feed)
    order = (col(SourceUsageRow.day), col(SourceUsageRow.feed), col(SourceUsageRow.source))
    return [(row.feed, row.source, record_of(Usage, row)) for row in session.exec(query.order_by(*order)).all()]


def _state(session: Session, row: SourceHealthRow, at: datetime) -> SourceState:
    day = health.day_of(at)
    used = session.get(SourceUsageRow, (row.feed, row.source, day))
    today = Usage(day=day) if used is None else record_of(Usage, used)
    return SourceState(feed=row.feed, source=row.source, at=at, health=record_of(Health, row), today=today)


def _locked(session: Session, feed: str, source: str) -> SourceHealthRow:
    insert_once(session, SourceHealthRow(feed=feed, source=source))
    return locked(session, SourceHealthRow, feed, source)


def _usage(session: Session, feed: str, source: str, at: datetime) -> SourceUsageRow:
    """Read behind the lock of the source's health row, which every writer of it takes first."""
    key = (feed, source, health.day_of(at))
    insert_once(session, SourceUsageRow(feed=key[0], source=key[1], day=key[2]))
    return locked(session, SourceUsageRow, *key)


def _write(session: Session, row: SourceHealthRow, after: Health) -> None:
    for name, value in after.model_dump().items():
        setattr(row, name, value)
    session.flush()


def _check_refusal(session: Session, key: tuple[str, str, str], at: datetime) -> None:
    row = session.get(SourceRefusalRow, key)
    if row is not None and timedelta(0) <= at - row.at < health.REFUSAL:
        until = rfc3339((row.at + health.REFUSAL).replace(microsecond=0))
        raise NotOfferedError(f"{row.source} does not offer {row.what}, not asked again before {until}: {row.why}")
