"""Statistics are those of empyrical on real series, and defined or None at every edge."""

import csv
from pathlib import Path

import empyrical
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ffe.market.models import AssetClass, Timeframe
from ffe.replay import statistics
from ffe.replay.models import TRADE_SCHEMA
from ffe.replay.statistics import describe

FOLDER = Path(__file__).parents[1] / "data" / "bars"
REAL = {
    "BTCUSD 1m": "BTC-USD_1m_trades_2018-04-04",
    "EURUSD 1m": "long/EUR-USD_1m_bidask_2014-05-01",
    "GBPUSD 1h": "cases/GBP-USD_1h_bidask_2012-02",
    "EURUSD 1h": "cases/EUR-USD_1h_bidask_franc_2015-01-15",
}
MONDAY = 1_522_627_200
DAY = 86_400
BLANK = {
    "instrument": "BTCUSD",
    "side": "BUY",
    "units": 1.0,
    "entry_time": MONDAY,
    "exit_time": MONDAY,
    "entry_price": 100.0,
    "exit_price": 100.0,
    "exit_reason": "signal",
    "pnl": 0.0,
    "fees": 0.0,
    "slippage": 0.0,
    "spread": 0.0,
    "notional": 0.0,
    "entry_bar": 0,
    "exit_bar": 0,
}


@pytest.fixture(params=REAL.values(), ids=REAL.keys())
def closes(request) -> np.ndarray:
    with (FOLDER / f"{request.param}.csv").open() as file:
        return np.array([float(row.get("close") or row["bid_close"]) for row in csv.DictReader(file)])


def traded(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist([{**BLANK, **row} for row in rows], schema=TRADE_SCHEMA)


def days(count: int) -> np.ndarray:
    return MONDAY + DAY * np.arange(1, count + 1)


def described(equity, trades=None, notional=None, holds=None, **more):
    equity = np.asarray(equity, float)
    return describe(
        more.pop("times", days(equity.size)),
        equity,
        traded() if trades is None else trades,
        np.zeros(equity.size) if notional is None else np.asarray(notional, float),
        {} if holds is None else holds,
        timeframe=more.pop("timeframe", Timeframe.D1),
        asset_class=more.pop("asset_class", AssetClass.CRYPTO),
        **more,
    )


@pytest.mark.parametrize("per_year", [252, 365, 8760, 525_600])
def test_formulas_of_returns_equal_empyrical_on_real_series(closes, per_year):
    returns = empyrical.simple_returns(closes)
    drawdown = statistics.max_drawdown(closes)
    assert statistics.total_return(returns) == pytest.approx(empyrical.cum_returns_final(returns), rel=0, abs=1e-9)
    assert drawdown == pytest.approx(-empyrical.max_drawdown(returns), rel=0, abs=1e-9)
    for ours, theirs in [
        (statistics.annual_return, empyrical.annual_return),
        (statistics.volatility, empyrical.annual_volatility),
        (statistics.sharpe, empyrical.sharpe_ratio),
        (statistics.sortino, empyrical.sortino_ratio),
        (statistics.calmar, empyrical.calmar_ratio),
    ]:
        assert float(ours(returns, per_year)) == pytest.approx(
            theirs(returns, annualization=per_year), rel=1e-9, abs=1e-9
        )


@pytest.mark.parametrize(("asset_class", "per_year"), [(AssetClass.CRYPTO, 365), (AssetClass.FOREX, 252)])
def test_a_described_curve_of_real_closes_equals_empyrical(closes, asset_class, per_year):
    """Real closes as if they were one a trading day, and a capital before them."""
    count = 2 * closes.size
    times = days(count) if asset_class is AssetClass.CRYPTO else days(count)[np.arange(count) % 7 < 5]
    times = times[: closes.size]
    found = described(closes, times=times, asset_class=asset_class, capital=closes[0])
    returns = np.concatenate(([0.0], empyrical.simple_returns(closes)))
    year = {"annualization": per_year}
    assert found.returns_per == "day"
    assert found.return_ == pytest.approx(empyrical.cum_returns_final(returns), rel=0, abs=1e-9)
    assert found.cagr == pytest.approx(empyrical.annual_return(returns, **year), rel=0, abs=1e-9)
    assert found.volatility == pytest.approx(empyrical.annual_volatility(returns, **year), rel=0, abs=1e-9)
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=0, abs=1e-9)
    assert found.sortino == pytest.approx(empyrical.sortino_ratio(returns, **year), rel=0, abs=1e-9)
    assert found.calmar == pytest.approx(empyrical.calmar_ratio(returns, **year), rel=0, abs=1e-9)
    assert found.max_drawdown == pytest.approx(-empyrical.max_drawdown(returns), rel=0, abs=1e-9)


def test_a_few_days_are_measured_by_bar_and_never_compounded_to_a_year(closes):
    times = MONDAY + 60 * np.arange(1, closes.size + 1)
    found = described(closes, times=times, timeframe=Timeframe.M1)
    returns = empyrical.simple_returns(closes)
    assert found.returns_per == "bar"
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, annualization=525_600), abs=1e-9)
    assert (found.cagr, found.calmar) == (None, None)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_constant_equity_has_no_ratios_and_no_drawdown(count):
    found = described(np.full(count, 100.0), capital=100.0)
    assert (found.return_, found.max_drawdown, found.max_drawdown_days) == (0.0, 0.0, 0.0)
    assert (found.sharpe, found.sortino, found.calmar) == (None, None, None)
    assert found.volatility == (None if count == 1 else 0.0)


def test_steady_growth_has_no_sharpe_ratio_of_a_billion():
    found = described(100 * 1.001 ** np.arange(1, 60), capital=100.0)
    assert found.sharpe is None
    assert found.cagr == pytest.approx(1.001**365 - 1)


def test_one_bar_is_described():
    found = described([101.0], capital=100.0)
    assert found.return_ == pytest.approx(0.01)
    assert (found.sharpe, found.volatility, found.cagr) == (None, None, None)


@pytest.mark.parametrize("end", [0.0, -50.0])
def test_a_total_loss_is_one(end):
    found = described([*np.linspace(100, 10, 30), end], capital=100.0)
    assert found.cagr == -1.0
    assert found.return_ == end / 100 - 1
    assert found.max_drawdown == 1 - end / 100
    assert found.calmar == pytest.approx(-1 / found.max_drawdown)


def test_drawdown_lasts_from_the_last_peak_to_recovery():
    equity = [100, 120, 120, 90, 110, 120, 130, 129]
    found = described(equity, capital=100.0)
    assert found.max_drawdown == pytest.approx(0.25)
    assert found.max_drawdown_days == 3


def test_a_drawdown_without_recovery_lasts_to_the_end_and_may_start_with_the_capital():
    found = described([90, 80, 85], capital=100.0)
    assert found.max_drawdown == pytest.approx(0.2)
    assert found.max_drawdown_days == 3


def test_no_trades_are_described_without_ratios():
    found = described([100, 101, 100], holds={"model": 2, "data-gate": 1})
    assert (found.trades, found.win_rate, found.profit_factor, found.expectancy) == (0, None, None, None)
    assert (found.turnover, found.fees, found.slippage, found.spread, found.exposure) == (0, 0, 0, 0, 0)
    assert found.hold_share == {"model": pytest.approx(2 / 3), "data-gate": pytest.approx(1 / 3)}


def test_trades_are_added_up():
    trades = traded(
        {"pnl": 30.0, "fees": 1.0, "slippage": 0.5, "spread": 0.25, "notional": 50.0, "exit_price": 110.0},
        {"pnl": -10.0, "fees": 2.0, "notional": 100.0, "exit_reason": "stop"},
        {"pnl": 0.0, "notional": 10.0, "exit_reason": "open"},
    )
    found = described([100, 100], trades, holds={"model": 6, "halt": 0})
    assert (found.trades, found.fees, found.slippage, found.spread) == (3, 3.0, 0.5, 0.25)
    assert found.win_rate == pytest.approx(1 / 3)
    assert found.profit_factor == pytest.approx(3.0)
    assert found.expectancy == pytest.approx(20 / 3)
    # In and out: 50 + 55, 100 + 100, and 10 that is still held.
    assert found.turnover == pytest.approx(3.15)
    # Three entries and one closing signal are orders; the stop is none.
    assert found.hold_share == {"model": 0.6}


def test_orders_that_are_given_count_for_the_share_of_holds():
    assert described([100], holds={"model": 3}, orders=1).hold_share == {"model": 0.75}
    assert described([100], holds={}, orders=0).hold_share == {}


def test_no_returns_have_no_growth():
    assert np.isnan(statistics.annual_return(np.zeros(0), 365))


def test_only_profits_have_no_profit_factor_and_only_losses_have_zero():
    assert described([100], traded({"pnl": 5.0})).profit_factor is None
    assert described([100], traded({"pnl": -5.0})).profit_factor == 0.0


def test_exposure_is_the_share_of_open_hours_that_something_was_held():
    hours = MONDAY + 3600 * np.arange(1, 24 * 7 + 1)
    notional = np.where(np.arange(hours.size) < 24, -10.0, 0.0)
    found = described(np.full(hours.size, 100.0), notional=notional, times=hours, asset_class=AssetClass.FOREX)
    assert found.exposure == pytest.approx(24 / (24 * 7 - 47))


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="notional is nan at row 1"):
        described([1, 1], notional=[0, np.nan])
    with pytest.raises(ValueError, match="pnl is nan at row 0"):
        described([1, 1], traded({"pnl": None}))
    with pytest.raises(ValueError, match="equity is nan"):
        described([1, np.nan])


def test_intervals_come_with_resamples_and_hold_their_values():
    generator = np.random.default_rng(3)
    equity = 100 * np.cumprod(1 + generator.normal(0.001, 0.01, 200))
    trades = traded(*({"pnl": float(pnl)} for pnl in generator.normal(1, 5, 40)))
    found = described(equity, trades, capital=100.0, resamples=300)
    assert set(found.intervals) == {"return_", "cagr", "volatility", "sharpe", "sortino", "expectancy", "win_rate"}
    for name, interval in found.intervals.items():
        assert interval.value == pytest.approx(getattr(found, name), rel=1e-9)
        assert interval.low < interval.value < interval.high
    assert described(equity, trades, capital=100.0, resamples=300).intervals == found.intervals
    assert described(equity, trades, capital=100.0, resamples=300, seed=8).intervals != found.intervals
    assert described(equity, trades).intervals == {}


def test_a_short_curve_without_trades_has_no_intervals():
    assert described([100, 101], capital=100.0, resamples=100).intervals == {}


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_is_wilsons(n, data):
    wins = data.draw(st.integers(0, n))
    expected = binomtest(wins, n).proportion_ci(0.95, method="wilson")
    found = statistics.wilson(wins, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.low <= found.value <= found.high


@given(
    st.lists(st.floats(-1e4, 1e5), min_size=1, max_size=60),
    st.lists(st.floats(-1e4, 1e4), max_size=12),
    st.sampled_from(AssetClass),
)
def test_whatever_the_curve_every_number_is_finite_and_in_its_range(equity, pnl, asset_class):
    trades = traded(*({"pnl": each} for each in pnl))
    found = described(equity, trades, asset_class=asset_class, capital=1000.0, resamples=20)
    numbers = [found.return_, found.cagr, found.volatility, found.sharpe, found.sortino, found.calmar, found.expectancy]
    assert all(each is None or np.isfinite(each) for each in numbers)
    assert found.max_drawdown >= 0
    assert 0 <= found.max_drawdown_days <= len(equity)
    assert found.win_rate is None or 0 <= found.win_rate <= 1
    assert found.profit_factor is None or found.profit_factor >= 0
    assert found.cagr is None or found.cagr >= -1
    assert all(interval.low <= interval.high for interval in found.intervals.values())
