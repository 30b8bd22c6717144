"""The pulse over several timeframes: partial frames are named, and no value knows the future."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.models import FramePulse
from ffe.market import indicators
from ffe.market.models import Timeframe
from ffe.market.pulse import consensus, pulse

START = datetime(2024, 1, 2, tzinfo=UTC)


def bars(close: np.ndarray, timeframe: Timeframe = Timeframe.M5, *, width: float = 0.05) -> pd.DataFrame:
    times = pd.date_range(START, periods=close.size, freq=timeframe.duration, unit="us")
    return pd.DataFrame(
        {"time": times, "open": close, "high": close + width, "low": close - width, "close": close, "volume": 1.0}
    )


def noise(seed: int, count: int, drift: float = 0.0, size: float = 0.05) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(drift, size, count))


def by_timeframe(frames: tuple[FramePulse, ...]) -> dict[str, FramePulse]:
    return {frame.timeframe.value: frame for frame in frames}


def test_the_pulse_covers_the_base_frame_and_every_longer_one() -> None:
    assert [frame.timeframe.value for frame in pulse(bars(noise(1, 200)), Timeframe.M5)] == [
        "5m",
        "15m",
        "1h",
        "4h",
        "1d",
    ]
    assert [frame.timeframe.value for frame in pulse(bars(noise(1, 200)), Timeframe.M30)] == ["30m", "1h", "4h", "1d"]
    assert [frame.timeframe.value for frame in pulse(bars(noise(1, 60)), Timeframe.D1)] == ["1d"]


def test_the_base_frame_carries_the_indicators_of_its_own_bars() -> None:
    frame = bars(noise(2, 200))
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    base = pulse(frame, Timeframe.M5)[0]
    assert base.partial is None
    assert base.rsi == indicators.rsi(close)
    assert base.atr == indicators.atr(high, low, close)
    assert base.macd_histogram == indicators.macd_histogram(close)
    assert base.change_percent == pytest.approx((close[-1] / close[-13] - 1) * 100)
    assert (base.bars, base.close) == (200, close[-1])


def test_a_partial_frame_says_what_is_missing_and_how_many_bars_that_needs() -> None:
    hour = by_timeframe(pulse(bars(noise(3, 200)), Timeframe.M5))["1h"]
    assert hour.bars == 16
    assert (
        hour.partial
        == "16 bars; MACD needs 34, volatility needs 34, ADX needs 28, Bollinger needs 20, stochastic needs 18"
    )
    assert (hour.macd_histogram, hour.adx, hour.volatility) == (None, None, "unknown")
    assert hour.rsi is not None


def test_a_frame_without_one_complete_bar_has_no_values_and_no_opinion() -> None:
    day = by_timeframe(pulse(bars(noise(3, 200)), Timeframe.M5))["1d"]
    assert (day.bars, day.trend, day.volatility, day.rsi) == (0, "unknown", "unknown", None)
    assert day.partial is not None
    assert day.partial.startswith("0 bars; MACD needs 34")


@pytest.mark.parametrize(("drift", "trend"), [(0.2, "up"), (-0.2, "down")])
def test_a_steady_drift_is_a_trend(drift: float, trend: str) -> None:
    frames = pulse(bars(noise(4, 200, drift)), Timeframe.M5)
    assert [frame.trend for frame in frames[:3]] == [trend] * 3


def test_a_market_that_swings_around_one_price_is_flat() -> None:
    swing = 100 + np.sin(np.arange(200) * 2.1)
    assert pulse(bars(swing), Timeframe.M5)[0].trend == "flat"


def test_a_market_without_any_movement_is_flat_and_has_no_volatility_class() -> None:
    base = pulse(bars(np.full(60, 100.0), width=0.0), Timeframe.M5)[0]
    assert (base.trend, base.volatility) == ("flat", "unknown")


def test_volatility_is_measured_against_its_own_median() -> None:
    quiet, loud = noise(5, 180, size=0.02), noise(6, 180, size=0.6)
    louder = np.concatenate([quiet, quiet[-1] + loud[:20] - loud[0]])
    quieter = np.concatenate([loud, loud[-1] + noise(7, 60, size=0.001) - 100])
    assert pulse(bars(louder), Timeframe.M5)[0].volatility == "high"
    assert pulse(bars(quieter), Timeframe.M5)[0].volatility == "low"
    assert pulse(bars(100 + np.sin(np.arange(200) * 2.1)), Timeframe.M5)[0].volatility == "normal"


def frame_with(timeframe: Timeframe, trend: str) -> FramePulse:
    return FramePulse(timeframe=timeframe, bars=1, close=1.0, trend=trend, volatility="normal")


@pytest.mark.parametrize(
    ("trends", "expected"),
    [
        (["up", "up", "down", "up"], "up 3 of 4 frames"),
        (["flat", "flat", "unknown", "unknown"], "flat 2 of 2 frames; no trend yet on 1h, 4h"),
        (["up", "down", "unknown", "unknown"], "mixed (1 down, 1 up) of 2 frames; no trend yet on 1h, 4h"),
        (["unknown"], "unknown 0 of 0 frames; no trend yet on 5m"),
    ],
)
def test_consensus_counts_only_frames_that_have_a_trend(trends: list[str], expected: str) -> None:
    order = (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4)
    assert consensus(tuple(frame_with(*pair) for pair in zip(order, trends, strict=False))) == expected


@given(seed=st.integers(0, 1000), count=st.integers(1, 300), extra=st.integers(1, 60))
def test_no_value_changes_when_later_bars_are_removed(seed: int, count: int, extra: int) -> None:
    close = noise(seed, count + extra)
    wild = np.concatenate([close[:count], close[count:] * 3])
    assert pulse(bars(close).iloc[:count], Timeframe.M5) == pulse(bars(wild).iloc[:count], Timeframe.M5)


@given(seed=st.integers(0, 1000), count=st.integers(1, 200))
def test_the_pulse_of_any_walk_is_finite_or_undefined(seed: int, count: int) -> None:
    for frame in pulse(bars(noise(seed, count)), Timeframe.M15):
        values = [frame.rsi, frame.macd_histogram, frame.bollinger_position, frame.adx, frame.atr, frame.stochastic]
        assert all(value is None or np.isfinite(value) for value in values)
        assert (frame.partial is None) == (frame.bars >= 34)
