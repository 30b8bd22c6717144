"""What the model would have been told at a bar's close, made from bars on file: the context of a live cycle, rebuilt bar by bar.

Every window is cut as the live fetch cuts it: as many bars as the calendar expects in the lookback, complete at the close, of each timeframe
of the pulse. Longer timeframes are resampled from the finest bars, as a venue makes its own candles; only a first bucket that the bars cut
is left out here, where a venue prints it. The memory of past decisions is empty: nothing that was graded later may speak in a replay.

The suite itself is `judge`, because the engine may not import it: it says which frames of the pulse pass, and its warnings are part of the
prompt. Without a judge a frame needs bars enough and fresh ones, and nothing is ever warned of.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ffe.clock import rfc3339
from ffe.decision.context import build_context
from ffe.decision.models import Context, FramePulse
from ffe.errors import DataError
from ffe.market.calendar import Calendar, lookback_start
from ffe.market.freshness import check_freshness
from ffe.market.models import Timeframe
from ffe.market.pulse import PULSE_TIMEFRAMES, consensus, pulse
from ffe.market.quality import FRESHNESS_SUITE, Finding, QualityReport, Severity
from ffe.replay.bars import to_table
from ffe.replay.models import Bars
from ffe.replay.resampling import resampled
from ffe.settings import Settings
from ffe.sources.models import BarBatch, to_frame

if TYPE_CHECKING:
    from ffe.cycle.bars import Validate

SOURCE = "replay"
# What the suite asks for, when no judge is there to ask it (`expectations.rules.ENOUGH_BARS`).
ENOUGH_BARS = 60
LAG = timedelta(seconds=20)
_SECOND = timedelta(seconds=1)


class _Seen(NamedTuple):
    """The newest bars of one timeframe at some moment, and the suite's word on them."""

    batch: BarBatch
    table: pa.Table
    report: QualityReport

    @property
    def why(self) -> str:
        return "; ".join(f"{finding.check}: {finding.message}" for finding in self.report.critical)


class ContextMaker:
    """Contexts of one instrument. `base` are the bars that are decided on, `frames` all timeframes that can be shown.

    `series`: bars by timeframe, or the finest ones alone; a timeframe of the pulse that is not there and is longer than the finest is
    resampled from these. `lag`: from a bar's close to the cycle that decides on it.

    Raises:
        DataError: no bars of `timeframe`, nor any that they could be made of.
    """

    def __init__(
        self,
        series: Bars | Mapping[Timeframe, Bars],
        timeframe: Timeframe,
        settings: Settings,
        calendar: Calendar,
        judge: "Validate | None" = None,
        *,
        lag: timedelta = LAG,
    ) -> None:
        given = {series.timeframe: series} if isinstance(series, Bars) else dict(series)
        self.frames = _with_longer(given, timeframe, calendar)
        if timeframe not in self.frames or not len(self.frames[timeframe]):
            had = ", ".join(each.value for each in given) or "none"
            raise DataError(f"no {timeframe.value} bars, nor any that they could be made of; there are: {had}")
        self.timeframe, self.settings, self.calendar = timeframe, settings, calendar
        self._judge, self._lag = judge, lag
        self._latest: dict[Timeframe, _Seen] = {}

    @property
    def base(self) -> Bars:
        return self.frames[self.timeframe]

    def row_of(self, close: int) -> int:
        """Row of the base bar that closes then, epoch seconds. Raises DataError where none does."""
        row = int(np.searchsorted(self.base.closes_at, close))
        if row == len(self.base) or int(self.base.closes_at[row]) != close:
            raise DataError(
                f"no {self.timeframe.value} bar of {self.base.instrument.symbol} closes at {rfc3339(_time(close))}"
            )
        return row

    def at(self, row: int) -> Context:
        """The context at the close of that bar of `base`. Ids are of this replay; the question made of it is the live one, byte for byte.

        Raises:
            DataError: the bars do not pass their suite, or are too few for an ATR.
        """
        close = _time(int(self.base.closes_at[row]))
        seen = self._seen(self.timeframe, close, close + self._lag, close + self._lag)
        if seen is None or not seen.report.passed:
            why = "no bar in the lookback" if seen is None else seen.why
            raise DataError(f"{self.base.instrument.symbol} at {rfc3339(close)}: {why}")
        readings = self._pulse(seen, close)
        return build_context(seen.batch, seen.table, seen.report, readings, consensus(readings))

    def _pulse(self, base: _Seen, close: datetime) -> tuple[FramePulse, ...]:
        seen, absent = {self.timeframe: base}, {}
        for timeframe in PULSE_TIMEFRAMES:
            if timeframe is not self.timeframe:
                found = self._frame(timeframe, close)
                if isinstance(found, str):
                    absent[timeframe] = found
                else:
                    seen[timeframe] = found
        return pulse(
            {timeframe: to_frame(each.table) for timeframe, each in seen.items()},
            self.timeframe,
            absent=absent,
            batches={timeframe: each.batch.id for timeframe, each in seen.items()},
            sources=dict.fromkeys(seen, SOURCE),
        )

    def _frame(self, timeframe: Timeframe, close: datetime) -> _Seen | str:
        """Another timeframe that passed both gates at the base's close, or why there is none."""
        if timeframe not in self.frames:
            return f"{SOURCE} has no bars of {timeframe.value}"
        seen = self._seen(timeframe, close, close - timeframe.duration + _SECOND, close + self._lag)
        if seen is None:
            return f"{SOURCE} has no complete bar of {timeframe.value} by {rfc3339(close)}"
        freshness = check_freshness(seen.batch.bar_close, timeframe, close, self.calendar, self.settings.freshness)
        if not freshness.fresh:
            return f"{FRESHNESS_SUITE}: {freshness.message}"
        return seen if seen.report.passed else seen.why

    def _seen(self, timeframe: Timeframe, close: datetime, until: datetime, now: datetime) -> _Seen | None:
        """The lookback's bars that were complete at `close`, as a fetch of the bars that open before `until` gives them."""
        bars, wanted = self.frames[timeframe], self.settings.lookback_bars
        # One more, for the bar that is still running: as the live fetch.
        start = lookback_start(self.calendar, timeframe, wanted + 1, until)
        stop = int(np.searchsorted(bars.closes_at, int(close.timestamp()), side="right"))
        first = max(int(np.searchsorted(bars.times, start.timestamp())), stop - wanted)
        if first >= stop:
            return None
        batch = _batch(bars, first, stop, now)
        known = self._latest.get(timeframe)
        if known is None or known.batch.id != batch.id:
            table = to_table(bars, first, stop)
            known = self._latest[timeframe] = _Seen(batch, table, self._report(table, batch, now))
        return known

    def _report(self, table: pa.Table, batch: BarBatch, now: datetime) -> QualityReport:
        if self._judge is not None:
            return self._judge(table, batch, now, calendar=self.calendar.name)
        few = f"{batch.rows} bars; at least {ENOUGH_BARS} are needed"
        finding = Finding(check="enough-bars", severity=Severity.CRITICAL, message=few)
        return QualityReport(
            id=batch.id,
            batch_id=batch.id,
            suite=SOURCE,
            checks=1,
            findings=(finding,) if batch.rows < ENOUGH_BARS else (),
            checked_at=now,
            duration_ms=0.0,
        )


def _with_longer(given: dict[Timeframe, Bars], timeframe: Timeframe, calendar: Calendar) -> dict[Timeframe, Bars]:
    """`given`, and whatever of the pulse and the base can be made of its finest bars."""
    if not given:
        return {}
    finest = given[min(given, key=lambda each: each.seconds)]
    made = {
        target: resampled(finest, target, calendar)
        for target in {*PULSE_TIMEFRAMES, timeframe} - given.keys()
        if target.seconds % finest.timeframe.seconds == 0
    }
    return {**made, **given}


def _batch(bars: Bars, first: int, stop: int, now: datetime) -> BarBatch:
    return BarBatch(
        id=hashlib.sha256(f"{bars.sha256} {bars.timeframe.value} {first} {stop}".encode()).hexdigest(),
        instrument=bars.instrument,
        timeframe=bars.timeframe,
        source=SOURCE,
        path="",
        rows=stop - first,
        first_open=_time(int(bars.times[first])),
        last_open=_time(int(bars.times[stop - 1])),
        fetched_at=now,
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
