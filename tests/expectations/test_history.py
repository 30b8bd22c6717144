"""The gates over a whole history say at every bar what the live gates would: the real suite judges the same windows here."""

import itertools
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from excerpts import batch_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_flaws import PLANTS, spoilt

from benchmarks.generated_bars import generated
from expectations import families, history_series, rules, schedule, series
from expectations.history import LAG_SECONDS, broken, gates
from expectations.history_windows import Windows, medians
from expectations.validate import validate_bars
from ffe.market.calendar import Calendar, calendar_for, lookback_start
from ffe.market.freshness import check_freshness
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import QualityReport
from ffe.replay.bars import make_bars, no_bars, to_table, window
from ffe.replay.files import load_bars
from ffe.replay.models import OPEN, Bars, Codes, Gate
from ffe.replay.resampling import resampled
from ffe.settings import Settings
from ffe.sources.models import to_frame

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "tests" / "data" / "bars"
FULL = Path(os.environ.get("FFE_TEST_MARKET_DATA", REPOSITORY.parent / "shared" / "market-data"))
FILES = [*sorted(DATA.rglob("*.csv")), *(sorted(FULL.glob("*.csv")) if FULL.is_dir() else [])]
SETTINGS = Settings(_env_file=None)
LOOKBACK = 200
BTCUSD, EURUSD = parse_instrument("BTCUSD"), parse_instrument("EURUSD")


def load(path: Path) -> Bars:
    (found,) = load_bars([path], half_spread_bps=1.0).values()
    return found


def seen(bars: Bars, calendar: Calendar, row: int, lookback: int) -> tuple[int, datetime]:
    """First row of what a live cycle fetches, and when it looks."""
    now = datetime.fromtimestamp(int(bars.closes_at[row]) + LAG_SECONDS, UTC)
    since = lookback_start(calendar, bars.timeframe, lookback + 1, now).timestamp()
    return min(max(int(np.searchsorted(bars.times, since)), row + 1 - lookback), row), now


def report(bars: Bars, calendar: Calendar, row: int, lookback: int) -> QualityReport:
    """The real suite's word on what a live cycle would have fetched."""
    first, now = seen(bars, calendar, row, lookback)
    edges = [datetime.fromtimestamp(int(bars.times[each]), UTC) for each in (first, row)]
    batch = batch_of(bars.instrument.symbol, bars.timeframe, edges[0], edges[1], row + 1 - first)
    return validate_bars(to_table(bars, first, row + 1), batch, now, calendar=calendar.name)


def live_gate(bars: Bars, calendar: Calendar, row: int, lookback: int = LOOKBACK) -> tuple[Gate, str]:
    """What the steps of a live cycle say, in their order, and why."""
    _, now = seen(bars, calendar, row, lookback)
    if not calendar.is_open(now):
        return Gate.MARKET_HOURS, "closed"
    close = now - timedelta(seconds=LAG_SECONDS)
    if not check_freshness(close, bars.timeframe, now, calendar, SETTINGS.freshness).fresh:
        return Gate.STALE, "stale"
    if row + 1 < rules.ENOUGH_BARS:
        return Gate.WARM_UP, "few"
    found = report(bars, calendar, row, lookback)
    return (Gate.PASSED, "") if found.passed else (Gate.CONTRACT, ", ".join(each.check for each in found.critical))


def telling(codes: Codes, count: int, seed: int) -> list[int]:
    """Rows at random, and as many where the gates change or say no."""
    random = np.random.default_rng(seed)
    turns = np.flatnonzero(np.diff(codes))
    groups = [np.arange(codes.size), np.concatenate([turns, turns + 1]), np.flatnonzero(codes == Gate.CONTRACT)]
    return sorted({int(row) for group in groups for row in random.permutation(group)[:count]})


def disagreements(bars: Bars, rows: list[int], lookback: int = LOOKBACK) -> list[tuple[int, Gate, Gate, str]]:
    calendar = calendar_for(bars.instrument)
    codes = gates(bars, calendar, lookback, SETTINGS)
    told = [(row, Gate(int(codes[row])), *live_gate(bars, calendar, row, lookback)) for row in rows]
    return [each for each in told if each[1] is not each[2]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_bars_are_judged_as_the_suite_judges_them(path: Path) -> None:
    bars = load(path)
    codes = gates(bars, calendar_for(bars.instrument), LOOKBACK, SETTINGS)
    assert disagreements(bars, telling(codes, 2, seed=len(bars))) == []


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15])
@pytest.mark.parametrize("lookback", [60, 300])
def test_so_are_longer_bars_and_other_lookbacks(timeframe: Timeframe, lookback: int) -> None:
    bars = resampled(load(DATA / "long" / "EUR-USD_1m_bidask_2014-05-01.csv"), timeframe, calendar_for(EURUSD))
    codes = gates(bars, calendar_for(EURUSD), lookback, SETTINGS)
    assert disagreements(bars, telling(codes, 4, seed=1), lookback) == []


def test_both_verdicts_are_among_what_is_compared() -> None:
    counts: Counter[int] = Counter()
    for path in FILES:
        bars = load(path)
        counts.update(gates(bars, calendar_for(bars.instrument), LOOKBACK, SETTINGS).tolist())
    assert counts[Gate.PASSED] > 1000
    assert counts[Gate.CONTRACT] > 50
    assert counts[Gate.WARM_UP] > 50


FLAWS = st.tuples(st.sampled_from(sorted(PLANTS)), st.integers(70, 180), st.integers(1, 45))


def base_bars(kind: str) -> Bars:
    if kind == "recorded":
        return window(load(DATA / "EUR-USD_1m_bidask_2018-04-04.csv"), 0, 260)
    name, timeframe = kind.split()
    return generated(parse_instrument(name), Timeframe(timeframe), 260, seed=11)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["recorded", "EURUSD 1m", "EURUSD 1h", "BTCUSD 1m", "BTCUSD 5m", "EURUSD 1d"]),
    st.lists(FLAWS, min_size=1, max_size=2),
    st.sampled_from([60, 100, 200]),
    st.data(),
)
def test_planted_flaws_are_judged_as_the_suite_judges_them(
    kind: str, planted: list[tuple[str, int, int]], lookback: int, data: st.DataObject
) -> None:
    bars = base_bars(kind)
    for name, at, size in planted:
        bars = PLANTS[name](bars, min(at, len(bars) - 40), size)
    ends = [min(len(bars) - 1, at + data.draw(st.sampled_from([0, 1, 3, 12, 59, 70]))) for _, at, _ in planted]
    assert disagreements(bars, [*ends, len(bars) - 1], lookback) == []


@pytest.mark.parametrize("name", sorted(set(PLANTS) - {"nothing"}))
def test_every_flaw_is_one_at_some_size(name: str) -> None:
    bases = [base_bars(kind) for kind in ("EURUSD 1m", "BTCUSD 1m")]
    clean = [gates(bars, calendar_for(bars.instrument), LOOKBACK, SETTINGS) for bars in bases]
    assert all((codes[59:] == Gate.PASSED).all() for codes in clean)
    for bars in bases:
        for at, size in itertools.product((120, 124), (5, 8, 21, 44)):
            flawed = PLANTS[name](bars, at, size)
            codes = gates(flawed, calendar_for(bars.instrument), LOOKBACK, SETTINGS)
            if (codes[59:] != Gate.PASSED).any():
                return
    pytest.fail(f"no {name} is ever noticed")


def test_a_market_that_closes_with_the_bar_is_closed() -> None:
    bars = load(DATA / "cases" / "EUR-USD_1m_bidask_weekend_2014-05-02.csv")
    codes = gates(bars, calendar_for(EURUSD), LOOKBACK, SETTINGS)
    friday = int(np.flatnonzero(np.diff(bars.times) > 86_400)[0])
    assert codes[friday] == Gate.MARKET_HOURS
    assert codes[friday + 1] != Gate.MARKET_HOURS


@pytest.mark.parametrize(("lag", "code"), [(20.0, Gate.PASSED), (901.0, Gate.STALE)])
def test_a_cycle_that_comes_late_finds_the_bar_stale(lag: float, code: Gate) -> None:
    bars = generated(BTCUSD, Timeframe.M1, 100, seed=1)
    codes = gates(bars, calendar_for(BTCUSD), LOOKBACK, SETTINGS, lag_seconds=lag)
    assert (codes[59:] == code).all()


def test_daily_bars_are_stale_by_no_lag() -> None:
    bars = generated(BTCUSD, Timeframe.D1, 100, seed=1)
    codes = gates(bars, calendar_for(BTCUSD), LOOKBACK, SETTINGS, lag_seconds=3600.0)
    assert (codes[59:] == Gate.PASSED).all()


def test_of_no_bars_nothing_is_said() -> None:
    assert gates(no_bars(EURUSD, Timeframe.M5), calendar_for(EURUSD), LOOKBACK, SETTINGS).size == 0


@pytest.mark.parametrize(
    ("volume", "code"),
    [(np.nan, Gate.PASSED), (0.0, Gate.PASSED), (-1.0, Gate.CONTRACT), (np.inf, Gate.CONTRACT)],
)
def test_a_bar_without_a_printed_volume_is_no_flaw_and_a_wrong_one_is(volume: float, code: Gate) -> None:
    bars = generated(BTCUSD, Timeframe.M1, 100, seed=1)
    some = bars.volume.copy()
    some[70] = volume
    codes = gates(replace(bars, volume=some), calendar_for(BTCUSD), LOOKBACK, SETTINGS)
    assert (codes[70:] == code).all()
    assert (codes[59:70] == Gate.PASSED).all()


def test_bars_of_which_no_volume_is_known_are_not_dead() -> None:
    bars = generated(BTCUSD, Timeframe.M1, 100, seed=1)
    for volume, code in ((np.nan, Gate.PASSED), (0.0, Gate.CONTRACT)):
        codes = gates(replace(bars, volume=np.full(100, volume)), calendar_for(BTCUSD), LOOKBACK, SETTINGS)
        assert (codes[59:] == code).all()


def test_bars_that_are_years_apart_cannot_be_checked() -> None:
    bars = generated(BTCUSD, Timeframe.M1, 130, seed=1)
    times = bars.times.copy()
    times[65:] += 60 * 200_000
    apart = replace(bars, times=times)
    everything = Windows(np.array([0]), np.array([129]))
    assert broken(apart, calendar_for(BTCUSD), everything).tolist() == [True]
    frame = to_frame(to_table(apart))
    with pytest.raises(ValueError, match="spread over"):
        schedule.gaps(frame, Timeframe.M1, "always-open")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), min_size=1, max_size=6))
def test_medians_are_those_of_the_numbers_in_each_row(rows: list[list[float]]) -> None:
    table = np.full((len(rows), 9), np.nan)
    for line, values in enumerate(rows):
        table[line, : len(values)] = values
    assert medians(table).tolist() == [float(np.median(values)) for values in rows]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 20), st.data())
def test_windows_bound_count_and_gather_as_one_by_one(values: list[float], lookback: int, data: st.DataObject) -> None:
    numbers, last = np.array(values), np.arange(len(values))
    head, tail = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    windows = Windows(np.maximum(last + 1 - lookback, 0), last)
    each = [numbers[first : row + 1] for first, row in zip(windows.first, last, strict=True)]
    assert windows.lowest(numbers).tolist() == [part.min() for part in each]
    assert windows.highest(numbers).tolist() == [part.max() for part in each]
    inner = [part[head : part.size - tail] if part.size > head + tail else part[:0] for part in each]
    assert windows.count(numbers > 0, head, tail).tolist() == [int((part > 0).sum()) for part in inner]
    gathered = windows.gathered(numbers, head, tail)
    assert [row[np.isfinite(row)].tolist() for row in gathered] == [part.tolist() for part in inner]


@settings(deadline=None, max_examples=40)
@given(st.integers(460, 540), st.integers(1, 30), st.sampled_from([1, 10]), st.integers(0, 10**6))
def test_prices_around_a_change_of_the_grid_are_judged_by_their_median(
    centre: int, spread: int, coarser: int, seed: int
) -> None:
    """A thousandth of two of 5,000 is ten: prices below are held to multiples of ten, prices above to hundreds."""
    random = np.random.default_rng(seed)
    tens = centre // coarser * coarser + coarser * random.integers(-spread, spread + 1, 80)
    prices = np.maximum(tens, 1)[:, None] * 10.0 * np.ones(4)
    times = np.arange(80, dtype=np.int64) * 60
    bars = make_bars(BTCUSD, Timeframe.M1, times, prices, prices, prices, quoted=False)
    limits = families.LIMITS["minute", BTCUSD.asset_class]
    windows = Windows(np.maximum(np.arange(80) - 59, 0), np.arange(80)).chosen(np.arange(59, 80))
    frame = to_frame(to_table(bars))
    expected = [
        series.precise(frame.iloc[first : last + 1], limits.step) is not None
        for first, last in zip(windows.first, windows.last, strict=True)
    ]
    assert history_series.coarse(bars, windows, limits).tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_wild_market_has_the_room_that_its_own_deviation_gives_it(seed: int) -> None:
    calm = generated(BTCUSD, Timeframe.M1, 400, seed=seed)
    centre = calm.mid[0, OPEN]
    wild = spoilt(calm, *(np.round(centre * (prices / centre) ** 30, 2) for prices in (calm.mid, calm.bid, calm.ask)))
    limits = families.LIMITS["minute", BTCUSD.asset_class]
    windows = Windows(np.maximum(np.arange(400) - 199, 0), np.arange(400)).chosen(np.arange(59, 400))
    found = history_series.bad_ticks(wild, windows, limits)
    frame = to_frame(to_table(wild))
    expected = [
        series.believable(frame.iloc[first : last + 1], limits.excursion, limits.jump) is not None
        for first, last in zip(windows.first, windows.last, strict=True)
    ]
    assert found.tolist() == expected
