"""Decision memory: the past situations most like the present one, and how they ended, strictly from before the decision's bar closed.

A fact counts from when it was known, which is the end of its horizon, and not from when its bar closed or its grade was written. So the
memory of a context is the same whenever it is asked for, a backtest included, as long as everything known by then is graded. Bars next
to each other are one move and not several: of situations of one instrument whose horizons overlap, only the nearest is remembered.
"""

import math

from ffe.decision.models import Action, Context, Remembered
from ffe.decision.situation import distance, situation
from ffe.feedback.models import PastSituation
from ffe.ledger.ledger import Ledger


def remember(ledger: Ledger, context: Context, most: int, min_grades: int) -> tuple[Remembered, ...]:
    """At most `most` situations of the timeframe, nearest first; of equal distance the newest, then by decision id.

    () with fewer than `min_grades` graded opinions known by `context.bar_close`: a few are an anecdote.

    Raises:
        LedgerError: the ledger can't be read.
    """
    if most == 0:
        return ()
    known = [
        past
        for past in ledger.past_situations(context.timeframe, context.bar_close)
        if past.bar_close < context.bar_close and past.known_at <= context.bar_close
    ]
    if len(known) < min_grades:
        return ()
    present = situation(context)
    near = [(distance(present, past.situation), past) for past in known]
    ranked = sorted(
        ((apart, past) for apart, past in near if math.isfinite(apart)),
        key=lambda each: (each[0], -each[1].known_at.timestamp(), each[1].decision_id),
    )
    chosen: list[tuple[float, PastSituation]] = []
    for apart, past in ranked:
        if len(chosen) < most and not any(_same_move(past, other) for _, other in chosen):
            chosen.append((apart, past))
    return tuple(_remembered(apart, past) for apart, past in chosen)


def _same_move(a: PastSituation, b: PastSituation) -> bool:
    return a.instrument == b.instrument and a.bar_close < b.known_at and b.bar_close < a.known_at


def _remembered(apart: float, past: PastSituation) -> Remembered:
    missed = max(past.long_return, past.short_return)
    return Remembered(
        decision_id=past.decision_id,
        instrument=past.instrument,
        action=past.action,
        net_return=missed if past.action is Action.HOLD else past.net_return,
        known_at=past.known_at,
        distance=round(apart, 6),
    )
