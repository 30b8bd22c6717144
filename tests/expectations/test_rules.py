"""The rules by themselves: their limits to the bar, and what holds for any frame."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import activity, rules, schedule, series
from expectations.breach import EXAMPLES, Breach
from expectations.families import HOURLY, INTRADAY, LIMITS, MINUTE, Family
from ffe.market.models import AssetClass, Timeframe

START = datetime(2024, 1, 3, tzinfo=UTC)
Rule = Callable[[pd.DataFrame], Breach | None]


def frame_of(close: list[float] | np.ndarray, wick: float = 0.0, timeframe: Timeframe = Timeframe.M1) -> pd.DataFrame:
    """Bars that open where the one before closed, with `wick` above and below."""
    last = np.asarray(close, dtype=np.float64)
    first = np.concatenate([last[:1], last[:-1]])
    times = pd.date_range(START, periods=last.size, freq=timeframe.duration, unit="us")
    return pd.DataFrame(
        {
            "time": times,
            "open": first,
            "high": np.maximum(first, last) * (1 + wick),
            "low": np.minimum(first, last) * (1 - wick),
            "close": last,
            "volume": np.ones(last.size),
            "bid_close": last,
            "ask_close": last,
        }
    )


def restless(bars: int, seed: int = 3) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 2e-4, bars)))


def frozen(bars: int, wick: float) -> pd.DataFrame:
    frame = frame_of(restless(100 + bars), wick=1e-4)
    level = float(frame["close"].iloc[99])
    for name, price in (("open", level), ("high", level * (1 + wick)), ("low", level * (1 - wick)), ("close", level)):
        frame.loc[100:, name] = price
    return frame


@pytest.mark.parametrize(("wick", "limit"), [(0.0, MINUTE.flat), (1e-3, MINUTE.copied)])
def test_a_feed_is_frozen_from_the_limit_on(wick: float, limit: int) -> None:
    def newest(bars: int) -> Breach | None:
        return series.moving(frozen(bars, wick), MINUTE.flat, MINUTE.copied, newest_only=True)

    assert newest(limit - 1) is None
    breach = newest(limit)
    assert breach is not None
    assert breach.count == limit
    assert len(breach.examples) == EXAMPLES
    assert newest(limit + 30) is not None


def test_a_frozen_stretch_in_the_middle_is_not_the_newest() -> None:
    frame = pd.concat([frozen(40, 0.0), frame_of(restless(20, seed=9), wick=1e-4)], ignore_index=True)
    assert series.moving(frame, 30, 12, newest_only=True) is None
    breach = series.moving(frame, 30, 12, newest_only=False)
    assert breach is not None
    assert breach.count == 40


def test_nine_closes_on_a_line_may_be_chance_and_ten_are_made_up() -> None:
    def lined(bars: int) -> Breach | None:
        close = restless(120)
        close[50 : 50 + bars] = np.linspace(close[50], close[50] * 1.01, bars)
        return series.uninvented(frame_of(close))

    assert lined(9) is None
    assert lined(10) is not None
    assert lined(25) is not None


def test_equal_closes_are_flat_and_not_a_line() -> None:
    assert series.uninvented(frame_of([100.0] * 50)) is None


@pytest.mark.parametrize("size", [0.9, 1.1])
@pytest.mark.parametrize("asset_class", list(AssetClass))
@pytest.mark.parametrize("family", [MINUTE, INTRADAY, HOURLY])
def test_a_reverted_spike_is_a_bad_tick_beyond_the_limit(family: Family, asset_class: AssetClass, size: float) -> None:
    limits = LIMITS[family.name, asset_class]
    close = restless(200)
    close[100] *= np.exp(size * limits.excursion)
    breach = series.believable(frame_of(close), limits.excursion, 10.0)
    assert (breach is not None) is (size > 1)


@pytest.mark.parametrize("at", [0, 1, 2, 198, 199])
def test_a_wick_is_a_bad_tick_at_the_edges_too(at: int) -> None:
    frame = frame_of(restless(200))
    frame.loc[at, "high"] *= 1.05
    breach = series.believable(frame, 0.02, 10.0)
    assert breach is not None
    assert breach.count == 1


def test_a_step_that_stays_is_no_bad_tick_until_no_market_makes_it() -> None:
    for size, wrong in ((0.07, False), (0.09, True)):
        close = restless(200)
        close[100:] *= np.exp(size)
        breach = series.believable(frame_of(close), 0.006, 0.08)
        assert (breach is not None) is wrong


def test_a_wild_market_may_leave_its_neighbours_further_but_not_without_end() -> None:
    calm, wild = 0.01, np.random.default_rng(5).normal(0, 2e-3, 200)
    close = 100 * np.exp(np.cumsum(wild))
    close[100] *= np.exp(0.02)
    assert series.believable(frame_of(close), calm, 1.0) is None
    close[100] *= np.exp(0.02)
    assert series.believable(frame_of(close), calm, 1.0) is not None


def test_a_jump_over_a_long_break_is_not_judged() -> None:
    frame = frame_of(restless(200))
    frame.loc[100:, ["open", "high", "low", "close"]] *= 2.0
    assert series.believable(frame, 0.006, 0.08) is not None
    frame.loc[100:, "time"] += timedelta(days=10)
    assert series.believable(frame, 0.006, 0.08) is None


def test_crossed_bars_stop_a_trade_when_it_is_the_newest_or_most_of_them() -> None:
    frame = frame_of(restless(100))
    frame.loc[:49, "bid_close"] *= 1.0001
    assert rules.tradable(frame, rules.CROSSED_SHARE) is None
    frame.loc[50, "bid_close"] *= 1.0001
    most = rules.tradable(frame, rules.CROSSED_SHARE)
    assert most is not None
    assert most.message == "51 of 100 bars: crossed bar, bid > ask, limit 50% of the bars"
    frame.loc[99, "bid_close"] *= 1.0001
    newest = rules.tradable(frame, rules.CROSSED_SHARE)
    assert newest is not None
    assert newest.message == "1 of 1 bars: newest bar is crossed, bid > ask"


def test_half_of_the_volumes_may_be_zero_and_not_more() -> None:
    frame = frame_of(restless(100))
    frame.loc[:49, "volume"] = 0.0
    assert activity.traded(frame, activity.DEAD_SHARE) is None
    frame.loc[50, "volume"] = 0.0
    assert activity.traded(frame, activity.DEAD_SHARE) is not None


def test_whole_prices_are_coarse_for_forex_and_fine_for_dear_coins() -> None:
    coarse = frame_of(np.round(restless(60) * 1.1))
    assert series.precise(coarse, LIMITS["minute", AssetClass.FOREX].step) is not None
    dear = frame_of(np.round(restless(60) * 70))
    assert series.precise(dear, LIMITS["minute", AssetClass.CRYPTO].step) is None
    assert series.precise(coarse.iloc[:19], 0.0002) is None


def test_yen_with_three_digits_are_fine_and_with_one_are_not() -> None:
    step = LIMITS["hourly", AssetClass.FOREX].step
    assert series.precise(frame_of(np.round(restless(60), 3)), step) is None
    assert series.precise(frame_of(np.round(restless(60), 1)), step) is not None


def test_two_in_five_minutes_may_lack_and_not_more() -> None:
    frame = frame_of(restless(500))
    most = frame[[at % 5 in {0, 2, 4} for at in range(500)]]
    assert schedule.serious_gaps(most, Timeframe.M1, "always-open") is None
    half = frame[[at % 2 == 0 for at in range(500)]]
    breach = schedule.serious_gaps(half, Timeframe.M1, "always-open")
    assert breach is not None
    assert breach.message == "49.9% of 499 expected bars missing, single ones too, limit 40%"
    assert breach.count == 249
    assert breach.examples[0] == "2024-01-03T00:01:00Z x 1"


def test_a_row_prints_its_time_and_its_values() -> None:
    frame = frame_of([1.25, 1.5])
    frame.loc[1, "close"] = -1.0
    frame.loc[1, "time"] += timedelta(microseconds=7)
    breach = rules.positive(frame)
    assert breach is not None
    assert breach.examples == (
        "time=2024-01-03T00:01:00.000007Z open=1.25 high=1.5 low=1.25 close=-1 volume=1 bid_close=1.5 ask_close=1.5",
    )


def test_a_row_without_a_time_can_be_printed() -> None:
    frame = frame_of([1.25, 1.5])
    frame.loc[1, "time"] = pd.NaT
    breach = rules.whole(frame)
    assert breach is not None
    assert breach.examples[0].startswith("time=NaT open=1.25")


RULES: dict[str, Rule] = {
    "whole": rules.whole,
    "unique times": rules.unique_times,
    "increasing times": rules.increasing_times,
    "complete": lambda frame: rules.complete(frame, Timeframe.M1, START + timedelta(days=9)),
    "aligned": lambda frame: rules.aligned(frame, Timeframe.M1),
    "positive": rules.positive,
    "consistent": rules.consistent,
    "unspiked": lambda frame: series.unspiked(frame, Timeframe.M1),
    "uncrossed": rules.uncrossed,
    "tradable": lambda frame: rules.tradable(frame, 0.5),
    "quoted": lambda frame: rules.quoted(frame, 0.001),
    "believable": lambda frame: series.believable(frame, 0.006, 0.08),
    "moving": lambda frame: series.moving(frame, 30, 12, newest_only=True),
    "moving anywhere": lambda frame: series.moving(frame, 30, 12, newest_only=False),
    "uninvented": series.uninvented,
    "precise": lambda frame: series.precise(frame, 0.0002),
    "serious gaps": lambda frame: schedule.serious_gaps(frame, Timeframe.M1, "always-open"),
    "any gaps": lambda frame: schedule.any_gaps(frame, Timeframe.M1, "always-open"),
    "in hours": lambda frame: schedule.in_hours(frame, Timeframe.M1, "forex-week", 5.0),
    "traded": lambda frame: activity.traded(frame, 0.5),
    "active": activity.active,
    "agreeing": lambda frame: activity.agreeing(frame, [], 0.02),
}
ODD = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e-300, 1e300])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bars", [0, 1, 2])
def test_a_rule_can_judge_a_frame_of_hardly_any_bars(name: str, bars: int) -> None:
    assert RULES[name](frame_of(restless(bars))) is None


@given(
    closes=st.lists(st.one_of(st.floats(0.5, 2e5), ODD), min_size=0, max_size=40),
    wick=st.sampled_from([0.0, 1e-3]),
    name=st.sampled_from(sorted(RULES)),
)
def test_any_prices_are_judged_without_an_error_and_left_as_they_were(
    closes: list[float], wick: float, name: str
) -> None:
    with np.errstate(all="ignore"):
        frame = frame_of(closes, wick)
    before = frame.copy(deep=True)
    breach = RULES[name](frame)
    pd.testing.assert_frame_equal(frame, before)
    if breach is not None:
        assert breach.count >= 1
        assert 1 <= len(breach.examples) <= EXAMPLES
