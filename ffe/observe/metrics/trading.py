"""Decisions, orders, what they hold, and what it is worth."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from prometheus_client.core import Metric
from sqlmodel import Session

from ffe.ledger import monitoring
from ffe.ledger.kill_switch import switch
from ffe.ledger.models import Position
from ffe.ledger.monitoring import Peak
from ffe.ledger.monitoring_totals import Decided
from ffe.ledger.positions import positions
from ffe.market.models import INSTRUMENTS
from ffe.money import ZERO
from ffe.observe.metrics.families import Labels, alone, measured, one_of
from ffe.orders.switch import SwitchState
from ffe.settings import Settings

HOLD = "HOLD"
DAY = timedelta(days=1)


def decisions(counts: Counter[Decided]) -> Iterator[Metric]:
    made: Counter[Labels] = Counter()
    held: Counter[Labels] = Counter()
    for decided, count in counts.items():
        made[decided.decided_by, decided.action] += count
        if decided.action == HOLD:
            held[decided.decided_by, decided.reason_code] += count
    yield measured("decisions_total", made)
    yield measured("holds_total", held)


def orders(session: Session, now: datetime) -> Iterator[Metric]:
    yield measured("orders", monitoring.orders_by_state(session))
    oldest = monitoring.oldest_unknown(session)
    venues = {venue for venue, _ in monitoring.accounts(session)}
    ages = {(venue,): (now - oldest.get(venue, now)).total_seconds() for venue in sorted(venues)}
    yield measured("order_unknown_age_seconds", ages)
    held = monitoring.reservations(session)
    yield measured("reservations_open", {key: each.orders for key, each in held.items()})
    yield measured("reservations_open_amount", {key: each.amount for key, each in held.items()})


def exposure(session: Session, now: datetime) -> Iterator[Metric]:
    booked = [position for position in positions(session) if position.updated_at is not None]
    closes = monitoring.newest_closes(
        session, sorted({position.instrument for position in booked if position.units}), now - DAY
    )
    yield measured("position_units", {_place(position): position.units for position in booked})
    yield measured("position_notional", {_in_money(each): each.units * _price(each, closes) for each in booked})
    yield measured("position_pnl_realised", {_in_money(each): each.realised for each in booked})
    yield measured(
        "position_pnl_unrealised",
        {_in_money(each): each.units * (_price(each, closes) - (each.average_price or ZERO)) for each in booked},
    )


def _place(position: Position) -> Labels:
    return position.venue, position.account, position.instrument


def _in_money(position: Position) -> Labels:
    known = INSTRUMENTS.get(position.instrument)
    return *_place(position), "" if known is None else known.quote


def _price(position: Position, closes: Mapping[str, Decimal]) -> Decimal:
    entry = ZERO if position.average_price is None else position.average_price
    return closes.get(position.instrument, entry) if position.units else ZERO


def equity(session: Session, peaks: Mapping[Peak, Decimal], settings: Settings) -> Iterator[Metric]:
    """An account whose newest mark is older than the last resume has no drawdown: its peak is counted from then on."""
    marks = [monitoring.newest_equity(session, *place) for place in monitoring.accounts(session)]
    found = [mark for mark in marks if mark is not None]
    yield measured("account_equity", {(mark.venue, mark.account, mark.currency): mark.equity for mark, _ in found})
    drawdowns: dict[Labels, Decimal] = {}
    for mark, epoch in found:
        peak = peaks.get(Peak(mark.venue, mark.account, epoch))
        if peak is not None:
            drawdowns[mark.venue, mark.account] = _drawdown(mark.equity, peak)
    yield measured("account_drawdown_ratio", drawdowns)
    yield alone("drawdown_limit_ratio", settings.risk.max_drawdown)


def _drawdown(now: Decimal, peak: Decimal) -> Decimal:
    """As the drawdown rule has it: an account that was never worth anything has lost all."""
    return (peak - now) / peak if peak > 0 else Decimal(1)


def kill_switch(session: Session) -> Metric:
    return one_of("kill_switch", switch(session).state.value, tuple(state.value for state in SwitchState))
