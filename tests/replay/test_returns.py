"""Returns are taken by trading day where there are enough days, and nothing unfit gets through."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ffe.cycle.account import bars_per_year
from ffe.market.models import INSTRUMENTS, AssetClass, Timeframe
from ffe.replay.returns import DAY, Per, returns_of, trading

MONDAY = 1_522_627_200  # 2018-04-02 00:00 UTC
HOUR = 3600


def hours(count: int, start: int = MONDAY) -> np.ndarray:
    """Closes of hourly bars, the first of them opening at `start`."""
    return start + HOUR * np.arange(1, count + 1)


def crypto(times, equity, **more):
    return returns_of(times, np.asarray(equity, float), timeframe=Timeframe.H1, asset_class=AssetClass.CRYPTO, **more)


def forex(times, equity, **more):
    return returns_of(times, np.asarray(equity, float), timeframe=Timeframe.H1, asset_class=AssetClass.FOREX, **more)


def test_a_bar_that_closes_at_midnight_belongs_to_the_day_it_ends():
    equity = 100.0 + np.arange(24 * 20)
    found = crypto(hours(24 * 20), equity, capital=100.0)
    assert found.per is Per.DAY
    assert found.values.size == 20
    assert found.values[0] == pytest.approx(equity[23] / 100.0 - 1)


def test_a_day_without_bars_carries_the_equity_on():
    times = np.concatenate((hours(24 * 10), hours(24 * 10, MONDAY + 15 * DAY)))
    found = crypto(times, np.linspace(100, 200, times.size), capital=100.0)
    assert found.values.size == 25
    assert (found.values[10:15] == 0).all()
    assert np.prod(1 + found.values) == pytest.approx(2.0)


def test_forex_has_five_days_a_week_and_sunday_evening_is_monday():
    week = np.concatenate(
        [hours(24, MONDAY + day * DAY) for day in range(5)] + [hours(2, MONDAY + 6 * DAY + 22 * HOUR)]
    )
    times = np.concatenate([week + 7 * DAY * number for number in range(5)])
    found = forex(times, np.linspace(100, 110, times.size), capital=100.0)
    assert found.per is Per.DAY
    assert found.values.size == 26
    assert (found.values != 0).all()
    assert found.per_year == 252


def test_under_twenty_days_the_returns_are_those_of_bars():
    found = crypto(hours(24 * 19), np.linspace(100, 110, 24 * 19), capital=100.0)
    assert found.per is Per.BAR
    assert found.values.size == 24 * 19
    assert found.per_year == 8760


@pytest.mark.parametrize("timeframe", Timeframe)
@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
def test_a_year_has_as_many_bars_as_in_the_live_engine(symbol, timeframe):
    instrument = INSTRUMENTS[symbol]
    found = returns_of(hours(2), np.ones(2), timeframe=timeframe, asset_class=instrument.asset_class)
    assert found.per_year == float(bars_per_year(instrument, timeframe))


def test_forex_bars_of_a_weekend_on_a_shared_timeline_are_left_out():
    times = hours(24 * 7)
    found = forex(times, np.full(times.size, 100.0), capital=100.0)
    # Friday 22:00 to Sunday 21:00 are 47 hours.
    assert found.values.size == 24 * 7 - 47
    assert found.per_year == 6240


def test_without_capital_the_first_equity_is_where_it_starts():
    assert crypto(hours(3), [100, 110, 99]).values == pytest.approx([0.1, -0.1])
    assert crypto(hours(1), [100]).values.size == 0


def test_after_a_total_loss_every_return_is_zero():
    assert crypto(hours(4), [50, 0, -20, 30], capital=100.0).values == pytest.approx([-0.5, -1, 0, 0])


@pytest.mark.parametrize(
    ("times", "equity", "capital", "said"),
    [
        ([], [], None, "0 for 0 moments"),
        ([1, 2], [1.0], None, "1 for 2 moments"),
        ([1, 3, 3], [1.0, 1.0, 1.0], None, "at row 2"),
        ([1, 2], [1.0, np.nan], None, "equity is nan at row 1"),
        ([1, 2], [1.0, np.inf], None, "equity is inf at row 1"),
        ([1, 2], [0.0, 1.0], None, "starts with 0.0"),
        ([1, 2], [1.0, 1.0], 0.0, "starts with 0.0"),
        ([1, 2], [1.0, 1.0], float("nan"), "starts with nan"),
    ],
)
def test_what_no_statistic_can_be_computed_from_is_refused(times, equity, capital, said):
    with pytest.raises(ValueError, match=said):
        crypto(np.array(times, dtype=np.int64), equity, capital=capital)


@given(
    st.lists(st.floats(1, 1e6), min_size=1, max_size=900),
    st.sampled_from([crypto, forex]),
    st.integers(0, 10**9),
)
def test_returns_compound_to_the_total(equity, returns, start):
    times = hours(len(equity), MONDAY + start)
    found = returns(times, equity, capital=1000.0)
    # Equity that only a forex weekend shows is no forex return.
    assume(returns is crypto or found.per is Per.DAY or trading(times, AssetClass.FOREX)[-1])
    assert np.prod(1 + found.values) == pytest.approx(equity[-1] / 1000.0, rel=1e-9)
