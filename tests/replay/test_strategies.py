"""Strategies: what they say on bars made for them, what they are held to, and how one is found."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.errors import ConfigurationError, UnknownNameError
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import digest, make_bars
from ffe.replay.models import TRADE_SCHEMA, Bars, Gate
from ffe.replay.strategies import STRATEGIES, find_strategy, random_like
from ffe.replay.strategies.registry import StrategyFile
from ffe.replay.strategies.windows import rolling_score, rolling_sum, ticks, turns

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
FILE = '"""Every third bar."""\nimport numpy as np\nNAME, LOOKBACK = "third", 3\n\ndef actions(bars, *, step=3):\n    {body}\n'


def bars_of(closes: list[float], places: int = 2) -> Bars:
    """Hourly bars that open and close at the same price, one step wide."""
    prices = np.repeat(np.asarray(closes, float)[:, np.newaxis], 4, axis=1)
    step = 10.0**-places
    times = np.arange(len(closes), dtype=np.int64) * 3600 + 1_500_000_000 // 3600 * 3600
    return make_bars(BTC, Timeframe.H1, times, prices, prices - step, prices + step, places=places, quoted=True)


def said(name: str, closes: list[float], **params: float) -> list[int]:
    return [int(action) for action in find_strategy(name, params).signals(bars_of(closes)).actions]


def strategy_file(folder: Path, body: str) -> str:
    path = folder / "mine.py"
    path.write_text(FILE.format(body=body))
    return str(path)


def trades_of(rows: list[tuple[str, int, int]], instrument: str = "BTCUSD") -> pa.Table:
    """Rows of TRADE_SCHEMA with a side, an entry bar and an exit bar; the rest is not read."""
    empty = {field.name: None for field in TRADE_SCHEMA}
    made = [
        empty | {"instrument": instrument, "side": side, "entry_bar": first, "exit_bar": last}
        for side, first, last in rows
    ]
    return pa.Table.from_pylist(made, schema=TRADE_SCHEMA)


def test_sma_cross_buys_where_the_fast_average_passes_above_the_slow_one_and_sells_where_it_passes_below() -> None:
    closes = [10.0, 10, 10, 10, 20, 20, 20, 5, 5, 5]
    assert said("sma-cross", closes, fast=2, slow=3) == [0, 0, 0, 0, 1, 0, 0, -1, 0, 0]


def test_momentum_trades_where_the_sign_of_the_past_return_changes() -> None:
    assert said("momentum", [10.0, 10, 10, 11, 12, 13, 9, 8, 8, 20], window=2) == [0, 0, 0, 1, 0, 0, -1, 0, 0, 1]


def test_mean_reversion_buys_a_fall_out_of_the_band_once_and_sells_a_rise() -> None:
    calm = [10.0, 10.1] * 5
    assert said("mean-reversion", [*calm, 9.0, 8.0, 10.0, *calm, 12.0], window=8, width=1.5) == [
        *[0] * 10,
        *(1, 0, 0),
        *[0] * 10,
        -1,
    ]


def test_hold_never_acts_and_buy_and_hold_buys_from_the_first_bar_on() -> None:
    assert said("hold", [1.0, 2, 3]) == [0, 0, 0]
    assert said("buy-and-hold", [1.0, 2, 3]) == [1, 1, 1]
    assert [name for name, strategy in STRATEGIES.items() if strategy.unbounded] == ["buy-and-hold"]


def test_random_flips_come_at_the_rate_asked_for_and_on_both_sides_alike() -> None:
    actions = find_strategy("random", {"rate": 0.1, "seed": 3}).signals(generated(BTC, Timeframe.M5, 20_000, 1)).actions
    counts = Counter(actions.tolist())
    assert counts[1] + counts[-1] == pytest.approx(2000, rel=0.1)
    assert counts[1] == pytest.approx(1000, rel=0.15)


def test_another_seed_or_another_market_flips_other_coins() -> None:
    bars = generated(BTC, Timeframe.M5, 2000, 1)
    flips = find_strategy("random", {"rate": 0.5}).signals(bars).actions
    assert (find_strategy("random", {"rate": 0.5}).signals(bars).actions == flips).all()
    assert (find_strategy("random", {"rate": 0.5, "seed": 1}).signals(bars).actions != flips).any()
    assert (
        find_strategy("random", {"rate": 0.5}).signals(generated(EUR, Timeframe.M5, 2000, 1)).actions != flips
    ).any()


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_answers_for_each_bar_of_no_few_and_many(name: str) -> None:
    for n in (0, 1, 5, 300):
        signals = STRATEGIES[name].signals(generated(EUR, Timeframe.M15, 300, 2) if n == 300 else bars_of([1.0] * n))
        assert signals.actions.dtype == np.int8
        assert signals.actions.shape == signals.confidence.shape == (n,)
        assert set(signals.actions.tolist()) <= {-1, 0, 1}


@pytest.mark.parametrize("name", ["sma-cross", "momentum", "mean-reversion"])
def test_nothing_is_said_on_fewer_bars_than_the_lookback_and_something_is_on_real_lengths(name: str) -> None:
    strategy = STRATEGIES[name]
    actions = strategy.signals(generated(BTC, Timeframe.M15, 5000, 4)).actions
    assert not actions[: strategy.lookback - 1].any()
    assert {1, -1} <= set(actions.tolist())
    assert strategy.lookback <= 200


def test_the_lookback_follows_the_parameters() -> None:
    assert find_strategy("sma-cross", {"slow": 100}).lookback == 101
    assert find_strategy("momentum", {"window": 10}).lookback == 12
    assert find_strategy("mean-reversion", {"window": 30}).lookback == 31


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("sma-cross", {"fast": 50, "slow": 20}, "0 < fast < slow"),
        ("sma-cross", {"fast": 2.5}, "fast must be a whole number"),
        ("sma-cross", {"fast": float("nan")}, "fast must be a whole number"),
        ("momentum", {"window": 0}, "at least 1"),
        ("mean-reversion", {"window": 1}, "at least 2"),
        ("mean-reversion", {"width": 0}, "positive"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_by_name(name: str, params: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        find_strategy(name, params)


def test_a_random_rate_beyond_one_is_refused_when_it_is_asked_for_signals() -> None:
    with pytest.raises(ConfigurationError, match=r"rate 1.5 must lie in \[0, 1\]"):
        find_strategy("random", {"rate": 1.5}).signals(bars_of([1.0]))


def test_an_unknown_strategy_or_parameter_is_refused_with_the_nearest_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="nearest known: sma-cross"):
        find_strategy("sma_cros")
    with pytest.raises(UnknownNameError, match="parameter of sma-cross 'fats'; nearest known: fast"):
        find_strategy("sma-cross", {"fats": 5})
    with pytest.raises(UnknownNameError, match="it has none"):
        find_strategy("hold", {"window": 5})


def test_a_file_of_a_few_lines_is_a_strategy(tmp_path: Path) -> None:
    path = strategy_file(tmp_path, "return (np.arange(len(bars)) % step == 0).astype(int)")
    strategy = find_strategy(path, {"step": 4})
    assert (strategy.name, strategy.lookback, strategy.unbounded) == ("third", 3, False)
    assert strategy.signals(bars_of([1.0] * 9)).actions.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return np.zeros(len(bars) + 1)", r"actions of shape \(10,\) for 9 bars"),
        ("return np.full(len(bars), 2)", "not -1, 0 or 1"),
        ("return np.full(len(bars), 0.5)", "not -1, 0 or 1"),
        ("return np.full(len(bars), np.nan)", "not -1, 0 or 1"),
        ("return bars.close[99:100] * [1, 2][len(bars)]", "strategy third failed on 9 bars: IndexError"),
        ("bars.close[:] = 1", "strategy third failed on 9 bars: ValueError: .*read-only"),
    ],
)
def test_what_is_no_action_a_bar_is_refused(tmp_path: Path, body: str, words: str) -> None:
    strategy = find_strategy(strategy_file(tmp_path, body))
    with pytest.raises(ConfigurationError, match=words):
        strategy.signals(bars_of([1.0] * 9))


def test_bars_are_lent_to_a_strategy_and_stay_as_they_were() -> None:
    bars = bars_of([1.0, 2, 3])
    find_strategy("buy-and-hold").signals(bars)
    assert bars.mid.flags.writeable


def test_a_file_gets_bars_of_its_own_and_can_rewrite_no_others(tmp_path: Path) -> None:
    """A strategy that raises the later prices would be paid at them."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\nNAME, LOOKBACK = 'rewriting', 1\n"
        "def actions(bars):\n"
        "    for values in (bars.times, bars.mid, bars.bid, bars.ask, bars.volume, bars.after):\n"
        "        assert values.base is None\n"
        "        assert not values.flags.writeable\n"
        "        values.flags.writeable = True\n"
        "        values[:] = 7\n"
        "    return np.ones(len(bars))\n"
    )
    bars = generated(BTC, Timeframe.H1, 300, 1)
    before = digest(bars)
    assert find_strategy(str(path)).signals(bars).actions.all()
    assert digest(bars) == before


def test_a_file_starts_anew_for_each_call_and_knows_nothing_of_the_instrument_before(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\nNAME, LOOKBACK = 'leader', 1\nSEEN = []\n"
        "def actions(bars):\n    SEEN.append(bars.instrument.symbol)\n    return np.full(len(bars), len(SEEN) - 1)\n"
    )
    strategy = find_strategy(str(path))
    for instrument in (BTC, EUR, BTC):
        assert not strategy.signals(generated(instrument, Timeframe.H1, 50, 1)).actions.any()


def test_a_file_that_is_rewritten_during_a_replay_stays_what_was_asked_for(tmp_path: Path) -> None:
    path = strategy_file(tmp_path, "return np.ones(len(bars))")
    strategy, file = find_strategy(path), StrategyFile.read(Path(path))
    strategy_file(tmp_path, "return np.zeros(len(bars))")
    assert "np.ones" in file.get_source("mine")
    assert strategy.signals(bars_of([1.0] * 9)).actions[2:].all()


def test_a_file_that_runs_only_once_says_so(tmp_path: Path) -> None:
    path, once = tmp_path / "mine.py", tmp_path / "once"
    path.write_text(f"import os\nos.mkdir({str(once)!r})\nNAME, LOOKBACK = 'x', 1\ndef actions(bars): return []\n")
    strategy = find_strategy(str(path))
    with pytest.raises(ConfigurationError, match=r"mine.py failed: FileExistsError"):
        strategy.signals(bars_of([1.0]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NAME, LOOKBACK = 'x', 1", "is no strategy"),
        ("def actions(bars): return bars", "is no strategy"),
        ("NAME = 'x'\ndef actions(bars): return bars", "needs LOOKBACK"),
        ("NAME, LOOKBACK = 'x', 0\ndef actions(bars): return bars", "1 bar or more; it is 0"),
        ("import nothing_of_that_name", "failed: ModuleNotFoundError"),
        ("def actions(:", "failed: SyntaxError"),
    ],
)
def test_a_file_that_is_no_strategy_says_what_it_lacks(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        find_strategy(str(path))


def test_a_strategy_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no strategy file at"):
        find_strategy(str(tmp_path / "none.py"))


@given(st.lists(st.integers(-(2**52), 2**52), max_size=40), st.integers(1, 12))
def test_a_rolling_sum_is_exact_whatever_came_before(values: list[int], window: int) -> None:
    full = [sum(values[row + 1 - window : row + 1]) for row in range(window - 1, len(values))]
    empty = [0] * min(window - 1, len(values))
    assert rolling_sum(np.asarray(values, np.int64), window).tolist() == empty + full


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60), st.integers(2, 9), st.integers(0, 30))
def test_a_score_is_the_same_to_the_last_bit_wherever_the_series_begins(
    values: list[float], window: int, cut: int
) -> None:
    series = np.asarray(values)
    whole, part = rolling_score(series, window), rolling_score(series[cut:], window)
    assert (whole[cut + window - 1 :] == part[window - 1 :]).all()


@given(st.lists(st.floats(1, 1000), min_size=5, max_size=30))
def test_a_score_is_the_distance_from_the_mean_in_deviations(values: list[float]) -> None:
    series, window = np.asarray(values), 5
    scores = rolling_score(series, window)
    for row in range(window - 1, series.size):
        part = series[row + 1 - window : row + 1]
        if part.std() > 1e-6 * part.max():
            assert scores[row] == pytest.approx((part[-1] - part.mean()) / part.std(), rel=1e-6, abs=1e-6)


def test_scores_over_several_blocks_equal_those_of_one_window_at_a_time() -> None:
    values = np.random.default_rng(5).normal(100, 1, 40_000)
    scores = rolling_score(values, 20)
    for row in (18, 19, 16_402, 16_403, 16_404, 39_999):
        alone = rolling_score(values[max(row - 19, 0) : row + 1], 20)
        assert scores[row] == alone[-1]


def test_ticks_are_whole_tenths_of_the_smallest_step_so_a_middle_has_one_too() -> None:
    bars = generated(EUR, Timeframe.H1, 500, 3)
    counted = ticks(bars)
    assert (counted / 10.0 ** (bars.places + 1) == bars.close).all()


def test_a_turn_is_the_first_bar_on_a_side_and_never_the_first_of_all() -> None:
    assert turns(np.array([1, 1, 0, 1, -1, -1, 0, -1])).tolist() == [0, 0, 0, 1, -1, 0, 0, -1]
    assert turns(np.array([], np.int64)).tolist() == []


def test_random_trades_are_as_many_as_long_and_on_the_same_sides_as_the_strategys_own() -> None:
    bars = generated(BTC, Timeframe.M15, 1000, 1)
    own = trades_of([("BUY", 10, 20), ("SELL", 40, 45), ("BUY", 100, 103), ("BUY", 200, 201)])
    signals = random_like(bars, own, 7)
    rows = np.flatnonzero(signals.actions)
    held = sorted((int(last - first), int(signals.actions[first])) for first, last in rows.reshape(-1, 2))
    assert held == [(1, 1), (3, 1), (5, -1), (10, 1)]
    assert (signals.confidence[rows[::2]] == 100).all()
    assert (signals.confidence[rows[1::2]] == 0).all()
    assert (signals.actions[rows[::2]] == -signals.actions[rows[1::2]]).all()


def test_random_trades_of_another_seed_lie_elsewhere_and_those_of_the_same_seed_do_not() -> None:
    bars, own = generated(BTC, Timeframe.M15, 1000, 1), trades_of([("BUY", 10, 20), ("BUY", 40, 45)])
    first, again, other = (random_like(bars, own, seed).actions for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_random_trades_begin_and_end_only_where_the_gates_were_open() -> None:
    bars = generated(BTC, Timeframe.M15, 400, 1)
    gates = np.full(400, Gate.CONTRACT, np.int8)
    gates[100:200] = Gate.PASSED
    own = trades_of([("BUY", 100, 110), ("BUY", 120, 150), ("SELL", 160, 161)])
    for seed in range(20):
        rows = np.flatnonzero(random_like(bars, own, seed, gates).actions)
        assert rows.size == 6
        assert rows.min() >= 100
        assert rows.max() < 200


def test_random_trades_of_another_instrument_and_of_no_trade_at_all_are_none() -> None:
    bars = generated(BTC, Timeframe.M15, 100, 1)
    assert not random_like(bars, trades_of([("BUY", 1, 5)], "ETHUSD"), 1).actions.any()
    assert not random_like(bars, trades_of([]), 1).actions.any()


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 30)), max_size=40),
    st.integers(0, 1000),
)
def test_random_trades_never_overlap_and_always_fit(n: int, spans: list[tuple[int, int]], seed: int) -> None:
    own = trades_of([("BUY", first, first + length) for first, length in spans])
    actions = random_like(bars_of([1.0] * n), own, seed).actions
    rows = np.flatnonzero(actions)
    assert rows.size == 2 * min(len(spans), n // 2)
    assert actions[rows].tolist() == [1, -1] * (rows.size // 2)


def test_places_of_random_trades_are_spread_over_the_whole_period() -> None:
    bars, own = generated(BTC, Timeframe.M15, 1000, 1), trades_of([("BUY", 10, 15)])
    entries = [int(np.flatnonzero(random_like(bars, own, seed).actions)[0]) for seed in range(300)]
    assert np.histogram(entries, bins=4, range=(0, 1000))[0].min() > 50
