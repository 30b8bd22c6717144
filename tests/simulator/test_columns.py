"""Integer columns: aggregation against a naive reference, exact Decimals, windows, quotes and the end of a stale feed."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.columns import Columns, Sides, concat, epoch, feed_end, mid, window

BASE = 1_522_800_000  # 2018-04-04T00:00:00Z


@st.composite
def minutes(draw):
    offsets = sorted(draw(st.sets(st.integers(0, 400), min_size=1, max_size=40)))
    price = st.integers(1, 10**12)
    rows = draw(st.lists(st.lists(price, min_size=12, max_size=12), min_size=len(offsets), max_size=len(offsets)))
    volumes = draw(st.lists(st.integers(0, 10**12), min_size=len(offsets), max_size=len(offsets)))
    return columns([BASE + 60 * offset for offset in offsets], rows, volumes)


def columns(times, rows, volumes) -> Columns:
    prices = np.array(rows, dtype=np.int64)
    sides = Sides(np.array(times, dtype=np.int64), prices[:, 4:8], prices[:, 8:12], 5)
    return Columns(sides, prices[:, :4], 6, np.array(volumes, dtype=np.int64), 8)


def naive(bars, seconds):
    buckets = {}
    for bar in bars:
        buckets.setdefault(int(bar.time.timestamp()) // seconds * seconds, []).append(bar)
    return [
        (
            datetime.fromtimestamp(time, UTC),
            *(naive_ohlc([getattr(bar, side) for bar in group]) for side in ("trade", "bid", "ask", "mid")),
            sum(bar.volume for bar in group),
        )
        for time, group in sorted(buckets.items())
    ]


def naive_ohlc(prices):
    return (prices[0].open, max(p.high for p in prices), min(p.low for p in prices), prices[-1].close)


def as_tuple(bar):
    sides = ((side.open, side.high, side.low, side.close) for side in (bar.trade, bar.bid, bar.ask, bar.mid))
    return (bar.time, *sides, bar.volume)


@settings(max_examples=60)
@given(minutes(), st.sampled_from([60, 300, 900, 3600, 14400, 86400]))
def test_buckets_equal_a_naive_reference(rows, seconds):
    assert [as_tuple(bar) for bar in rows.bucket(seconds).records()] == naive(rows.records(), seconds)


@settings(max_examples=30)
@given(minutes())
def test_hours_are_the_same_from_minutes_and_from_five_minutes(rows):
    by_steps = rows.bucket(300).bucket(3600)
    assert [as_tuple(b) for b in by_steps.records()] == [as_tuple(b) for b in rows.bucket(3600).records()]


def test_prices_and_volume_keep_every_digit():
    bar = columns([BASE], [[1229105] * 4 + [122904] * 4 + [122917] * 4], [33353996]).records()[0]
    assert (str(bar.trade.open), str(bar.bid.open), str(bar.ask.open)) == ("1.229105", "1.22904", "1.22917")
    assert str(bar.volume) == "0.33353996"
    assert bar.time == datetime(2018, 4, 4, tzinfo=UTC)


def test_between_takes_the_start_and_leaves_the_end():
    rows = columns([BASE, BASE + 60, BASE + 120], [[1] * 12] * 3, [1] * 3)
    assert rows.between(BASE, BASE + 120).times.tolist() == [BASE, BASE + 60]


def test_no_rows_make_no_buckets():
    rows = columns([BASE], [[1] * 12], [1]).between(0, 1)
    assert rows.bucket(300).records() == []


def test_joined_parts_keep_their_order():
    first, second = columns([BASE], [[1] * 12], [1]), columns([BASE + 60], [[2] * 12], [2])
    assert concat([first, second]).times.tolist() == [BASE, BASE + 60]


def test_the_mid_of_odd_spreads_is_exact():
    trade, places = mid(columns([BASE], [[0] * 4 + [10] * 4 + [13] * 4], [1]).sides)
    assert (trade[0].tolist(), places) == ([115] * 4, 6)


def test_a_window_starts_at_the_first_aligned_bucket_and_ends_with_now():
    start, end = datetime(2018, 4, 4, 0, 0, 1, tzinfo=UTC), datetime(2018, 4, 4, 1, 0, 0, 1, tzinfo=UTC)
    assert window(300, start, end) == (BASE + 300, BASE + 3601)
    assert window(300, datetime(2018, 4, 4, tzinfo=UTC), end)[0] == BASE


@pytest.mark.parametrize("seconds", [0, -60, 30, 90])
def test_a_bucket_that_is_not_whole_minutes_is_refused(seconds):
    moment = datetime(2018, 4, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match="whole number of minutes"):
        window(seconds, moment, moment)


def test_epoch_seconds_round_down_in_every_zone_and_century():
    assert epoch(datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)) == -1
    assert epoch(datetime(2018, 4, 4, 2, tzinfo=timezone(timedelta(hours=2)))) == BASE


@given(st.integers(1, 2000), st.integers(0, 86399))
def test_a_stale_feed_ends_on_five_minutes_and_is_never_fresher_than_asked(stale, second):
    start = datetime(2018, 4, 4, tzinfo=UTC) + timedelta(seconds=second)
    end = feed_end(start, stale)
    assert end % 300 == 0
    assert stale * 60 <= epoch(start) - end < stale * 60 + 300


def test_a_feed_without_staleness_has_no_end_and_a_negative_one_is_refused():
    start = datetime(2018, 4, 4, tzinfo=UTC)
    assert feed_end(start, 0) is None
    with pytest.raises(ValueError, match="-1 is negative"):
        feed_end(start, -1)


def test_a_quote_is_the_open_while_the_minute_runs_and_its_close_after():
    sides = columns([BASE], [[0] * 4 + [100, 120, 90, 110] + [101, 121, 91, 111]], [1]).sides
    start = datetime(2018, 4, 4, tzinfo=UTC)
    running, later = (sides.quote(start + timedelta(seconds=s), 60, is_open=True) for s in (59, 600))
    assert (running.bid, running.ask, running.time) == (
        Decimal("0.00100"),
        Decimal("0.00101"),
        start + timedelta(seconds=59),
    )
    assert (later.bid, later.ask, later.time) == (Decimal("0.00110"), Decimal("0.00111"), start + timedelta(seconds=60))
    assert sides.quote(start - timedelta(seconds=1), 60, is_open=True) is None
