"""A difference to a baseline says whether it may be chance; random strategies have no edge before costs."""

import numpy as np
import pytest

from ffe.market.models import AssetClass, Timeframe
from ffe.replay.compare import beats, compared, rank_among
from ffe.replay.models import TRADE_SCHEMA, Compared
from ffe.replay.statistics import describe

HOURS = 1_522_627_200 + 3600 * np.arange(1, 24 * 60 + 1)
RULES = {"timeframe": Timeframe.H1, "asset_class": AssetClass.CRYPTO}
WALKS = 200


def beside(strategy, baseline, times=HOURS, **more) -> Compared:
    stats = describe(times, baseline, TRADE_SCHEMA.empty_table(), np.zeros(times.size), {}, capital=1000.0, **RULES)
    return compared("hold", times, strategy, baseline, stats, capital=1000.0, **RULES, **more)


def market(generator: np.random.Generator) -> np.ndarray:
    """Hourly returns of a market without drift, violent and calm in turn as real ones are."""
    scale = 0.004 * np.exp(0.5 * np.sin(np.arange(HOURS.size) / 50.0))
    return generator.standard_t(4, HOURS.size) * scale


def held_at_random(generator: np.random.Generator, choices: tuple[float, ...]) -> np.ndarray:
    """A share of equity held for 24 hours at a time, decided before any of them."""
    return np.repeat(generator.choice(choices, HOURS.size // 24), 24)


def share_with_zero(choices: tuple[float, ...], usual: float) -> float:
    """Of random strategies on random walks, how many have an interval with zero excess over always holding `usual`, before costs."""
    generator = np.random.default_rng(21)
    inside = 0
    for seed in range(WALKS):
        returns = market(generator)
        strategy = 1000 * np.cumprod(1 + held_at_random(generator, choices) * returns)
        baseline = 1000 * np.cumprod(1 + usual * returns)
        found = beside(strategy, baseline, resamples=300, seed=seed)
        inside += beats(found) is None
    return inside / WALKS


def test_random_strategies_have_no_excess_over_cash_before_costs():
    assert 0.92 <= share_with_zero((-0.5, 0.0, 0.5), 0.0) <= 0.98


def test_random_long_only_strategies_have_no_excess_over_their_own_exposure_before_costs():
    assert 0.92 <= share_with_zero((0.0, 1.0), 0.5) <= 0.98


def test_costs_show_in_a_random_strategy():
    generator = np.random.default_rng(22)
    position = held_at_random(generator, (-0.5, 0.5))
    costs = 0.012 * np.abs(np.diff(position, prepend=0.0))
    returns = generator.normal(0, 0.001, HOURS.size)
    found = beside(1000 * np.cumprod(1 + position * returns - costs), np.full(HOURS.size, 1000.0))
    assert beats(found) is False


def test_an_edge_is_seen():
    returns = market(np.random.default_rng(23)) / 4
    found = beside(1000 * np.cumprod(1 + returns + 0.0005), 1000 * np.cumprod(1 + returns))
    assert beats(found) is True
    assert found.low < found.difference < found.high


def test_the_difference_is_that_of_total_returns():
    strategy, baseline = np.linspace(1000, 1300, HOURS.size), np.linspace(1000, 1100, HOURS.size)
    found = beside(strategy, baseline)
    assert found.strategy == "hold"
    assert found.difference == pytest.approx(0.2)
    assert found.stats.return_ == pytest.approx(0.1)
    assert found.equity is baseline


def test_a_strategy_against_itself_is_zero():
    equity = 1000 * np.cumprod(1 + market(np.random.default_rng(24)))
    found = beside(equity, equity)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert beats(found) is None


def test_a_handful_of_bars_says_nothing():
    found = beside(np.array([1010.0, 1020.0]), np.array([1000.0, 1000.0]), HOURS[:2])
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert beats(found) is None


def test_without_capital_both_start_with_their_first_equity():
    stats = beside(np.full(3, 1000.0), np.full(3, 1000.0), HOURS[:3]).stats
    found = compared("hold", HOURS[:3], np.array([10.0, 11, 12]), np.array([100.0, 100, 110]), stats, **RULES)
    assert found.difference == pytest.approx(0.1)


def test_a_comparison_is_the_same_at_every_run():
    generator = np.random.default_rng(25)
    a, b = 1000 * np.cumprod(1 + market(generator)), 1000 * np.cumprod(1 + market(generator))
    first, second = beside(a, b, seed=4), beside(a, b, seed=4)
    assert (first.low, first.high) == (second.low, second.high)


def test_the_rank_among_random_runs_counts_equal_ones_as_half():
    others = np.array([1.0, 2.0, 2.0, 3.0])
    assert rank_among(2.0, others) == 0.5
    assert rank_among(5.0, others) == 1.0
    assert np.isnan(rank_among(1.0, np.zeros(0)))
