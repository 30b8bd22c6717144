"""The equity marks of an account and the one kill switch that they may trip, as the live cycle keeps them in its ledger."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ffe.orders.switch import NEVER_SET, SwitchState
from ffe.risk.models import Verdict
from ffe.risk.rules import account_verdicts
from ffe.settings import RiskSettings

_CLEARLY = Decimal("0.99")


class Marks:
    """Equity whenever it changed, since the switch was last set back. Of the past only what a baseline can still need is kept."""

    def __init__(self) -> None:
        self._marks: deque[tuple[datetime, Decimal]] = deque()
        self.peak: Decimal | None = None

    def clear(self) -> None:
        self._marks.clear()
        self.peak = None

    def add(self, equity: Decimal, now: datetime) -> None:
        if self._marks and self._marks[-1][1] == equity:
            return
        self._marks.append((now, equity))
        self.peak = equity if self.peak is None else max(self.peak, equity)

    def day_start(self, now: datetime) -> Decimal | None:
        """The newest mark at or before midnight UTC, else the first one; None without any. `now` never goes back."""
        marks, midnight = self._marks, now.replace(hour=0, minute=0, second=0, microsecond=0)
        while len(marks) > 1 and marks[1][0] <= midnight:
            marks.popleft()
        return marks[0][1] if marks else None


class Switch:
    """The kill switch as rules trip it. `halted_at`: bar close (epoch seconds) at which it tripped first."""

    def __init__(self, resume_after_days: float | None) -> None:
        self.state = NEVER_SET
        self.halted_at: int | None = None
        self._pause = None if resume_after_days is None else timedelta(days=resume_after_days)

    def trip(self, verdicts: Sequence[Verdict], moment: int, now: datetime) -> None:
        """Reduce-only for the first verdict that asks for it; a switch that is set already stays."""
        tripping = next((verdict for verdict in verdicts if verdict.trips), None)
        if tripping is None or self.state.state is not SwitchState.NORMAL:
            return
        update = {"state": SwitchState.REDUCE_ONLY, "reason": tripping.reason, "by": tripping.rule, "at": now}
        self.state = NEVER_SET.model_copy(update=update)
        self.halted_at = moment if self.halted_at is None else self.halted_at

    def resumed(self, now: datetime) -> bool:
        """Sets it back when the pause is over; True when it did."""
        since = self.state.at
        if self._pause is None or since is None or now - since < self._pause:
            return False
        self.state = NEVER_SET
        return True


def watched(equity: Decimal, marks: Marks, now: datetime, settings: RiskSettings) -> Sequence[Verdict]:
    """What daily loss and drawdown say; nothing at all where less was lost than either could mind."""
    start, peak = marks.day_start(now), marks.peak
    if _safe(equity, start, settings.max_daily_loss) and _safe(equity, peak, settings.max_drawdown):
        return ()
    return account_verdicts(equity, start, peak, settings)


def _safe(equity: Decimal, since: Decimal | None, limit: Decimal) -> bool:
    """Clearly within the limit, so that the rule itself, which writes its reasons down, need not be asked."""
    return since is not None and since > 0 and since - equity < since * limit * _CLEARLY
