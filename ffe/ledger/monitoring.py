"""What the ledger can tell a monitor of orders, money and its own running, as it stands now.

Functions of a session, read at every scrape: each is an aggregate along an index, or reads a table that stays small (accounts,
positions, open differences). Sums and largest values of money are taken in Decimal here: SQLite would add text as floats.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from math import fsum
from typing import NamedTuple

from sqlalchemy import func, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from ffe.ledger.account_tables import DifferenceRow, EquityMarkRow
from ffe.ledger.feedback_tables import CalibrationRow, GradeRow, VerdictRow
from ffe.ledger.kill_switch import GATE, resumes
from ffe.ledger.models import EquityMark
from ffe.ledger.operations_tables import ApiUsageRow
from ffe.ledger.order_tables import AccountRow, OrderRow, ReservationRow
from ffe.ledger.rows import exact_sum, record_of
from ffe.money import decimal
from ffe.orders.models import OrderState

# Sent, and nobody knows yet what became of it; SUBMITTING outlives a call only when its process died.
UNKNOWN = (OrderState.SUBMITTING.value, OrderState.UNRESOLVED.value)


class OpenReservations(NamedTuple):
    orders: int
    amount: Decimal


class Peak(NamedTuple):
    """The largest equity on record of an account since a person last resumed trading (`epoch`)."""

    venue: str
    account: str
    epoch: int


class Usage(NamedTuple):
    """Calls of one API; `seconds` is the sum of their durations."""

    calls: int
    errors: int
    seconds: float


def accounts(session: Session) -> list[tuple[str, str]]:
    """Venue and account of every account that was ever traded or reconciled."""
    query = select(AccountRow.venue, AccountRow.account).order_by(col(AccountRow.venue), col(AccountRow.account))
    return [(venue, account) for venue, account in session.exec(query).all() if (venue, account) != GATE]


def orders_by_state(session: Session) -> dict[tuple[str, str], int]:
    """Orders of all time by venue and state."""
    names = col(OrderRow.venue), col(OrderRow.state)
    query = select_columns(*names, func.count()).group_by(*names)
    return {(venue, state): count for venue, state, count in session.connection().execute(query)}


def oldest_unknown(session: Session) -> dict[str, datetime]:
    """When the oldest order whose outcome is unknown was sent, by venue. By account, because the index of states begins with it."""
    oldest: dict[str, datetime] = {}
    for venue, account in accounts(session):
        sent = func.min(func.coalesce(col(OrderRow.submitted_at), col(OrderRow.created_at)))
        query = select_columns(sent).where(
            col(OrderRow.venue) == venue, col(OrderRow.account) == account, col(OrderRow.state).in_(UNKNOWN)
        )
        at: datetime | None = session.connection().execute(query).scalar_one()
        if at is not None:
            oldest[venue] = min(at, oldest.get(venue, at))
    return oldest


def reservations(session: Session) -> dict[tuple[str, str], OpenReservations]:
    """Open reservations by venue and currency."""
    amounts: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(list)
    query = select_columns(col(ReservationRow.venue), col(ReservationRow.currency), col(ReservationRow.amount))
    unreleased = query.where(col(ReservationRow.released_at).is_(None))
    for venue, currency, amount in session.connection().execute(unreleased):
        amounts[venue, currency].append(amount)
    return {key: OpenReservations(len(found), exact_sum(found)) for key, found in amounts.items()}


def newest_closes(session: Session, instruments: Iterable[str], since: datetime) -> dict[str, Decimal]:
    """The last close that a decision on each instrument was made from since then; none where nobody asked."""
    closes = {}
    for instrument in instruments:
        query = select(VerdictRow.context).where(
            VerdictRow.instrument == instrument, col(VerdictRow.recorded_at) >= since
        )
        context = session.exec(query.order_by(col(VerdictRow.recorded_at).desc()).limit(1)).first()
        if context is not None:
            closes[instrument] = decimal(context["last_close"])
    return closes


def newest_equity(session: Session, venue: str, account: str) -> tuple[EquityMark, int] | None:
    """The newest mark of an account and its epoch."""
    at, epoch = col(EquityMarkRow.at), col(EquityMarkRow.epoch)
    query = select(EquityMarkRow).where(EquityMarkRow.venue == venue, EquityMarkRow.account == account)
    row = session.exec(query.order_by(epoch.desc(), at.desc(), col(EquityMarkRow.id).desc()).limit(1)).first()
    return None if row is None else (record_of(EquityMark, row), row.epoch)


def peaks(session: Session, since: datetime, until: datetime) -> dict[Peak, Decimal]:
    """Largest equity of each account in the current epoch, of marks in [since, until)."""
    found, epoch = {}, resumes(session)
    for venue, account in accounts(session):
        query = select_columns(col(EquityMarkRow.equity)).where(
            tuple_(col(EquityMarkRow.venue), col(EquityMarkRow.account), col(EquityMarkRow.epoch))
            == (venue, account, epoch),
            col(EquityMarkRow.at) >= since,
            col(EquityMarkRow.at) < until,
        )
        equities = session.connection().execute(query).scalars().all()
        if equities:
            found[Peak(venue, account, epoch)] = max(equities)
    return found


def open_differences(session: Session) -> Counter[tuple[str, str]]:
    """Open differences by venue and kind."""
    query = select(DifferenceRow.venue, DifferenceRow.kind).where(col(DifferenceRow.settled_at).is_(None))
    return Counter((venue, kind) for venue, kind in session.exec(query).all())


def api_usage_since(session: Session, day: datetime) -> dict[str, Usage]:
    """Every source's calls, errors and seconds in hours that began at `day` or later; zeros for one that was called the day before only.

    `fsum` gives the same sum in whatever order the rows come: one that falls by a rounding error would show as a restart.
    """
    query = select(ApiUsageRow).where(col(ApiUsageRow.hour) >= day - timedelta(days=1))
    hours: defaultdict[str, list[ApiUsageRow]] = defaultdict(list)
    for row in session.exec(query).all():
        hours[row.source] += [row] if row.hour >= day else []
    return {
        source: Usage(
            sum(row.calls for row in rows), sum(row.errors for row in rows), fsum(row.seconds for row in rows)
        )
        for source, rows in hours.items()
    }


def grades_by_timeframe(session: Session) -> dict[str, int]:
    query = select_columns(col(GradeRow.timeframe), func.count()).group_by(col(GradeRow.timeframe))
    return {str(timeframe): count for timeframe, count in session.connection().execute(query)}


def newest_brier(session: Session) -> tuple[float, float] | None:
    """Brier score of the newest calibration's grades, before and after it."""
    query = select(CalibrationRow.brier_before, CalibrationRow.brier_after)
    found = session.exec(query.order_by(col(CalibrationRow.fitted_at).desc()).limit(1)).first()
    return None if found is None else (found[0], found[1])
