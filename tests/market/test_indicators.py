"""Indicators against slow references written from their definitions, and None where a value is not defined."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market import indicators
from ffe.market.indicators import Series


def walk(seed: int, bars: int, level: float = 100.0) -> tuple[Series, Series, Series]:
    """High, low and close of a random walk."""
    random = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(random.normal(0, 0.002, bars)))
    spread = level * np.abs(random.normal(0, 0.001, (2, bars)))
    return close + spread[0], close - spread[1], close


def wilder(values: list[float], period: int) -> float:
    """Wilder's smoothing: the mean of the first `period`, then 1/period of each further value."""
    mean = sum(values[:period]) / period
    for value in values[period:]:
        mean = (mean * (period - 1) + value) / period
    return mean


def true_ranges(high: Series, low: Series, close: Series) -> list[float]:
    return [
        max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1])) for i in range(1, close.size)
    ]


def reference_rsi(close: Series) -> float:
    steps = np.diff(close).tolist()
    gain, loss = wilder([max(step, 0.0) for step in steps], 14), wilder([max(-step, 0.0) for step in steps], 14)
    return 100 * gain / (gain + loss)


def reference_ema(values: Series, period: int) -> list[float]:
    mean = float(np.mean(values[:period]))
    path = [mean]
    for value in values[period:]:
        mean += (value - mean) * 2 / (period + 1)
        path.append(mean)
    return path


def reference_macd(close: Series) -> float:
    """Both averages start where the slow one can, at bar 26."""
    line = np.array(reference_ema(close[14:], 12)) - np.array(reference_ema(close, 26))
    return float(line[-1]) - reference_ema(line, 9)[-1]


def reference_adx(high: Series, low: Series, close: Series) -> float:
    """Wilder's sums lose a fourteenth of themselves and gain the new value; the sums start with thirteen values."""
    ranges = true_ranges(high, low, close)
    ups, downs = np.diff(high), -np.diff(low)
    plus = np.where((ups > downs) & (ups > 0), ups, 0.0)
    minus = np.where((downs > ups) & (downs > 0), downs, 0.0)
    sums = [sum(series[:13]) for series in (ranges, plus, minus)]
    indexes = []
    for i in range(13, len(ranges)):
        sums = [total - total / 14 + series[i] for total, series in zip(sums, (ranges, plus, minus), strict=True)]
        up, down = 100 * sums[1] / sums[0], 100 * sums[2] / sums[0]
        indexes.append(100 * abs(up - down) / (up + down))
    return wilder(indexes, 14)


def reference_stochastic(high: Series, low: Series, close: Series) -> float:
    raw = []
    for end in range(close.size - 2, close.size + 1):
        top, bottom = high[end - 14 : end].max(), low[end - 14 : end].min()
        raw.append(100 * (close[end - 1] - bottom) / (top - bottom))
    return float(np.mean(raw))


@given(seed=st.integers(0, 10_000), bars=st.integers(40, 250))
def test_every_indicator_agrees_with_its_definition(seed: int, bars: int) -> None:
    high, low, close = walk(seed, bars)
    tail = close[-20:]
    position = (close[-1] - (tail.mean() - 2 * tail.std())) / (4 * tail.std())
    assert indicators.rsi(close) == pytest.approx(reference_rsi(close), abs=1e-9)
    assert indicators.macd_histogram(close) == pytest.approx(reference_macd(close), abs=1e-9)
    assert indicators.bollinger_position(close) == pytest.approx(position, abs=1e-9)
    assert indicators.atr(high, low, close) == pytest.approx(wilder(true_ranges(high, low, close), 14), abs=1e-9)
    assert indicators.adx(high, low, close) == pytest.approx(reference_adx(high, low, close), abs=1e-9)
    assert indicators.stochastic(high, low, close) == pytest.approx(reference_stochastic(high, low, close), abs=1e-9)
    assert indicators.ema(close, 9) == pytest.approx(reference_ema(close, 9)[-1], abs=1e-9)


def all_values(high: Series, low: Series, close: Series) -> list[float | None]:
    return [
        indicators.rsi(close),
        indicators.macd_histogram(close),
        indicators.bollinger_position(close),
        indicators.adx(high, low, close),
        indicators.atr(high, low, close),
        indicators.stochastic(high, low, close),
    ]


@pytest.mark.parametrize(
    ("bars", "defined"),
    [(0, 0), (1, 0), (14, 0), (15, 2), (17, 2), (18, 3), (19, 3), (20, 4), (27, 4), (28, 5), (33, 5), (34, 6)],
)
def test_each_indicator_appears_with_its_own_number_of_bars(bars: int, defined: int) -> None:
    high, low, close = walk(3, bars)
    assert sum(value is not None for value in all_values(high, low, close)) == defined


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 30, 59])
def test_a_value_that_is_no_number_leaves_every_indicator_undefined(poison: float, where: int) -> None:
    high, low, close = walk(4, 60)
    for series in (high, low, close):
        series[where] = poison
    assert all_values(high, low, close) == [None] * 6


def test_a_market_that_does_not_move_has_no_oscillator() -> None:
    flat = np.full(60, 100.0)
    rsi, macd, position, _, atr, stochastic = all_values(flat, flat, flat)
    assert (rsi, position, stochastic) == (None, None, None)
    assert (macd, atr) == (0.0, 0.0)


def test_a_flat_stretch_behind_the_newest_bar_leaves_the_stochastic_undefined() -> None:
    high, low, close = walk(5, 60)
    high[-15:-1], low[-15:-1] = 100.0, 100.0
    assert indicators.stochastic(high, low, close) is None


def test_the_atr_series_is_undefined_until_its_fifteenth_bar() -> None:
    series = indicators.atr_series(*walk(6, 40))
    assert np.isnan(series[:14]).all()
    assert np.isfinite(series[14:]).all()


def test_the_moving_average_starts_with_its_period() -> None:
    _, _, close = walk(6, 9)
    assert indicators.ema(close[:8], 9) is None
    assert indicators.ema(close, 9) == pytest.approx(close.mean())


@pytest.mark.parametrize("level", [1e-8, 1.0, 1e5])
def test_the_bollinger_position_does_not_depend_on_the_price_level(level: float) -> None:
    _, _, close = walk(7, 60)
    assert indicators.bollinger_position(close * level) == pytest.approx(indicators.bollinger_position(close), abs=1e-9)


EVERY_SERIES: dict[str, Callable[[Series, Series, Series], Series]] = {
    "rsi": lambda high, low, close: indicators.rsi_series(close),
    "macd_histogram": lambda high, low, close: indicators.macd_histogram_series(close),
    "bollinger_position": lambda high, low, close: indicators.bollinger_position_series(close),
    "adx": indicators.adx_series,
    "atr": indicators.atr_series,
    "stochastic": indicators.stochastic_series,
    "ema": lambda high, low, close: indicators.ema_series(close, 9),
}
NEWEST: dict[str, Callable[[Series, Series, Series], float | None]] = {
    "rsi": lambda high, low, close: indicators.rsi(close),
    "macd_histogram": lambda high, low, close: indicators.macd_histogram(close),
    "bollinger_position": lambda high, low, close: indicators.bollinger_position(close),
    "adx": indicators.adx,
    "atr": indicators.atr,
    "stochastic": indicators.stochastic,
    "ema": lambda high, low, close: indicators.ema(close, 9),
}


def test_every_indicator_that_the_room_offers_is_in_these_tests() -> None:
    offered = {name.removesuffix("_series") for name in vars(indicators) if name.endswith("_series")}
    assert offered == set(EVERY_SERIES) == set(NEWEST)


@pytest.mark.parametrize("name", EVERY_SERIES)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 120), later=st.integers(1, 60))
def test_no_indicator_at_a_bar_changes_when_the_bars_after_it_are_removed(
    name: str, seed: int, cut: int, later: int
) -> None:
    """Later bars are made as loud as can be; a hole in them (NaN) must not reach back either."""
    bars = walk(seed, cut + later)
    for series in bars:
        series[cut:] *= 3
    bars[2][-1] = np.nan
    whole = EVERY_SERIES[name](*bars)
    alone = EVERY_SERIES[name](*(series[:cut] for series in bars))
    np.testing.assert_array_equal(whole[:cut], alone)


@pytest.mark.parametrize("name", EVERY_SERIES)
@given(seed=st.integers(0, 10_000), bars=st.integers(0, 150), hole=st.integers(0, 300))
def test_the_newest_value_is_the_last_of_the_series(name: str, seed: int, bars: int, hole: int) -> None:
    of_walk = walk(seed, bars)
    if hole < bars:
        of_walk[2][hole] = np.inf
    series, newest = EVERY_SERIES[name](*of_walk), NEWEST[name](*of_walk)
    assert series.size == bars
    if newest is None:
        assert bars == 0 or np.isnan(series[-1])
    else:
        assert newest == series[-1]


def test_a_series_is_undefined_from_the_first_value_that_is_no_number() -> None:
    high, low, close = walk(8, 90)
    close[60] = np.nan
    for name, series in EVERY_SERIES.items():
        values = series(high, low, close)
        assert np.isfinite(values[59]), name
        assert np.isnan(values[60:]).all(), name


def test_an_oscillator_begins_with_the_first_move_and_misses_only_flat_windows() -> None:
    _, _, close = walk(9, 60)
    close[:40] = 100.0
    assert np.isnan(indicators.rsi_series(close)[:40]).all()
    assert np.isfinite(indicators.rsi_series(close)[40:]).all()
    assert np.isnan(indicators.bollinger_position_series(close)[:40]).all()
    assert np.isfinite(indicators.bollinger_position_series(close)[40:]).all()
