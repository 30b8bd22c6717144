"""Resampled bars are exactly the bars inside the bucket, complete buckets only."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.market.calendar import Calendar, calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.resample import resample, resample_table
from ffe.sources.models import BAR_SCHEMA, PRICE_BAR_SCHEMA, QUOTED_BAR_SCHEMA, to_frame

FOREX, CRYPTO = calendar_for(parse_instrument("EURUSD")), calendar_for(parse_instrument("BTCUSD"))


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


def table(opens: list[datetime], schema: pa.Schema = BAR_SCHEMA) -> pa.Table:
    """Bars with prices of many digits, each of its own."""
    tiny = Decimal("0.000000000000000001")
    rows = [
        {name: at if name == "time" else 1 + tiny * (7 * number % 11 + len(name)) for name in schema.names}
        for number, at in enumerate(opens)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def hours(start: datetime, count: int) -> list[datetime]:
    return [start + step * timedelta(hours=1) for step in range(count)]


@pytest.mark.parametrize("schema", [BAR_SCHEMA, QUOTED_BAR_SCHEMA, PRICE_BAR_SCHEMA])
def test_a_table_keeps_its_schema_and_every_digit(schema: pa.Schema) -> None:
    bars = table(hours(datetime(2024, 1, 2, tzinfo=UTC), 4), schema)
    made = resample_table(bars, Timeframe.H1, Timeframe.H4)
    rows = bars.to_pylist()
    assert made.schema.equals(schema)
    expected = {
        "time": rows[0]["time"],
        "open": rows[0]["open"],
        "high": max(row["high"] for row in rows),
        "low": min(row["low"] for row in rows),
        "close": rows[-1]["close"],
    }
    if "volume" in schema.names:
        expected["volume"] = sum(row["volume"] for row in rows)
    last = {name: rows[-1][name] for name in schema.names if name not in expected}
    assert made.to_pylist() == [expected | last]


def test_a_table_without_a_complete_bucket_is_empty_and_of_the_same_schema() -> None:
    start = datetime(2024, 1, 2, 1, tzinfo=UTC)
    for bars in (table([]), table([start]), table(hours(start, 3))):
        assert resample_table(bars, Timeframe.H1, Timeframe.H4).equals(BAR_SCHEMA.empty_table())


def test_a_table_of_the_same_timeframe_is_itself() -> None:
    bars = table(hours(datetime(2024, 1, 2, tzinfo=UTC), 3))
    assert resample_table(bars, Timeframe.H1, Timeframe.H1) is bars
    with pytest.raises(ValueError, match="1m is not a multiple of 1h"):
        resample_table(bars, Timeframe.H1, Timeframe.M1)


@given(
    minutes=st.lists(st.integers(0, 3000), min_size=1, max_size=150, unique=True).map(sorted),
    target=st.sampled_from(list(Timeframe)),
    calendar=st.sampled_from([None, FOREX, CRYPTO]),
)
def test_exact_and_float_bars_are_the_same_bars(
    minutes: list[int], target: Timeframe, calendar: Calendar | None
) -> None:
    start = datetime(2024, 3, 15, 0, tzinfo=UTC)
    bars = table([start + timedelta(minutes=minute) for minute in minutes], QUOTED_BAR_SCHEMA)
    exact = to_frame(resample_table(bars, Timeframe.M1, target, calendar))
    floats = resample(to_frame(bars), Timeframe.M1, target, calendar)
    pd.testing.assert_frame_equal(exact, floats, rtol=1e-12)


# Friday's close and Sunday's opening in UTC: winter time, and the weekends on which New York changes its clocks.
WEEKENDS = {
    "winter": ("2024-01-19T22:00Z", "2024-01-21T22:00Z"),
    "march": ("2024-03-08T22:00Z", "2024-03-10T21:00Z"),
    "november": ("2024-11-01T21:00Z", "2024-11-03T22:00Z"),
}


def bucket_opens(bars: pa.Table, target: Timeframe) -> list[datetime]:
    return list(resample_table(bars, Timeframe.H1, target, FOREX).column("time").to_pylist())


@pytest.mark.parametrize("target", [Timeframe.H4, Timeframe.D1])
@pytest.mark.parametrize("weekend", WEEKENDS)
def test_the_weeks_close_and_opening_complete_the_buckets_that_they_cut(weekend: str, target: Timeframe) -> None:
    close, opening = (datetime.fromisoformat(text) for text in WEEKENDS[weekend])
    bars, last = table(hours(close - timedelta(hours=54), 54)), target.floor(close - timedelta(hours=1))
    assert bucket_opens(bars, target)[-1] == last
    assert bucket_opens(bars.slice(0, 53), target)[-1] < last, "an hour may still come"
    bars, first = table(hours(opening, 30)), target.floor(opening)
    assert bucket_opens(bars, target)[0] == first
    assert first not in bucket_opens(bars.slice(1), target), "an hour was cut off"


def test_a_crypto_bucket_on_friday_evening_is_not_complete() -> None:
    bars = table(hours(datetime(2024, 1, 19, 0, tzinfo=UTC), 22))
    assert resample_table(bars, Timeframe.H1, Timeframe.D1, CRYPTO).num_rows == 0
    assert resample_table(bars, Timeframe.H1, Timeframe.D1, FOREX).num_rows == 1


@given(
    gone=st.sets(st.integers(0, 140), max_size=60),
    cut=st.integers(1, 140),
    start=st.sampled_from(["2024-01-17T00:00Z", "2024-03-07T00:00Z", "2024-10-31T00:00Z", "2024-12-23T00:00Z"]),
    target=st.sampled_from([Timeframe.H4, Timeframe.D1]),
)
def test_no_bucket_that_was_called_complete_changes_later(
    gone: set[int], cut: int, start: str, target: Timeframe
) -> None:
    begin = datetime.fromisoformat(start)
    every = hours(begin, 141)
    trading = FOREX.opened(Timeframe.H1, np.array([at.replace(tzinfo=None) for at in every], dtype="datetime64[us]"))
    opens = [at for number, at in enumerate(every) if trading[number] and number not in gone]
    bars = table(opens or every[:1])
    full = resample_table(bars, Timeframe.H1, target, FOREX)
    early = resample_table(bars.slice(0, cut), Timeframe.H1, target, FOREX)
    assert early.equals(full.slice(0, early.num_rows))
