"""Resampled bars are exactly the bars inside the bucket, complete buckets only."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.models import Timeframe
from ffe.market.resample import resample


def frame(minutes: list[int], timeframe: Timeframe = Timeframe.M1, *, quoted: bool = False) -> pd.DataFrame:
    """Bars at the given multiples of `timeframe` since 2024-01-02 00:00 UTC; each value tells its bar apart."""
    start = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp())
    times = np.array([start + step * timeframe.seconds for step in minutes], dtype="datetime64[s]")
    base = np.array(minutes, dtype=np.float64)
    columns = {
        "open": 100 + base,
        "high": 103 + base % 7,
        "low": 97 - base % 5,
        "close": 101 + base,
        "volume": 1 + base,
    }
    if quoted:
        columns |= {"bid_close": base, "ask_close": base + 0.5}
    return pd.DataFrame({"time": pd.Series(times).dt.tz_localize("UTC").astype("datetime64[us, UTC]"), **columns})


def naive(bars: pd.DataFrame, timeframe: Timeframe, target: Timeframe) -> list[tuple[object, ...]]:
    """Slow reference: group rows by bucket, keep the buckets that lie inside the frame."""
    first, end = bars["time"].iloc[0], bars["time"].iloc[-1] + timeframe.duration
    rows = []
    for bucket, group in bars.groupby(bars["time"].map(lambda at: target.floor(at.to_pydatetime()))):
        if bucket >= first and bucket + target.duration <= end:
            rows.append(
                (
                    bucket,
                    group["open"].iloc[0],
                    group["high"].max(),
                    group["low"].min(),
                    group["close"].iloc[-1],
                    group["volume"].sum(),
                )
            )
    return rows


def test_five_minutes_make_one_bar_with_first_highest_lowest_last_and_sum() -> None:
    bars = resample(frame([0, 1, 2, 3, 4]), Timeframe.M1, Timeframe.M5)
    assert bars.drop(columns="time").iloc[0].tolist() == [100, 107, 93, 105, 15]
    assert bars["time"].iloc[0] == pd.Timestamp("2024-01-02T00:00Z")


def test_the_bucket_that_is_still_forming_is_left_out() -> None:
    assert len(resample(frame([0, 1, 2, 3, 4, 5, 6, 7, 8]), Timeframe.M1, Timeframe.M5)) == 1
    assert len(resample(frame([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), Timeframe.M1, Timeframe.M5)) == 2


def test_the_bucket_that_the_frame_cuts_at_its_start_is_left_out() -> None:
    bars = resample(frame([3, 4, 5, 6, 7, 8, 9]), Timeframe.M1, Timeframe.M5)
    assert bars["time"].tolist() == [pd.Timestamp("2024-01-02T00:05Z")]


def test_quotes_keep_the_last_value_of_the_bucket() -> None:
    bars = resample(frame([0, 1, 2, 3, 4], quoted=True), Timeframe.M1, Timeframe.M5)
    assert bars[["bid_close", "ask_close"]].iloc[0].tolist() == [4.0, 4.5]


def test_the_same_timeframe_is_a_copy() -> None:
    bars = frame([0, 1, 2])
    same = resample(bars, Timeframe.M1, Timeframe.M1)
    pd.testing.assert_frame_equal(same, bars)
    assert same is not bars


def test_too_few_bars_for_one_bucket_make_an_empty_frame_of_the_same_columns() -> None:
    assert list(resample(frame([0, 1]), Timeframe.M1, Timeframe.H1).columns) == list(frame([0]).columns)
    assert resample(frame([]), Timeframe.M1, Timeframe.H1).empty


def test_a_target_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="1m is not a multiple of 5m"):
        resample(frame([0], Timeframe.M5), Timeframe.M5, Timeframe.M1)


@given(
    minutes=st.lists(st.integers(0, 400), min_size=1, max_size=120, unique=True).map(sorted),
    target=st.sampled_from([Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1]),
)
def test_resampling_agrees_with_a_naive_reference_whatever_is_missing(minutes: list[int], target: Timeframe) -> None:
    bars = frame(minutes)
    found = resample(bars, Timeframe.M1, target)
    columns = ["time", "open", "high", "low", "close", "volume"]
    assert [tuple(row) for row in found[columns].itertuples(index=False)] == naive(bars, Timeframe.M1, target)


@given(minutes=st.lists(st.integers(0, 300), min_size=2, max_size=80, unique=True).map(sorted), cut=st.integers(1, 79))
def test_a_resampled_bar_never_changes_when_later_bars_are_removed(minutes: list[int], cut: int) -> None:
    bars = frame(minutes)
    early = resample(bars.iloc[: min(cut, len(bars))], Timeframe.M1, Timeframe.M5)
    full = resample(bars, Timeframe.M1, Timeframe.M5)
    pd.testing.assert_frame_equal(early, full.iloc[: len(early)])
