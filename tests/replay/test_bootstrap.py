"""Intervals hold the truth as often as they say, and the same series gives the same interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from ffe.replay.bootstrap import block_length, careful_length, interval, paired_difference, resampled_rows
from ffe.replay.statistics import sharpe, total_return

SERIES = 800


def mean(values):
    return np.mean(values, axis=-1)


def in_order(values):
    """1 while the values only rise, else undefined."""
    return np.where(np.diff(values, axis=-1).min(axis=-1) > 0, 1.0, np.nan)


def normal(generator, n):
    return generator.normal(0.0, 1.0, n)


def skewed(generator, n):
    return generator.exponential(1.0, n) - 1.0


def fat_tailed(generator, n):
    return generator.standard_t(4, n)


def dependent(generator, n):
    """AR(1) with a correlation of 0.3 from one value to the next."""
    return lfilter([1.0], [1.0, -0.3], generator.normal(0.0, 1.0, n + 50))[50:]


def coverage(draw, n, seed, **more) -> float:
    """Share of series whose interval holds the true mean, which is 0."""
    generator = np.random.default_rng(seed)
    found = [interval(draw(generator, n), mean, 200, number, **more) for number in range(SERIES)]
    return float(np.mean([each.low <= 0 <= each.high for each in found]))


@pytest.mark.parametrize(("draw", "n"), [(normal, 20), (normal, 100), (skewed, 100), (fat_tailed, 100)])
def test_a_95_percent_interval_holds_the_true_mean_in_95_of_100_series(draw, n):
    assert 0.92 <= coverage(draw, n, 11) <= 0.98


def test_intervals_of_dependent_series_hold_thanks_to_blocks():
    assert 0.9 <= coverage(dependent, 200, 12) <= 0.98
    assert coverage(dependent, 200, 12, block=1) < 0.86


def test_a_series_differs_from_itself_by_exactly_zero():
    values = np.random.default_rng(1).normal(0, 0.01, 300)
    found = paired_difference(values, values.copy(), 100, 1)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_paired_difference_leaves_out_what_the_market_did_to_both():
    market = np.random.default_rng(2).normal(0, 0.02, 500)
    found = paired_difference(market + 0.0005, market, 500, 3)
    alone = interval(market, total_return, 500, 3)
    assert found.low > 0
    assert found.high - found.low < (alone.high - alone.low) / 2
    assert found.value == pytest.approx(np.prod(1 + market + 0.0005) - np.prod(1 + market))


def test_a_paired_difference_turns_its_sign_with_the_order():
    generator = np.random.default_rng(4)
    a, b = generator.normal(0, 0.01, 200), generator.normal(0, 0.01, 200)
    there, back = paired_difference(a, b, 300, 5), paired_difference(b, a, 300, 5)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_many_returns_are_pooled_without_changing_what_is_found(monkeypatch):
    generator = np.random.default_rng(9)
    a, b = generator.normal(0, 0.001, 3001), generator.normal(0, 0.001, 3001)
    whole = paired_difference(a, b, 1000, 5)
    monkeypatch.setattr("ffe.replay.bootstrap._MOST", 500)
    pooled = paired_difference(a, b, 1000, 5)
    assert pooled.value == whole.value
    assert (pooled.low, pooled.high) == pytest.approx((whole.low, whole.high), rel=0.15)
    assert paired_difference(a, a.copy(), 100, 5).high == 0.0


def test_paired_series_need_one_length():
    with pytest.raises(ValueError, match="got 3 and 4"):
        paired_difference(np.zeros(3), np.zeros(4))


def test_of_a_handful_of_returns_nothing_is_known():
    assert interval(np.array([0.1, 0.2, 0.3, 0.4]), mean) is None
    found = paired_difference(np.array([0.1, 0.2]), np.array([0.1, 0.1]))
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.value == pytest.approx(1.1 * 1.2 - 1.1 * 1.1)


def test_a_statistic_that_is_undefined_has_no_interval():
    assert interval(np.zeros(50), lambda values: sharpe(values, 365)) is None
    assert interval(np.arange(50.0), in_order, block=1) is None


def test_the_same_seed_gives_the_same_bounds_to_the_bit():
    values = np.random.default_rng(6).normal(0, 1, 200)
    assert interval(values, mean, 300, 9) == interval(values, mean, 300, 9)
    assert interval(values, mean, 300, 9) != interval(values, mean, 300, 10)


def test_a_long_series_is_resampled_in_pieces(monkeypatch):
    values = np.random.default_rng(6).normal(0, 1, 1000)
    whole = interval(values, mean, 500, 9)
    monkeypatch.setattr("ffe.replay.bootstrap._CHUNK", 20_000)
    pieces = interval(values, mean, 500, 9)
    assert (pieces.low, pieces.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_the_interval_of_a_short_series_is_as_wide_as_students():
    values = np.random.default_rng(8).normal(0, 1, 8)
    found = interval(values, mean, 20_000, 1, block=1)
    student = 2 * 2.3646 * values.std(ddof=1) / np.sqrt(8)
    assert found.high - found.low == pytest.approx(student, rel=0.1)


def test_independent_values_need_no_blocks_and_dependent_ones_do():
    generator = np.random.default_rng(5)
    independent = [block_length(generator.normal(0, 1, 1000)) for _ in range(20)]
    tied = [
        block_length(np.cumsum(generator.normal(0, 1, 1000)) * 0.1 + generator.normal(0, 1, 1000)) for _ in range(20)
    ]
    assert np.median(independent) < 4
    assert np.median(tied) > 20


def test_block_length_is_that_of_the_published_rule_for_ar1():
    """Politis & White 2004 with the correction of 2009: g = 2 r / (1 - r)^2 / (1 - r^2), D = 2 s^2, for an AR(1) with correlation r."""
    generator = np.random.default_rng(7)
    r, n = 0.5, 20_000
    values = lfilter([1.0], [1.0, -r], generator.normal(0, 1, n))
    covariance = r ** np.arange(1, 200) / (1 - r * r)
    g = 2 * np.sum(np.arange(1, 200) * covariance)
    spectrum = 1 / (1 - r) ** 2
    assert block_length(values) == pytest.approx((2 * g * g / (2 * spectrum**2) * n) ** (1 / 3), rel=0.25)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(5), np.full(100, 3.3), np.array([1.0, 2.0])])
def test_what_has_no_dependence_to_measure_has_blocks_of_one(values):
    assert block_length(values) == 1.0


def test_a_series_without_spectrum_at_zero_gets_the_longest_blocks():
    values = np.diff(np.random.default_rng(0).normal(0, 1, 101))
    assert block_length(values) == 30
    # An interval keeps at least five blocks.
    assert careful_length(values) == 20


@given(st.integers(1, 60), st.integers(1, 20), st.floats(1, 40), st.integers(0, 9))
def test_resampled_rows_are_rows_in_blocks(n, count, block, seed):
    rows = resampled_rows(n, count, block, np.random.default_rng(seed))
    assert rows.shape == (count, n)
    assert rows.min() >= 0
    assert rows.max() < n


def test_blocks_have_the_length_that_was_asked_for():
    rows = resampled_rows(5000, 20, 10.0, np.random.default_rng(1))
    broken = np.mean((np.diff(rows, axis=1) % 5000) != 1)
    assert 1 / broken == pytest.approx(10, rel=0.05)
