"""Contexts at past bars: the windows of a live fetch, nothing newer than the close, and the suite's word on every frame."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe.decision.models import Context
from ffe.decision.prompt import build_messages
from ffe.errors import DataError
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.pulse import PULSE_TIMEFRAMES
from ffe.market.quality import Finding, QualityReport, Severity
from ffe.replay.bars import truncated, window
from ffe.replay.contexts import ENOUGH_BARS, ContextMaker
from ffe.replay.files import load_bars
from ffe.replay.models import Bars
from ffe.replay.resampling import resampled
from ffe.settings import Settings

EURUSD = parse_instrument("EURUSD")
CALENDAR = calendar_for(EURUSD)
SETTINGS = Settings()
M1, M5, M15, H1 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1
FILE = Path(__file__).parent.parent / "data" / "bars" / "long" / "EUR-USD_1m_bidask_2014-05-01.csv"
FINE = load_bars([FILE], half_spread_bps=1.0)["EURUSD"]
MAKER = ContextMaker(FINE, M15, SETTINGS, CALENDAR)
LAST = len(MAKER.base) - 1


class Judged:
    """A suite that says what it is told to, by timeframe."""

    def __init__(self, findings: Mapping[Timeframe, Finding]) -> None:
        self._findings, self.calls = findings, []

    def __call__(
        self, table: Any, batch: Any, now: datetime, references: Any = (), *, calendar: Any = None
    ) -> QualityReport:
        self.calls.append((batch.timeframe, batch.id, now, calendar, table.num_rows))
        finding = self._findings.get(batch.timeframe)
        return QualityReport(
            id="report",
            batch_id=batch.id,
            suite="told",
            checks=1,
            findings=() if finding is None else (finding,),
            checked_at=now,
            duration_ms=0.0,
        )


def told(context: Context) -> dict[str, Any]:
    """A context without its ids."""
    document = context.model_dump(exclude={"batch_id", "quality_report_id"})
    document["pulse"] = [{**frame, "batch_id": None} for frame in document["pulse"]]
    return document


def frame_of(context: Context, timeframe: Timeframe) -> Any:
    return next(frame for frame in context.pulse if frame.timeframe is timeframe)


def test_the_context_is_of_the_bar_that_closed() -> None:
    context, base = MAKER.at(LAST), MAKER.base
    assert context.bar_close == datetime.fromtimestamp(int(base.closes_at[LAST]), UTC)
    assert float(context.last_close) == base.close[LAST]
    assert [float(price) for price in context.recent_closes] == base.close[LAST - 7 :].tolist()
    assert {frame.timeframe for frame in context.pulse} == set(PULSE_TIMEFRAMES)
    assert context.memory == ()
    assert context.warnings == ()


def test_each_frame_of_the_pulse_ends_at_the_close_and_is_at_most_the_lookback() -> None:
    context = MAKER.at(LAST)
    for timeframe in (M1, M5, M15):
        frame, bars = frame_of(context, timeframe), resampled(FINE, timeframe, CALENDAR)
        stop = int(np.searchsorted(bars.closes_at, context.bar_close.timestamp(), side="right"))
        assert ENOUGH_BARS <= frame.bars <= SETTINGS.lookback_bars
        # Arrow's way from a decimal to a float is one unit in the last place off at times, live as here.
        assert frame.close == pytest.approx(bars.close[stop - 1], rel=1e-15, abs=0)
        assert list(frame.closes) == pytest.approx(bars.close[stop - 32 : stop].tolist(), rel=1e-15, abs=0)
    assert frame_of(context, M15).bars == SETTINGS.lookback_bars


def test_longer_frames_with_too_few_bars_are_made_of_the_base_and_say_why() -> None:
    context = MAKER.at(LAST)
    for timeframe, bars in ((Timeframe.H4, 14), (Timeframe.D1, 3)):
        frame = frame_of(context, timeframe)
        assert frame.source == "resampled from 15m"
        assert f"no bars of its own: enough-bars: {bars} bars; at least 60 are needed" in frame.partial


@settings(max_examples=12)
@given(st.integers(ENOUGH_BARS, LAST), st.integers(0, 14))
def test_nothing_that_came_after_the_close_changes_the_context(row: int, more: int) -> None:
    close = int(MAKER.base.closes_at[row])
    kept = int(np.searchsorted(FINE.closes_at, close, side="right"))
    cut = ContextMaker(truncated(FINE, min(len(FINE), kept + more)), M15, SETTINGS, CALENDAR)
    again, whole = cut.at(cut.row_of(close)), MAKER.at(row)
    assert told(again) == told(whole)
    assert build_messages(again) == build_messages(whole)


def test_a_window_reaches_back_over_the_time_of_the_lookback_and_not_over_its_bars() -> None:
    """Where minutes without a tick have no bar the live fetch sees fewer bars, not older ones."""
    sizes = []
    for row in range(ENOUGH_BARS, LAST + 1, 9):
        sizes.append(frame_of(MAKER.at(row), M1).bars)
    assert max(sizes) <= SETTINGS.lookback_bars
    assert min(sizes) < SETTINGS.lookback_bars


def test_bars_given_by_timeframe_are_taken_as_they_are() -> None:
    base = resampled(FINE, M15, CALENDAR)
    both = ContextMaker({M1: FINE, M15: base}, M15, SETTINGS, CALENDAR)
    assert both.base is base
    assert told(both.at(LAST)) == told(MAKER.at(LAST))


def test_frames_shorter_than_the_finest_bars_are_left_out_by_name() -> None:
    maker = ContextMaker(resampled(FINE, M15, CALENDAR), M15, SETTINGS, CALENDAR)
    context = maker.at(LAST)
    for timeframe in (M1, M5):
        frame = frame_of(context, timeframe)
        assert frame.bars == 0
        assert f"replay has no bars of {timeframe.value}" in frame.partial
    assert frame_of(context, M15) == frame_of(MAKER.at(LAST), M15).model_copy(
        update={"batch_id": frame_of(context, M15).batch_id}
    )


def test_a_frame_whose_newest_bar_is_old_is_stale() -> None:
    fives = resampled(FINE, M5, CALENDAR)
    stale = window(fives, 0, len(fives) - 20)
    maker = ContextMaker({M1: FINE, M5: stale}, M15, SETTINGS, CALENDAR)
    frame = frame_of(maker.at(LAST), M5)
    assert frame.bars == 0
    assert "Stale market data detected" in frame.partial


def test_a_frame_without_any_bar_by_then_says_so() -> None:
    late = window(resampled(FINE, M5, CALENDAR), 500, 520)
    maker = ContextMaker({M1: FINE, M5: late}, M15, SETTINGS, CALENDAR)
    frame = frame_of(maker.at(ENOUGH_BARS), M5)
    assert "no complete bar of 5m by 2014-05-01T15:15:00Z" in frame.partial


def test_too_few_bars_of_the_base_are_refused() -> None:
    with pytest.raises(DataError, match="EURUSD at 2014-05-01T14:45:00Z: enough-bars: 59 bars"):
        MAKER.at(ENOUGH_BARS - 2)
    assert MAKER.at(ENOUGH_BARS - 1).bar_close == datetime(2014, 5, 1, 15, tzinfo=UTC)


def test_the_suites_warnings_reach_the_prompt_and_a_frame_that_fails_is_left_out() -> None:
    judge = Judged(
        {
            M15: Finding(check="spike", severity=Severity.WARNING, message="one bar leapt"),
            M5: Finding(check="gaps", severity=Severity.CRITICAL, message="bars are missing"),
        }
    )
    maker = ContextMaker(FINE, M15, SETTINGS, CALENDAR, judge, lag=timedelta(seconds=7))
    context = maker.at(LAST)
    assert context.warnings == ("spike: one bar leapt",)
    assert "Note: spike: one bar leapt." in build_messages(context)[-1].content
    assert "gaps: bars are missing" in frame_of(context, M5).partial
    now, names = context.bar_close + timedelta(seconds=7), {call[3] for call in judge.calls}
    assert {call[2] for call in judge.calls} == {now}
    assert names == {"forex-week"}


def test_the_suite_is_not_asked_twice_about_the_same_bars() -> None:
    judge = Judged({})
    maker = ContextMaker(FINE, M15, SETTINGS, CALENDAR, judge)
    for row in range(LAST - 3, LAST + 1):
        maker.at(row)
    asked = [call[:2] for call in judge.calls]
    assert len(asked) == len(set(asked))
    hours = [call for call in asked if call[0] is H1]
    assert 1 <= len(hours) <= 2


def test_a_base_that_fails_its_suite_is_refused_with_the_reason() -> None:
    judge = Judged({M15: Finding(check="uncrossed", severity=Severity.CRITICAL, message="bid above ask")})
    with pytest.raises(DataError, match="uncrossed: bid above ask"):
        ContextMaker(FINE, M15, SETTINGS, CALENDAR, judge).at(LAST)


@pytest.mark.parametrize("series", [{}, FINE, {M1: FINE}])
def test_a_base_that_can_not_be_made_is_refused(series: Any) -> None:
    few: Any = window(FINE, 0, 10)
    wanted = {} if series == {} else {M1: few} if isinstance(series, dict) else few
    with pytest.raises(DataError, match="no 4h bars, nor any that they could be made of"):
        ContextMaker(wanted, Timeframe.H4, SETTINGS, CALENDAR)


def test_a_moment_at_which_no_bar_closes_has_no_row() -> None:
    close = int(MAKER.base.closes_at[LAST])
    assert MAKER.row_of(close) == LAST
    for wrong in (close + 60, close - 1):
        with pytest.raises(DataError, match="no 15m bar of EURUSD closes at"):
            MAKER.row_of(wrong)


def test_a_base_without_a_bar_in_the_lookback_is_refused() -> None:
    """The bar closed while the calendar holds its market shut for longer than the lookback reaches."""
    far: Bars = window(MAKER.base, 0, 100)
    maker = ContextMaker({M15: far}, M15, Settings(lookback_bars=60), CALENDAR)
    maker._lag = timedelta(days=30)
    with pytest.raises(DataError, match="no bar in the lookback"):
        maker.at(99)
