"""Guards: what looks ahead or remembers too much is caught, and what is honest is not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import make_bars, no_bars
from ffe.replay.guards import LookaheadReport, WarmUpReport, findings, lookahead, reruns, survivorship_note, warm_up
from ffe.replay.models import ASK, BID, Bars, Signals
from ffe.replay.strategies import STRATEGIES, Strategy, find_strategy
from ffe.replay.strategies.protocol import RuleStrategy

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
Planted = Callable[[Bars], npt.ArrayLike]
WALK = generated(BTC, Timeframe.M15, 3000, 11)
HONEST = [name for name in STRATEGIES if name != "buy-and-hold"]


def rule(actions: Planted, lookback: int = 50, name: str = "planted") -> Strategy:
    return RuleStrategy(name, actions, lookback)


def next_close(bars: Bars) -> npt.ArrayLike:
    """Knows whether the next bar closes higher."""
    return np.sign(np.diff(bars.close, append=bars.close[-1:]))


def centred_window(bars: Bars) -> npt.ArrayLike:
    """A mean over eleven bars, five of them still to come."""
    mean = np.convolve(np.pad(bars.close, 5, mode="edge"), np.ones(11) / 11, mode="valid")
    return np.where(bars.close < mean * 0.999, 1, np.where(bars.close > mean * 1.001, -1, 0))


def whole_series(bars: Bars) -> npt.ArrayLike:
    """A z-score by the mean and the deviation of all bars, those to come too."""
    score = (bars.close - bars.close.mean()) / bars.close.std()
    return np.where(score < -1, 1, np.where(score > 1, -1, 0))


def best_of_the_future(bars: Bars) -> npt.ArrayLike:
    """One BUY, at the lowest close of all."""
    actions = np.zeros(len(bars), np.int8)
    actions[np.argmin(bars.close)] = 1
    return actions


def next_after(bars: Bars) -> npt.ArrayLike:
    """Knows at what the bar after the next one opens."""
    middle = bars.after.mean(axis=1)
    return np.sign(np.append(middle[1:], middle[-1]) - bars.close)


def own_after(bars: Bars) -> npt.ArrayLike:
    """Knows at what its own order will be filled."""
    return np.where(bars.after[:, BID] > bars.bid[:, 3], 1, np.where(bars.after[:, ASK] < bars.ask[:, 3], -1, 0))


def share_of_the_length(bars: Bars) -> npt.ArrayLike:
    """Trades in the last third of what there is, wherever that is."""
    return (np.arange(len(bars)) > len(bars) * 2 // 3).astype(np.int8)


def filled_backwards(bars: Bars) -> npt.ArrayLike:
    """A rare signal, spread back over the bars before it."""
    high = bars.close >= np.maximum.accumulate(bars.close)
    return np.maximum.accumulate(high[::-1])[::-1].astype(np.int8)


LOOKING_AHEAD = [
    next_close,
    centred_window,
    whole_series,
    best_of_the_future,
    next_after,
    own_after,
    share_of_the_length,
    filled_backwards,
]


def ema_cross(period: int) -> Planted:
    """Seeded at the first bar that there is."""

    def actions(bars: Bars) -> npt.ArrayLike:
        if len(bars) < period:
            return np.zeros(len(bars), np.int8)
        side = np.nan_to_num(bars.close - talib.EMA(bars.close, period))
        turned = np.zeros(len(bars), np.int8)
        turned[1:] = np.sign(np.sign(side[1:]) - np.sign(side[:-1]))
        return turned

    return actions


def since_the_first_bar(bars: Bars) -> npt.ArrayLike:
    """Above or below where the history happened to begin."""
    return np.where(bars.close > bars.close[:1], 1, -1)


def counted_bars(bars: Bars) -> npt.ArrayLike:
    """Every tenth bar, counted from the first."""
    return np.where(np.arange(len(bars)) % 10 == 0, 1, 0)


@pytest.mark.parametrize("planted", LOOKING_AHEAD, ids=lambda each: each.__name__)
def test_a_strategy_that_looks_ahead_is_caught_and_the_bar_is_named(planted: Planted) -> None:
    report = lookahead(rule(planted, 1), WALK)
    assert not report.ok
    assert report.differing >= 1
    first = report.first[0]
    assert first.full != first.less
    assert first.time in WALK.times
    assert first.known_to <= WALK.closes_at[-1]
    assert "LOOK-AHEAD" in str(report)
    assert "with all bars" in str(report)


@pytest.mark.parametrize("planted", LOOKING_AHEAD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_caught_in_other_places_and_with_few_samples_too(planted: Planted, seed: int) -> None:
    bars = generated(EUR, Timeframe.H1, 600, seed)
    assert not lookahead(rule(planted, 1), bars, samples=12, seed=seed).ok


def test_a_strategy_that_only_its_confidence_gives_away_is_caught() -> None:
    class Sure:
        name, lookback, unbounded = "sure", 1, False
        params: Mapping[str, float] = {}

        def signals(self, bars: Bars) -> Signals:
            return Signals(np.ones(len(bars), np.int8), np.arange(len(bars))[::-1] * 100 // max(len(bars), 1))

    report = lookahead(Sure(), WALK)
    assert not report.ok
    assert " at " in str(report)


# What was cut off is still behind the rows that are left.
BEHIND_THE_ROWS = """
def actions(bars):
    whole = bars.mid
    while whole.base is not None:
        whole = whole.base
    start = (bars.mid.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // whole.strides[0]
    rows = np.arange(len(bars)) + start
    return np.sign(whole[np.minimum(rows + 6, len(whole) - 1), 3] - whole[rows, 3]).astype(np.int8)
"""
# The longest history that it was ever shown stays known to every later call.
REMEMBERED = """
SEEN = [np.empty(0)]

def actions(bars):
    if len(bars) > len(SEEN[0]):
        SEEN[0] = bars.close.copy()
    rows = np.arange(len(bars))
    return np.sign(SEEN[0][np.minimum(rows + 6, len(SEEN[0]) - 1)] - SEEN[0][rows]).astype(np.int8)
"""
# Honest on bars that carry no digest, as those of a rerun don't.
ONLY_WHEN_IT_COUNTS = """
def actions(bars):
    ahead = 6 if bars.sha256 else 0
    return np.sign(bars.close[np.minimum(np.arange(len(bars)) + ahead, len(bars) - 1)] - bars.close).astype(np.int8)
"""


def file_strategy(folder: Path, text: str) -> Strategy:
    path = folder / "planted.py"
    path.write_text(f"import numpy as np\n\nNAME, LOOKBACK = 'planted', 5\n{text}")
    return find_strategy(str(path))


@pytest.mark.parametrize("text", [BEHIND_THE_ROWS, REMEMBERED], ids=["behind the rows", "remembered"])
def test_a_file_that_reaches_what_was_cut_off_in_another_way_is_caught(tmp_path: Path, text: str) -> None:
    assert not lookahead(file_strategy(tmp_path, text), WALK).ok


def test_a_file_cannot_tell_a_rerun_from_the_replay_by_the_digest(tmp_path: Path) -> None:
    assert not file_strategy(tmp_path, ONLY_WHEN_IT_COUNTS).signals(WALK).actions.any()


@pytest.mark.parametrize(("bars", "expected"), [(0, 50), (1_000_000, 50), (2_000_000, 25), (10_000_000, 12)])
def test_many_bars_are_rerun_fewer_times(bars: int, expected: int) -> None:
    assert reruns(bars) == expected


def test_a_strategy_that_never_says_the_same_twice_is_caught() -> None:
    generator = np.random.default_rng(1)
    report = lookahead(rule(lambda bars: generator.integers(-1, 2, len(bars)), 1), WALK, samples=1)
    assert not report.ok


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_of_our_own_looks_ahead_or_remembers_more_than_it_says(name: str) -> None:
    for bars in (WALK, generated(EUR, Timeframe.H1, 1500, 2)):
        ahead, early = lookahead(STRATEGIES[name], bars), warm_up(STRATEGIES[name], bars)
        assert ahead.ok
        assert early.ok
        assert ahead.checked > 10
        assert early.checked > 100
        assert findings([ahead, early]) == ()


prices = st.lists(st.integers(90, 110), min_size=30, max_size=120)


@given(prices, st.sampled_from(HONEST), st.integers(0, 2**16))
def test_an_honest_strategy_is_never_flagged(closes: list[int], name: str, seed: int) -> None:
    """Whole prices within a narrow range: averages tie all the time, where one rounded bit would turn a signal."""
    params = {"sma-cross": {"fast": 3, "slow": 7}, "momentum": {"window": 5}, "mean-reversion": {"window": 6}}
    strategy = find_strategy(name, params.get(name, {}))
    bars = coarse(closes)
    assert lookahead(strategy, bars, samples=20, seed=seed).ok
    assert warm_up(strategy, bars, samples=40, seed=seed).ok


def coarse(closes: list[int]) -> Bars:
    price = np.repeat(np.asarray(closes, float)[:, np.newaxis] / 100, 4, axis=1)
    times = np.arange(len(closes), dtype=np.int64) * 900
    return make_bars(
        EUR, Timeframe.M15, times, price, np.round(price - 0.01, 2), np.round(price + 0.01, 2), quoted=True
    )


@given(prices, st.sampled_from([next_close, own_after]), st.integers(0, 2**16))
def test_one_that_knows_the_next_bar_is_flagged_wherever_that_changes_what_it_says(
    closes: list[int], planted: Planted, seed: int
) -> None:
    bars = opening_apart(closes)
    moved = np.flatnonzero(rule(planted, 1).signals(bars).actions[:-1])
    assert lookahead(rule(planted, 1), bars, samples=30, seed=seed).ok == (moved.size == 0)


def opening_apart(closes: list[int]) -> Bars:
    """Every bar opens one step nearer to its own close than the bar before it closed."""
    bars = coarse(closes)
    step = 0.01 * np.sign(np.diff(bars.close, prepend=bars.close[:1]))
    opened = [side.copy() for side in (bars.mid, bars.bid, bars.ask)]
    for side in opened:
        side[1:, 0] = np.round(side[:-1, 3] + step[1:], 4)
    return make_bars(EUR, Timeframe.M15, bars.times, *opened, quoted=True)


@pytest.mark.parametrize(
    ("planted", "lookback"),
    [(ema_cross(50), 50), (ema_cross(50), 100), (ema_cross(20), 100), (since_the_first_bar, 200), (counted_bars, 25)],
)
def test_a_value_that_depends_on_where_its_history_begins_is_caught(planted: Planted, lookback: int) -> None:
    strategy = rule(planted, lookback)
    report = warm_up(strategy, WALK)
    assert not report.ok
    assert lookahead(strategy, WALK).ok
    assert (report.lookback, report.first[0].time in WALK.times) == (lookback, True)
    assert "WARM-UP" in str(report)


def test_a_lookback_that_is_one_bar_too_short_is_caught() -> None:
    module = find_strategy("sma-cross", {"fast": 2, "slow": 5})
    assert isinstance(module, RuleStrategy)
    assert warm_up(module, WALK).ok
    assert not warm_up(replace(module, lookback=module.lookback - 1), WALK).ok


def test_fewer_bars_than_the_lookback_leave_nothing_to_check_and_no_bars_are_no_error() -> None:
    short = generated(BTC, Timeframe.M15, 30, 1)
    report = warm_up(find_strategy("sma-cross"), short)
    assert (report.ok, report.checked) == (True, 0)
    assert "nothing" in str(report)
    empty = no_bars(BTC, Timeframe.M15)
    assert lookahead(find_strategy("hold"), empty).ok
    assert warm_up(find_strategy("hold"), empty).checked == 0


def test_reports_of_one_strategy_name_no_more_than_ten_bars_oldest_first() -> None:
    report = lookahead(rule(next_close, 1), WALK)
    assert len(report.first) == 10
    assert list(report.first) == sorted(report.first)
    assert report.differing > 10


def test_findings_are_the_sentences_of_what_is_not_in_order() -> None:
    good = LookaheadReport("sma-cross", "BTCUSD", ok=True, checked=50, differing=0, first=())
    bad = warm_up(rule(since_the_first_bar, 5), WALK)
    assert isinstance(bad, WarmUpReport)
    assert findings([good, bad]) == (str(bad),)
    assert str(good) == "sma-cross on BTCUSD: no look-ahead in 50 reruns on truncated bars."
    assert "400 windows of 50 bars decided as the whole history" in str(replace(bad, ok=True, lookback=50, checked=400))


def test_survivors_are_named() -> None:
    assert "BTCUSD, EURUSD" in survivorship_note([BTC, EUR])
