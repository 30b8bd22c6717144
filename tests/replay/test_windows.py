"""Windows never judge a bar twice, and regimes add up to the whole."""

import empyrical
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.models import INSTRUMENTS, Timeframe
from ffe.replay.models import TRADE_SCHEMA, Bars
from ffe.replay.windows import REGIMES, UNKNOWN, by_regime, monthly_returns, regimes, walk_forward

MONDAY = 1_522_627_200
DAY = 86_400
HOUR = 3600


def bars_of(closes, start: int = MONDAY) -> Bars:
    closes = np.asarray(closes, float)
    n = closes.size
    four = np.repeat(closes[:, np.newaxis], 4, axis=1)
    return Bars(
        instrument=INSTRUMENTS["BTCUSD"],
        timeframe=Timeframe.H1,
        times=start + HOUR * np.arange(n),
        mid=four,
        bid=four,
        ask=four,
        volume=np.full(n, np.nan),
        after=four[:, :2],
        places=2,
        quoted=True,
        sha256="0" * 64,
    )


def walk(n: int, seed: int = 1, scale: float = 0.01, drift: float = 0.0) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, scale, n)))


def traded(*rows: tuple[int, float]) -> pa.Table:
    return pa.Table.from_pylist([{"entry_bar": row, "pnl": pnl} for row, pnl in rows], schema=TRADE_SCHEMA)


def test_windows_go_on_by_the_test_days():
    times = MONDAY + HOUR * np.arange(24 * 10)
    found = walk_forward(times, 4, 2)
    assert [(window.train, window.test) for window in found] == [
        (slice(0, 96), slice(96, 144)),
        (slice(48, 144), slice(144, 192)),
        (slice(96, 192), slice(192, 240)),
    ]


def test_anchored_windows_choose_on_everything_before():
    times = MONDAY + HOUR * np.arange(24 * 10)
    assert [window.train for window in walk_forward(times, 4, 2, anchored=True)] == [
        slice(0, 96),
        slice(0, 144),
        slice(0, 192),
    ]


def test_windows_without_bars_in_a_part_are_left_out():
    times = np.concatenate((MONDAY + HOUR * np.arange(48), MONDAY + 6 * DAY + HOUR * np.arange(48)))
    found = walk_forward(times, 2, 1)
    assert [(window.train, window.test) for window in found] == [(slice(48, 72), slice(72, 96))]


@pytest.mark.parametrize("times", [np.zeros(0, dtype=np.int64), np.array([MONDAY]), MONDAY + HOUR * np.arange(20)])
def test_too_few_bars_make_no_window(times):
    assert walk_forward(times, 1, 1) == ()


@pytest.mark.parametrize(("train", "test"), [(0, 1), (1, 0), (-1, 1), (float("nan"), 1)])
def test_windows_without_length_are_refused(train, test):
    with pytest.raises(ValueError, match="positive lengths"):
        walk_forward(np.arange(10), train, test)


@given(
    st.lists(st.integers(1, 3 * DAY), min_size=2, max_size=200),
    st.floats(0.1, 20),
    st.floats(0.1, 20),
    st.booleans(),
)
def test_no_bar_is_judged_twice_or_chosen_on_after_it_was_judged(gaps, train, test, anchored):
    times = MONDAY + np.cumsum(gaps)
    found = walk_forward(times, train, test, anchored=anchored)
    judged = [row for window in found for row in range(window.test.start, window.test.stop)]
    assert len(judged) == len(set(judged))
    for window in found:
        assert window.train.start < window.train.stop == window.test.start < window.test.stop <= times.size
        spread = times[window.test.stop - 1] - times[window.train.start]
        assert anchored or spread < (train + test) * DAY


def test_monthly_returns_equal_empyrical():
    times = MONDAY + HOUR * np.arange(1, 24 * 100 + 1)
    equity = walk(times.size)
    index = pd.to_datetime(times - 1, unit="s", utc=True)
    returns = pd.Series(np.concatenate(([equity[0] / 100], equity[1:] / equity[:-1])) - 1, index=index)
    expected = empyrical.aggregate_returns(returns, "monthly")
    found = monthly_returns(times, equity, 100.0)
    assert [(year, month) for year, month, _ in found] == list(expected.index)
    assert [made for *_, made in found] == pytest.approx(expected.tolist(), abs=1e-9)


def test_the_first_month_starts_with_the_first_equity_and_a_lost_account_makes_nothing():
    times = np.array([MONDAY + HOUR, MONDAY + DAY, MONDAY + 40 * DAY, MONDAY + 80 * DAY])
    assert [made for *_, made in monthly_returns(times, np.array([100.0, 110.0, 0.0, 50.0]))] == pytest.approx(
        [0.1, -1, 0]
    )


def test_regimes_are_known_after_a_window():
    codes = regimes(bars_of(walk(200)), 24)
    assert (codes[:24] == UNKNOWN).all()
    assert (codes[24:] >= 0).all()
    assert codes.dtype == np.int8
    assert (regimes(bars_of(walk(24))) == UNKNOWN).all()


def test_a_climb_is_rising_a_fall_is_falling_and_flat_is_calm_and_sideways():
    up, flat, down = np.linspace(0, 1, 100), np.full(100, 1.0), np.linspace(1, 0, 100)
    codes = regimes(bars_of(np.exp(np.concatenate((up, flat, down)))), 24)
    names = [REGIMES[code] for code in codes[24:]]
    assert names[50].endswith("rising")
    assert names[130] == "calm sideways"
    assert names[260].endswith("falling")


def test_the_volatile_half_is_violent():
    closes = np.concatenate((walk(500, 1, 0.001), walk(500, 2, 0.05)))
    codes = regimes(bars_of(closes), 24)
    violent = codes >= 3
    assert violent[550:].mean() > 0.95
    assert violent[24:500].mean() < 0.05


def test_a_close_that_is_no_price_repeats_the_one_before():
    closes = walk(100)
    closes[50] = 0.0
    repaired = closes.copy()
    repaired[50] = closes[49]
    assert (regimes(bars_of(closes), 24) == regimes(bars_of(repaired), 24)).all()


def test_profits_and_bars_of_all_regimes_add_up():
    bars = bars_of(walk(600))
    equity = 1000 + np.cumsum(np.random.default_rng(3).normal(0, 5, 600))
    trades = traded((0, 5.0), (100, -3.0), (300, 8.0), (599, 1.0))
    found = by_regime(bars, bars.closes_at, equity, trades, capital=1000.0)
    assert sum(each.bars for each in found) == 600
    assert sum(each.share for each in found) == pytest.approx(1.0)
    assert sum(each.pnl for each in found) == pytest.approx(equity[-1] - 1000)
    assert np.prod([1 + each.return_ for each in found]) == pytest.approx(equity[-1] / 1000)
    assert np.prod([1 + each.market for each in found]) == pytest.approx(bars.close[-1] / bars.close[0])
    assert sum(each.trades for each in found) == 4
    assert found[-1].regime == "warm-up"
    assert (found[-1].win_rate, found[-1].expectancy) == (1.0, 5.0)
    assert {each.regime for each in found} <= {*REGIMES, "warm-up"}


def test_a_return_belongs_to_the_regime_before_it():
    closes = np.concatenate((100 + np.arange(60.0), [50.0], np.full(60, 50.0)))
    bars = bars_of(closes)
    found = by_regime(bars, bars.closes_at, closes, traded(), window=24)
    assert sum(each.pnl for each in found if each.regime.endswith("rising")) == pytest.approx(159 - 124 - 109)


def test_a_timeline_shared_with_other_instruments_is_understood():
    bars = bars_of(walk(300))
    shared = np.unique(np.concatenate((bars.closes_at, bars.closes_at + 900, [MONDAY - DAY])))
    equity = np.linspace(1000, 1100, shared.size)
    found = by_regime(bars, shared, equity, traded(), capital=1000.0)
    assert sum(each.bars for each in found) == shared.size
    assert all(each.win_rate is None for each in found)
    assert np.prod([1 + each.market for each in found]) == pytest.approx(bars.close[-1] / bars.close[0])
