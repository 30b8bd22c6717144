"""The order of trades changes the drawdown, the trades that happened change the end."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.replay.models import TRADE_SCHEMA
from ffe.replay.trade_order import growth_factors, monte_carlo


def traded(pnl) -> pa.Table:
    return pa.Table.from_pylist([{"pnl": float(each)} for each in pnl], schema=TRADE_SCHEMA)


def test_the_observed_order_is_the_equity_that_was_made():
    found = monte_carlo(traded([100, -50, 25]), 1000.0, 50)
    assert found.observed_final == pytest.approx(1075)
    assert found.observed_drawdown == pytest.approx(50 / 1100)
    assert (found.trades, found.resamples) == (3, 50)


def test_losses_in_a_row_are_recognised_as_an_unlucky_order():
    pnl = np.concatenate((np.full(20, 10.0), np.full(20, -10.0), np.full(20, 10.0)))
    unlucky = monte_carlo(traded(pnl), 1000.0, 500)
    lucky = monte_carlo(traded(np.tile([10.0, -10.0, 10.0], 20)), 1000.0, 500)
    assert unlucky.deeper_share < 0.02
    assert lucky.deeper_share > 0.98
    assert unlucky.observed_drawdown > unlucky.drawdown.high


def test_quantiles_are_in_order_and_around_what_happened():
    pnl = np.random.default_rng(1).normal(2, 20, 100)
    found = monte_carlo(traded(pnl), 1000.0, 1000)
    assert found.final.low < found.final.median < found.final.high
    assert found.final.low < found.observed_final < found.final.high
    assert 0 < found.drawdown.low < found.drawdown.median < found.drawdown.high < 1
    assert found.final.median == pytest.approx(found.observed_final, rel=0.05)
    assert 0 < found.loss_share < 1


def test_only_profits_never_draw_down_and_never_end_below_the_capital():
    found = monte_carlo(traded([5, 10, 20]), 1000.0, 100)
    assert (found.loss_share, found.drawdown.high, found.deeper_share) == (0.0, 0.0, 1.0)


def test_an_account_that_lost_everything_is_at_zero():
    found = monte_carlo(traded([-600, -600, 100]), 1000.0, 100)
    assert found.observed_final == 0.0
    assert found.observed_drawdown == 1.0
    assert growth_factors(np.array([-600.0, -600.0, 100.0]), 1000.0) == pytest.approx([0.4, 0.0, 1.0])


@pytest.mark.parametrize("pnl", [[], [5.0]])
def test_fewer_than_two_trades_have_no_order(pnl):
    assert monte_carlo(traded(pnl), 1000.0) is None


def test_the_same_seed_gives_the_same_result_also_in_pieces(monkeypatch):
    trades = traded(np.random.default_rng(2).normal(0, 10, 50))
    assert monte_carlo(trades, 1000.0, 200, 3) == monte_carlo(trades, 1000.0, 200, 3)
    assert monte_carlo(trades, 1000.0, 200, 3) != monte_carlo(trades, 1000.0, 200, 4)
    whole = monte_carlo(trades, 1000.0, 2000, 3)
    monkeypatch.setattr("ffe.replay.trade_order._CHUNK", 1000)
    assert monte_carlo(trades, 1000.0, 2000, 3).drawdown.median == pytest.approx(whole.drawdown.median, rel=0.1)


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="pnl is nan at row 1"):
        monte_carlo(pa.Table.from_pylist([{"pnl": 1.0}, {"pnl": None}], schema=TRADE_SCHEMA), 1000.0)
    with pytest.raises(ValueError, match="starts with 0"):
        monte_carlo(traded([1, 2]), 0.0)


@given(st.lists(st.floats(-200, 300), min_size=2, max_size=40))
def test_growth_multiplies_to_the_final_equity(pnl):
    equity = 1000 + np.cumsum(pnl)
    final = 1000 * np.prod(growth_factors(np.array(pnl), 1000.0))
    assert final == pytest.approx(equity[-1] if equity.min() > 0 else 0.0, abs=1e-6)
