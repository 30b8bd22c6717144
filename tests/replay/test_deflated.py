"""Deflated Sharpe ratios are those of the papers' own examples."""

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ffe.replay.deflated import (
    Moments,
    deflated,
    deflated_sharpe,
    expected_maximum_sharpe,
    independent_trials,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)

# Bailey & Lopez de Prado 2014, "a numerical example": five years of 250 daily returns, annualised Sharpe 2.5, skewness -3, kurtosis 10,
# the best of 100 trials whose annualised Sharpe ratios have a variance of 1/2.
PAPER = Moments(n=1250, sharpe=2.5 / sqrt(250), skewness=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / 250


def test_the_papers_example_is_deflated_to_90_percent():
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)


def test_the_papers_example_would_pass_with_46_trials_or_88_of_normal_returns():
    normal = Moments(n=1250, sharpe=PAPER.sharpe, skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe(PAPER, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_ten_and_of_45_trials_is_what_pseudo_mathematics_says():
    """Bailey, Borwein, Lopez de Prado & Zhu 2014: 1.57 for ten trials; 45 trials over five years reach an annualised Sharpe of 1."""
    assert expected_maximum_sharpe(10, 1.0) == pytest.approx(1.57, abs=0.01)
    assert expected_maximum_sharpe(45, 1 / 5) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize(
    ("per_year", "skewness", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_record_is_that_of_the_paper(per_year, skewness, kurtosis, years):
    """Bailey & Lopez de Prado 2012: years until an annualised Sharpe of 2 is above 1 with 95 % confidence."""
    found = Moments(n=0, sharpe=2 / sqrt(per_year), skewness=skewness, kurtosis=kurtosis)
    assert minimum_track_record(found, 1 / sqrt(per_year)) / per_year == pytest.approx(years, abs=0.01)


def test_a_track_record_of_the_minimum_length_is_just_significant():
    needed = minimum_track_record(PAPER, 0.1)
    exact = Moments(n=round(needed), sharpe=PAPER.sharpe, skewness=-3.0, kurtosis=10.0)
    assert probabilistic_sharpe(exact, 0.1) == pytest.approx(0.95, abs=1e-3)


def test_no_track_record_shows_what_is_not_there():
    assert minimum_track_record(PAPER, PAPER.sharpe) == inf


def test_one_trial_was_not_chosen_from_anything():
    assert expected_maximum_sharpe(1, 0.5) == 0.0
    returns = np.random.default_rng(1).normal(0.001, 0.01, 300)
    found = deflated(returns, np.array([0.1]))
    assert found.benchmark == 0.0
    assert found.probability == found.probabilistic


def test_moments_are_those_of_scipy():
    returns = np.random.default_rng(2).standard_t(5, 500) * 0.01
    found = moments(returns)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-12)
    assert found.skewness == pytest.approx(stats.skew(returns), rel=1e-9)
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-9)


@pytest.mark.parametrize("returns", [np.zeros(0), np.array([0.1]), np.zeros(50)])
def test_returns_without_a_sharpe_ratio_are_not_deflated(returns):
    assert moments(returns) is None
    assert deflated(returns, np.array([0.1, 0.2])) is None


def test_the_best_of_many_random_trials_is_seldom_significant_once_deflated():
    generator = np.random.default_rng(4)
    plain = after = 0
    for _ in range(100):
        trials = generator.normal(0, 0.01, (50, 250))
        sharpes = trials.mean(axis=1) / trials.std(axis=1, ddof=1)
        found = deflated(trials[int(np.argmax(sharpes))], sharpes)
        plain += found.probabilistic >= 0.95
        after += found.significant
    assert plain > 80
    assert after < 15


def test_real_skill_among_many_trials_stays_significant():
    generator = np.random.default_rng(5)
    trials = generator.normal(0, 0.01, (50, 1000))
    trials[0] += 0.003
    sharpes = trials.mean(axis=1) / trials.std(axis=1, ddof=1)
    found = deflated(trials[0], sharpes)
    assert found.significant
    assert found.trials == 50
    assert found.needed < 1000


def test_copies_of_one_trial_are_one_trial_and_strangers_are_many():
    generator = np.random.default_rng(6)
    one = generator.normal(0, 1, 400)
    assert independent_trials(np.tile(one, (20, 1))) == pytest.approx(1.0)
    assert independent_trials(generator.normal(0, 1, (20, 400))) == pytest.approx(20, abs=0.5)
    assert independent_trials(np.stack((one, -one))) == 2.0
    assert independent_trials(np.zeros((5, 40))) == 5.0
    assert independent_trials(one[np.newaxis, :]) == 1.0


def test_independent_trials_are_counted_by_the_mean_correlation():
    generator = np.random.default_rng(7)
    trials = generator.normal(0, 1, (12, 300)) + generator.normal(0, 1, 300)
    correlation = np.corrcoef(trials)
    mean = correlation[np.triu_indices(12, 1)].mean()
    assert independent_trials(trials) == pytest.approx(mean + (1 - mean) * 12)


def test_a_count_of_independent_trials_deflates_less():
    generator = np.random.default_rng(8)
    trials = generator.normal(0.0005, 0.01, (30, 250))
    sharpes = trials.mean(axis=1) / trials.std(axis=1, ddof=1)
    assert deflated(trials[0], sharpes, 5.0).probability > deflated(trials[0], sharpes).probability


def test_what_is_not_a_number_is_refused():
    good = np.random.default_rng(1).normal(0, 1, 20)
    with pytest.raises(ValueError, match="trial sharpes is nan"):
        deflated(good, np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="got none"):
        deflated(good, np.zeros(0))
    with pytest.raises(ValueError, match="returns is inf"):
        moments(np.array([0.1, np.inf]))
    with pytest.raises(ValueError, match="returns is nan at row 3"):
        independent_trials(np.array([[0.1, 0.2], [0.3, np.nan]]))


@given(st.floats(-0.5, 0.5), st.integers(2, 5000), st.floats(1, 1e6), st.floats(1e-6, 0.1))
def test_more_trials_never_make_it_more_probable(sharpe, n, trials, variance):
    found = Moments(n=n, sharpe=sharpe, skewness=0.0, kurtosis=3.0)
    more = deflated_sharpe(found, trials * 2, variance)
    assert 0 <= more <= deflated_sharpe(found, trials, variance) <= 1
