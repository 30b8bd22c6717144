"""Decisions that the ledger recorded live, as signals on bars: the trader's and those of a shadow strategy."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from ffe.decision.models import Action, Author, Decision
from ffe.ledger.models import ShadowDecision
from ffe.replay.decision_columns import NOT_ASKED
from ffe.replay.models import Bars, Signals

ACTIONS = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}
# Codes of `Signals.authors`.
SPOKEN, FELL_BACK = 0, 1
# Digits that count of a share; the noise of float arithmetic behind them is no reason to say 69 for 0.7.
DIGITS = 9


@dataclass(frozen=True, eq=False)
class Said:
    """`late`: recorded after the bar that follows had closed. `unplaced`: on bars that are not there."""

    signals: Signals
    late: int
    unplaced: int


# Close of the bar, action, confidence, author.
_Word = tuple[datetime, int, int, int]


def said_by_trader(decisions: Sequence[Decision], bars: Bars) -> Said:
    """What the model said at each bar, with the confidence that gated it; the first word on a bar counts. Late ones count, too: they traded."""
    late = sum(_is_late(each.decided_at, each.bar_close, bars) for each in decisions if each.bar_close is not None)
    return _placed((_word(each, each.bar_close) for each in decisions if each.bar_close is not None), bars, late)


def said_by_shadow(decisions: Sequence[ShadowDecision], bars: Bars) -> Said:
    """Without those that failed, and without the late: nobody can prove that they were said before the outcome was known."""
    good = [each for each in decisions if each.action is not None and each.confidence is not None]
    timely = [each for each in good if not _is_late(each.decided_at, each.bar_close, bars)]
    words = ((each.bar_close, ACTIONS[Action(each.action or "")], each.confidence or 0, SPOKEN) for each in timely)
    return _placed(words, bars, len(good) - len(timely))


def asked(signals: Signals) -> npt.NDArray[np.bool_]:
    """Bars on which there is a decision. (n)"""
    return np.ones(signals.actions.size, np.bool_) if signals.authors is None else signals.authors != NOT_ASKED


def only(signals: Signals, where: npt.NDArray[np.bool_]) -> Signals:
    """The same decisions, those elsewhere never made."""
    authors = np.zeros(where.size, np.int8) if signals.authors is None else signals.authors
    kept = np.where(where, authors, np.int8(NOT_ASKED)).astype(np.int8)
    return Signals(np.where(where, signals.actions, np.int8(0)).astype(np.int8), signals.confidence, kept)


def _is_late(decided_at: datetime, bar_close: datetime, bars: Bars) -> bool:
    return decided_at >= bar_close + bars.timeframe.duration


def _word(decision: Decision, bar_close: datetime) -> _Word:
    """A gate that overruled the model is not its opinion; a question without an answer is a HOLD of `fallback`."""
    if decision.opinion is None or decision.decided_by is Author.FALLBACK:
        return bar_close, 0, 0, FELL_BACK
    return bar_close, ACTIONS[decision.opinion], _confidence(decision), SPOKEN


def _confidence(decision: Decision) -> int:
    """Whole percent. A gate's HOLD carries 100, so there it is taken from the parts by the source that gated."""
    parts = decision.confidence_parts
    if decision.decided_by is Author.MODEL or parts is None:
        return decision.confidence
    share = {"token": parts.token, "calibrated": parts.calibrated}.get(parts.source)
    return math.floor(round(100 * (parts.stated if share is None else share), DIGITS))


def _placed(words: Iterable[_Word], bars: Bars, late: int) -> Said:
    rows = {int(close): row for row, close in enumerate(bars.closes_at)}
    actions, confidence = np.zeros(len(bars), np.int8), np.zeros(len(bars), np.int64)
    authors = np.full(len(bars), NOT_ASKED, np.int8)
    unplaced = 0
    for bar_close, action, sure, author in words:
        row = rows.get(int(bar_close.timestamp()))
        if row is None:
            unplaced += 1
        elif authors[row] == NOT_ASKED:
            actions[row], confidence[row], authors[row] = action, sure, author
    return Said(Signals(actions, confidence, authors), late, unplaced)
