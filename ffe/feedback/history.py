"""The bars of one market that grades are made from: looked up by time, with what was covered, ATR and spread."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from ffe.decision.models import Decision
from ffe.feedback.grading import Bar, Horizon, grade
from ffe.feedback.models import Grade
from ffe.feedback.terms import mean_spread, terms_of
from ffe.market import indicators
from ffe.market.calendar import Calendar
from ffe.market.models import Instrument, Timeframe
from ffe.money import from_float
from ffe.settings import RiskSettings
from ffe.sources import spans
from ffe.sources.models import to_frame
from ffe.sources.spans import Span
from ffe.venues.models import InstrumentSpec

# Wilder's average over 14 bars remembers (13/14) ** 100 = 0.06 % of what lies before these.
LOOKBACK = 100


class History:
    """`table`: bars in order of time that passed the suite, and `covered`: the spans in which there are no others."""

    def __init__(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        calendar: Calendar,
        table: pa.Table,
        covered: Sequence[Span],
    ) -> None:
        self.instrument, self.timeframe, self.calendar, self.covered = instrument, timeframe, calendar, covered
        columns = [table.column(name).to_pylist() for name in Bar._fields]
        self._bars = [Bar(*row) for row in zip(*columns, strict=True)]
        self._times = [bar.time for bar in self._bars]
        self._frame = to_frame(table)
        quoted = "bid_close" in table.column_names
        self._bids = table.column("bid_close").to_pylist() if quoted else []
        self._asks = table.column("ask_close").to_pylist() if quoted else []

    def complete(self, start: datetime, end: datetime) -> bool:
        """Whether every bar that the calendar expects in [start, end) was asked for and passed."""
        open_spans = spans.missing(self.covered, start, end)
        return all(self.calendar.expected_opens(self.timeframe, *span).size == 0 for span in open_spans)

    def atr(self, at: datetime) -> float | None:
        """ATR(14) of the bars that closed by `at`, in price units; None with too few of them."""
        end = bisect_left(self._times, at)
        rows = self._frame.iloc[max(0, end - LOOKBACK) : end]
        return indicators.atr(*(rows[name].to_numpy() for name in ("high", "low", "close")))

    def grade(
        self,
        decision: Decision,
        ahead: Horizon,
        *,
        spec: InstrumentSpec,
        settings: RiskSettings,
        graded_at: datetime,
        prompt_version: str | None = None,
    ) -> Grade | None:
        """The decision's grade; None while bars of the horizon are missing, or without an ATR or a place for a stop."""
        close = decision.bar_close
        if close is None or not self.complete(close, ahead.end):
            return None
        first, last = bisect_left(self._times, close), bisect_left(self._times, ahead.end)
        bars, atr = self._bars[first:last], self.atr(close)
        if not bars or atr is None:
            return None
        spread = mean_spread(self._bids[first:last], self._asks[first:last])
        terms = terms_of(
            self.instrument, bars[0].open, from_float(atr), spread, spec=spec, settings=settings, at=bars[0].time
        )
        if terms is None:
            return None
        return grade(
            decision,
            bars,
            ahead=ahead,
            terms=terms,
            complete_to=ahead.end,
            graded_at=graded_at,
            prompt_version=prompt_version,
        )
