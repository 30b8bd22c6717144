"""The pulse over several timeframes: partial frames are named, and no value knows the future."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe.decision.models import FramePulse
from ffe.market import indicators
from ffe.market.models import Timeframe
from ffe.market.pulse import PULSE_TIMEFRAMES, consensus, pulse

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


def of_base(frame: pd.DataFrame, base: Timeframe = Timeframe.M5) -> tuple[FramePulse, ...]:
    """The pulse where nothing but the base frame was fetched."""
    return pulse({base: frame}, base)


def base_of(frame: pd.DataFrame, base: Timeframe = Timeframe.M5) -> FramePulse:
    return by_timeframe(of_base(frame, base))[base.value]


def bars_until(close: datetime, timeframe: Timeframe, count: int, seed: int = 1) -> pd.DataFrame:
    """`count` bars, the newest of which is the last one closed at `close`."""
    frame = bars(noise(seed, count), timeframe)
    newest = timeframe.floor(close) - timeframe.duration
    return frame.assign(time=pd.date_range(end=newest, periods=count, freq=timeframe.duration, unit="us"))


@pytest.mark.parametrize("base", Timeframe)
def test_the_pulse_covers_the_six_frames_and_the_base_shortest_first(base: Timeframe) -> None:
    covered = [frame.timeframe for frame in of_base(bars(noise(1, 60), base), base)]
    assert set(covered) == {*PULSE_TIMEFRAMES, base}
    assert covered == sorted(covered, key=lambda timeframe: timeframe.seconds)


def test_a_longer_frame_that_was_not_fetched_is_resampled_from_the_base() -> None:
    frames = by_timeframe(of_base(bars(noise(1, 200))))
    assert (frames["15m"].bars, frames["15m"].source, frames["15m"].batch_id) == (66, "resampled from 5m", None)
    assert frames["15m"].rsi is not None


def test_a_shorter_frame_that_was_not_fetched_is_partial_and_says_why() -> None:
    frame = bars(noise(1, 200))
    minute = pulse({Timeframe.M5: frame}, Timeframe.M5, absent={Timeframe.M1: "coinbase: 503 after 3 tries"})[0]
    assert (minute.timeframe, minute.bars, minute.closes, minute.rsi) == (Timeframe.M1, 0, (), None)
    assert minute.close == frame["close"].iloc[-1]
    assert minute.partial == "0 bars; the first reading needs 13; no bars of its own: coinbase: 503 after 3 tries"


def test_why_a_frame_was_not_fetched_is_said_only_where_something_is_missing() -> None:
    absent = {Timeframe.M15: "its suite failed", Timeframe.H4: "its suite failed"}
    frames = by_timeframe(pulse({Timeframe.M5: bars(noise(1, 200))}, Timeframe.M5, absent=absent))
    assert frames["15m"].partial is None
    assert frames["4h"].partial is not None
    assert frames["4h"].partial.endswith("; no bars of its own: its suite failed")


def test_a_frame_of_its_own_bars_is_read_from_them_and_names_their_batch_and_source() -> None:
    base = bars(noise(1, 200))
    moment = base["time"].iloc[-1].to_pydatetime() + timedelta(minutes=5)
    hours = bars_until(moment, Timeframe.H1, 200, seed=9)
    frames = by_timeframe(
        pulse(
            {Timeframe.M5: base, Timeframe.H1: hours},
            Timeframe.M5,
            batches={Timeframe.M5: "b5", Timeframe.H1: "b60"},
            sources={Timeframe.H1: "coinbase"},
        )
    )
    assert (frames["1h"].bars, frames["1h"].partial) == (200, None)
    assert (frames["1h"].batch_id, frames["1h"].source, frames["5m"].batch_id) == ("b60", "coinbase", "b5")
    assert frames["1h"].rsi == indicators.rsi(hours["close"].to_numpy())
    assert frames["1h"].closes == tuple(hours["close"].tail(32))


def test_the_last_closes_are_at_most_32_oldest_first() -> None:
    close = noise(1, 200)
    assert base_of(bars(close)).closes == tuple(close[-32:])
    assert base_of(bars(close[:7])).closes == tuple(close[:7])


def test_a_pulse_without_its_base_frame_is_an_error() -> None:
    with pytest.raises(KeyError):
        pulse({Timeframe.H1: bars(noise(1, 20), Timeframe.H1)}, Timeframe.M5)


def test_the_base_frame_carries_the_indicators_of_its_own_bars() -> None:
    frame = bars(noise(2, 200))
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    base = base_of(frame)
    assert base.partial is None
    assert base.rsi == indicators.rsi(close)
    assert base.atr == indicators.atr(high, low, close)
    assert base.macd_histogram == indicators.macd_histogram(close)
    assert base.change_percent == pytest.approx((close[-1] / close[-13] - 1) * 100)
    assert (base.bars, base.close) == (200, close[-1])


def test_a_partial_frame_says_what_is_missing_and_how_many_bars_that_needs() -> None:
    hour = by_timeframe(of_base(bars(noise(3, 200))))["1h"]
    assert hour.bars == 16
    assert (
        hour.partial
        == "16 bars; MACD needs 34, volatility needs 34, ADX needs 28, Bollinger needs 20, stochastic needs 18"
    )
    assert (hour.macd_histogram, hour.adx, hour.volatility) == (None, None, "unknown")
    assert hour.rsi is not None


def test_a_frame_without_one_complete_bar_has_no_values_and_no_opinion() -> None:
    day = by_timeframe(of_base(bars(noise(3, 200))))["1d"]
    assert (day.bars, day.trend, day.volatility, day.rsi) == (0, "unknown", "unknown", None)
    assert day.partial == "0 bars; the first reading needs 13"


@pytest.mark.parametrize(("drift", "trend"), [(0.2, "up"), (-0.2, "down")])
def test_a_steady_drift_is_a_trend(drift: float, trend: str) -> None:
    frames = of_base(bars(noise(4, 200, drift)))
    assert [frame.trend for frame in frames[1:4]] == [trend] * 3


def test_a_market_that_swings_around_one_price_is_flat() -> None:
    swing = 100 + np.sin(np.arange(200) * 2.1)
    assert base_of(bars(swing)).trend == "flat"


def test_a_market_without_any_movement_is_flat_and_has_no_volatility_class() -> None:
    base = base_of(bars(np.full(60, 100.0), width=0.0))
    assert (base.trend, base.volatility) == ("flat", "unknown")


def test_volatility_is_measured_against_its_own_median() -> None:
    quiet, loud = noise(5, 180, size=0.02), noise(6, 180, size=0.6)
    louder = np.concatenate([quiet, quiet[-1] + loud[:20] - loud[0]])
    quieter = np.concatenate([loud, loud[-1] + noise(7, 60, size=0.001) - 100])
    assert base_of(bars(louder)).volatility == "high"
    assert base_of(bars(quieter)).volatility == "low"
    assert base_of(bars(100 + np.sin(np.arange(200) * 2.1))).volatility == "normal"


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


READINGS = tuple(name for name in FramePulse.model_fields if name not in {"timeframe", "batch_id", "source"})


def six_frames(seed: int, base: Timeframe, count: int) -> dict[Timeframe, pd.DataFrame]:
    """Bars of every frame's own that closed by the end of `count` base bars."""
    frame = bars(noise(seed, count), base)
    moment = frame["time"].iloc[-1].to_pydatetime() + base.duration
    others = {each: bars_until(moment, each, 60, seed + 1) for each in PULSE_TIMEFRAMES if each is not base}
    return {base: frame} | others


def loud_bars_after(frame: pd.DataFrame, timeframe: Timeframe, count: int) -> pd.DataFrame:
    """`frame` and `count` bars behind it that nobody could overlook."""
    wild = bars(3 * noise(77, count), timeframe)
    return pd.concat([frame, wild.assign(time=frame["time"].iloc[-1] + timeframe.duration * np.arange(1, count + 1))])


@pytest.mark.parametrize("reading", READINGS)
@settings(max_examples=15)
@given(seed=st.integers(0, 1000), base=st.sampled_from(list(Timeframe)), later=st.integers(1, 90))
def test_no_reading_changes_when_the_bars_after_its_moment_are_removed(
    reading: str, seed: int, base: Timeframe, later: int
) -> None:
    """Bars of the other frames may be newer than the base's newest close when they arrive: none of them is seen."""
    known = six_frames(seed, base, 90)
    newer = {each: frame if each is base else loud_bars_after(frame, each, later) for each, frame in known.items()}
    with_future, without = pulse(newer, base), pulse(known, base)
    assert [getattr(each, reading) for each in with_future] == [getattr(each, reading) for each in without]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), count=st.integers(1, 120), later=st.integers(1, 90))
def test_neither_pulse_nor_consensus_knows_what_closed_after_the_base(seed: int, count: int, later: int) -> None:
    known = six_frames(seed, Timeframe.M15, count)
    newer = {
        each: frame if each is Timeframe.M15 else loud_bars_after(frame, each, later) for each, frame in known.items()
    }
    assert pulse(newer, Timeframe.M15) == pulse(known, Timeframe.M15)
    assert consensus(pulse(newer, Timeframe.M15)) == consensus(pulse(known, Timeframe.M15))


def test_a_pulse_that_did_see_the_future_would_be_told_apart() -> None:
    """What keeps the two tests above from passing for nothing: the loud bars, let in, change every reading of the frame but its size."""
    known = six_frames(1, Timeframe.H1, 90)
    fooled = known | {Timeframe.M5: loud_bars_after(known[Timeframe.M5], Timeframe.M5, 40).tail(60)}
    frame = fooled[Timeframe.M5]
    fooled[Timeframe.M5] = frame.assign(time=frame["time"] - timedelta(minutes=5 * 40))
    honest, wrong = (by_timeframe(pulse(each, Timeframe.H1))["5m"] for each in (known, fooled))
    assert {name for name in READINGS if getattr(honest, name) == getattr(wrong, name)} <= {"bars", "partial", "trend"}
    assert honest.closes != wrong.closes


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), cut=st.integers(20, 199))
def test_a_series_of_pulses_over_history_is_what_each_moment_saw(seed: int, cut: int) -> None:
    """At every cut the base frame's readings are the values of the whole history's indicator series at that bar."""
    whole = bars(noise(seed, 200))
    high, low, close = (whole[name].to_numpy() for name in ("high", "low", "close"))
    frame = base_of(whole.iloc[: cut + 1])
    for value, series in (
        (frame.rsi, indicators.rsi_series(close)),
        (frame.macd_histogram, indicators.macd_histogram_series(close)),
        (frame.bollinger_position, indicators.bollinger_position_series(close)),
        (frame.adx, indicators.adx_series(high, low, close)),
        (frame.atr, indicators.atr_series(high, low, close)),
        (frame.stochastic, indicators.stochastic_series(high, low, close)),
    ):
        assert np.isnan(series[cut]) if value is None else value == series[cut]


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), count=st.integers(1, 200))
def test_the_pulse_of_any_walk_is_finite_or_undefined(seed: int, count: int) -> None:
    for frame in of_base(bars(noise(seed, count)), Timeframe.M5):
        values = [frame.rsi, frame.macd_histogram, frame.bollinger_position, frame.adx, frame.atr, frame.stochastic]
        assert all(value is None or np.isfinite(value) for value in values)
        assert (frame.partial is None) == (frame.bars >= 34)
