"""What became of a decision: both sides of it played over the bars after it, by one plain rule, against doing nothing.

The entry is the open of the first bar after the decision's own; the trade ends at its stop, at its target, or with the last close of the
horizon. Where bars leave the order open it is the worse one that counts: a bar that touches stop and target touched the stop, a stop that
was jumped over fills at the open behind it, a target is never filled better than its price. The same rule grades a HOLD and whatever a
gate decided, since the question is the same: what would the best of the three have earned?
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from ffe.decision.models import Action, Author, Decision
from ffe.feedback.models import Exit, Grade
from ffe.market.calendar import Calendar
from ffe.market.models import Timeframe
from ffe.orders.models import Side

SIDES = {Action.BUY: Side.BUY, Action.SELL: Side.SELL}


class Bar(NamedTuple):
    """One complete bar; `time` is its open, prices are in quote currency."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Horizon(NamedTuple):
    """`bars` bars of the calendar after the decision's own; `end` is the close of the last one."""

    bars: int
    end: datetime


class Terms(NamedTuple):
    """Distances from the entry in quote currency, and the cost of the round trip as a fraction of the entry."""

    stop_distance: Decimal
    target_distance: Decimal
    cost: float


class Outcome(NamedTuple):
    """How one side ended. `gross` is a fraction of the entry, before costs."""

    exit: Exit
    price: Decimal
    gross: float


def horizon(calendar: Calendar, timeframe: Timeframe, bar_close: datetime, bars: int) -> Horizon:
    """The next `bars` bars (at least one) that the market should print: a weekend may lie between them and is not counted."""
    span = bars * timeframe.duration
    while True:
        opens = calendar.expected_opens(timeframe, bar_close, bar_close + span)
        if opens.size >= bars:
            last: datetime = opens[bars - 1].item()
            return Horizon(bars, last.replace(tzinfo=UTC) + timeframe.duration)
        span *= 2


def grade(
    decision: Decision,
    bars: Sequence[Bar],
    *,
    ahead: Horizon,
    terms: Terms,
    complete_to: datetime,
    graded_at: datetime,
    prompt_version: str | None = None,
) -> Grade | None:
    """The grade of `decision`; `bars` are in order of time, and complete for every bar that closes by `complete_to`.

    None while the horizon is not over, or when no bar was printed in it. Bars outside of the horizon are not looked at. What a
    HOLD's `exit_price` shows is the last close of the horizon.
    """
    if decision.bar_close is None or complete_to < ahead.end:
        return None
    seen = [bar for bar in bars if decision.bar_close <= bar.time < ahead.end]
    if not seen:
        return None
    entry, sides = seen[0].open, {side: outcome(seen, side, terms) for side in Side}
    net = {side: ended.gross - terms.cost for side, ended in sides.items()}
    best, chosen = max(net.values()), SIDES.get(decision.action)
    ended = Outcome(Exit.HORIZON, seen[-1].close, 0.0) if chosen is None else sides[chosen]
    earned = 0.0 if chosen is None else net[chosen]
    return Grade(
        decision_id=decision.id,
        instrument=decision.instrument,
        timeframe=decision.timeframe,
        bar_close=decision.bar_close,
        action=decision.action,
        decided_by=decision.decided_by,
        opinion=_opinion(decision),
        model_digest=decision.model_digest,
        prompt_version=prompt_version,
        horizon_bars=ahead.bars,
        known_at=ahead.end,
        entry_price=entry,
        exit_price=ended.price,
        exit=ended.exit,
        cost=terms.cost,
        net_return=earned,
        long_return=net[Side.BUY],
        short_return=net[Side.SELL],
        paid=best <= 0 if chosen is None else earned > 0,
        regret=max(best, 0.0) - earned,
        graded_at=graded_at,
        **_confidence(decision),
    )


def outcome(bars: Sequence[Bar], side: Side, terms: Terms) -> Outcome:
    """How a trade of `side` from the first bar's open ended. At least one bar."""
    entry, sign = bars[0].open, side.sign
    stop, target = entry - sign * terms.stop_distance, entry + sign * terms.target_distance
    for bar in bars:
        worst, best = (bar.low, bar.high) if side is Side.BUY else (bar.high, bar.low)
        if sign * (worst - stop) <= 0:
            jumped = sign * (bar.open - stop) < 0
            return _ended(Exit.STOP, bar.open if jumped else stop, entry, sign)
        if sign * (best - target) >= 0:
            return _ended(Exit.TARGET, target, entry, sign)
    return _ended(Exit.HORIZON, bars[-1].close, entry, sign)


def _ended(how: Exit, price: Decimal, entry: Decimal, sign: int) -> Outcome:
    return Outcome(how, price, float(sign * (price - entry) / entry))


def _opinion(decision: Decision) -> Action | None:
    """Ledgers before revision 0004 have no column for it: there only what the model decided is known to be its opinion."""
    if decision.opinion is None and decision.decided_by is Author.MODEL:
        return decision.action
    return decision.opinion


def _confidence(decision: Decision) -> dict[str, object]:
    """The decision's own confidence, for calibration; a gate's 100 is none."""
    parts = decision.confidence_parts
    if parts is not None:
        return {"stated": parts.stated, "token": parts.token, "odds": parts.odds}
    return {"stated": decision.confidence / 100 if decision.decided_by is Author.MODEL else None}
