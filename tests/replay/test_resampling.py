"""Longer bars out of shorter ones are the engine's own, to the last digit, and know what was met right after them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.resample import resample_table
from ffe.replay.bars import make_bars, no_bars, to_table, window
from ffe.replay.files import load_bars
from ffe.replay.models import ASK, BID, CLOSE, OPEN, Bars
from ffe.replay.resampling import resampled

DATA = Path(__file__).parents[1] / "data" / "bars"
LONG = DATA / "long" / "EUR-USD_1m_bidask_2014-05-01.csv"
TRADES = DATA / "cases" / "BTC-USD_1m_trades_hole_2018-04-04.csv"
EURUSD, BTCUSD = parse_instrument("EURUSD"), parse_instrument("BTCUSD")


def load(path: Path) -> Bars:
    (found,) = load_bars([path], half_spread_bps=1.0).values()
    return found


def some(bars: Bars, rows: list[int]) -> Bars:
    """Only those rows, each followed by what really opened at its close."""
    pick = np.array(rows)
    return make_bars(
        bars.instrument,
        bars.timeframe,
        bars.times[pick],
        bars.mid[pick],
        bars.bid[pick],
        bars.ask[pick],
        volume=bars.volume[pick],
        quoted=bars.quoted,
    )


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4])
@pytest.mark.parametrize("path", [LONG, TRADES], ids=["forex", "crypto"])
def test_they_are_the_bars_of_the_engine_itself(path: Path, timeframe: Timeframe) -> None:
    bars = load(path)
    calendar = calendar_for(bars.instrument)
    longer, table = resampled(bars, timeframe, calendar), to_table(bars)
    assert longer.timeframe is timeframe
    ours, live = to_table(longer), resample_table(table, bars.timeframe, timeframe, calendar)
    priced = [name for name in live.column_names if name != "volume"]
    assert ours.select(priced).equals(live.select(priced))
    if not np.isnan(bars.volume).all():
        assert ours.column("volume").equals(live.column("volume"))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_is_missing_what_is_met_is_the_next_open_at_the_close_or_the_last_close_before(
    data: st.DataObject,
) -> None:
    bars = window(generated(BTCUSD, Timeframe.M1, 40, seed=4), 0, 40)
    rows = sorted(data.draw(st.sets(st.integers(0, 39), min_size=1)))
    fine = some(bars, rows)
    longer = resampled(fine, Timeframe.M5, calendar_for(BTCUSD))
    for row, close in enumerate(longer.closes_at.tolist()):
        follower = np.flatnonzero(fine.times == close)
        before = np.flatnonzero(fine.closes_at <= close)[-1]
        for column, side in ((BID, fine.bid), (ASK, fine.ask)):
            met = side[follower[0], OPEN] if follower.size else side[before, CLOSE]
            assert longer.after[row, column] == met


def test_both_sides_have_their_own_range() -> None:
    bars = generated(BTCUSD, Timeframe.M5, 12 * 24, seed=9)
    longer = resampled(bars, Timeframe.H1, calendar_for(BTCUSD))
    assert len(longer) == 24
    for whole, fine in ((longer.bid, bars.bid), (longer.ask, bars.ask), (longer.mid, bars.mid)):
        hours = fine.reshape(24, 12, 4)
        expected = [hours[:, 0, 0], hours[:, :, 1].max(axis=1), hours[:, :, 2].min(axis=1), hours[:, -1, 3]]
        assert whole.T.tolist() == [column.tolist() for column in expected]
    assert longer.places == bars.places
    assert longer.quoted


def test_a_quote_that_came_after_a_bar_stays_with_the_bucket_that_ends_with_it() -> None:
    fine = window(generated(BTCUSD, Timeframe.M1, 40, seed=4), 0, 10)
    longer = resampled(fine, Timeframe.M5, calendar_for(BTCUSD))
    assert longer.after[-1].tolist() == fine.after[-1].tolist()


def test_the_same_timeframe_is_the_same_bars_and_a_part_of_one_is_refused() -> None:
    bars = generated(EURUSD, Timeframe.M15, 50, seed=1)
    assert resampled(bars, Timeframe.M15, calendar_for(EURUSD)) is bars
    with pytest.raises(ValueError, match="5m is not a multiple of 15m"):
        resampled(bars, Timeframe.M5, calendar_for(EURUSD))


def test_without_a_whole_bucket_there_is_no_bar() -> None:
    calendar = calendar_for(BTCUSD)
    assert len(resampled(no_bars(BTCUSD, Timeframe.M1), Timeframe.H1, calendar)) == 0
    assert len(resampled(generated(BTCUSD, Timeframe.M1, 59, seed=1), Timeframe.H1, calendar)) == 0
