"""Charts of a replay: the same bytes every time, colours of the page, and as little drawn as keeps the shape."""

import math
import re
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import made_run

from ffe.replay import charts
from ffe.replay.charts import COLOURS, Chart, thinned
from ffe.replay.charts_candles import CANDLES, SHOWN, candle_window, candles_around, chosen
from ffe.replay.charts_equity import difference_chart, drawdowns, equity_chart
from ffe.replay.charts_trades import ended, price_chart, returns_chart, trade_returns
from ffe.replay.models import CLOSE, HIGH, LOW, OPEN, TRADE_SCHEMA
from ffe.replay.report_charts import account_charts, instrument_charts, mark_of
from ffe.replay.request import ReplayRun


@pytest.fixture(scope="module")
def run() -> ReplayRun:
    return made_run(n=800)


@pytest.fixture(scope="module")
def drawn(run: ReplayRun) -> dict[str, Chart]:
    return instrument_charts(run, 0)


def trade_of(run: ReplayRun, **changed: Any) -> dict[str, Any]:
    return run.result.trades.slice(0, 1).to_pylist()[0] | changed


def test_a_replay_has_every_chart_as_svg_and_png(drawn: dict[str, Chart]) -> None:
    assert list(drawn) == ["equity", "baselines", "differences", "trades", "returns", "calibration"]
    for chart in drawn.values():
        assert chart.svg.startswith('<svg class="chart"')
        assert chart.svg.rstrip().endswith("</svg>")
        width, height = struct.unpack(">II", chart.png[16:24])
        assert width > 600
        assert height > 200


def test_the_same_run_draws_the_same_bytes(run: ReplayRun, drawn: dict[str, Chart]) -> None:
    again = instrument_charts(made_run(n=800), 0)
    assert {name: (each.svg, each.png) for name, each in again.items()} == {
        name: (each.svg, each.png) for name, each in drawn.items()
    }


def test_an_svg_takes_its_colours_from_the_page_and_asks_for_nothing(drawn: dict[str, Chart]) -> None:
    for chart in drawn.values():
        assert not [value for value in COLOURS.values() if value in chart.svg]
        assert "var(--ink)" in chart.svg
        assert "http" not in chart.svg
        assert "<style" not in chart.svg
        assert "metadata" not in chart.svg


def test_no_two_charts_share_an_id(drawn: dict[str, Chart]) -> None:
    for chart in drawn.values():
        ids = re.findall(r'\bid="([^"]+)"', chart.svg)
        assert all(each.startswith(f"{chart.name}-") for each in ids)
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', chart.svg))
        assert used <= set(ids)


def test_every_entry_of_a_legend_names_a_part_that_is_there(drawn: dict[str, Chart]) -> None:
    parts = [(chart, key.part) for chart in drawn.values() for key in chart.keys if key.part]
    assert len(parts) >= 8
    assert all(f'id="{part}"' in chart.svg for chart, part in parts)


def test_a_contaminated_chart_says_so_in_the_picture(run: ReplayRun) -> None:
    result = run.result
    given = ("equity", "t", result.times, result.equity(0), result.capital)
    clean, marked = (equity_chart(*given, halted_at=None, mark=mark) for mark in (None, "CONTAMINATED"))
    assert "CONTAMINATED" in marked.svg
    assert "CONTAMINATED" not in clean.svg
    assert marked.png != clean.png


def test_pictures_of_a_replay_without_costs_carry_the_mark(drawn: dict[str, Chart]) -> None:
    free = made_run(n=300, costs=False)
    without = instrument_charts(free, 0)
    assert all("COSTS OFF" in chart.svg for chart in without.values())
    assert not any("COSTS OFF" in chart.svg for chart in drawn.values())
    assert mark_of(replace(free, contaminated=(True,)), 0) == "CONTAMINATED\nCOSTS OFF"
    assert "return of a trade after costs, %" in drawn["returns"].svg
    assert "return of a trade before costs, %" in without["returns"].svg


def test_an_account_is_marked_for_any_of_its_instruments() -> None:
    both = made_run(("BTCUSD", "ETHUSD"), n=300, contaminated=(False, True), costs=False)
    (account,) = account_charts(both)
    assert "CONTAMINATED" in account.svg
    assert "COSTS OFF" in account.svg


def test_a_halt_is_marked_where_it_happened(run: ReplayRun) -> None:
    result = run.result
    halted = equity_chart(
        "equity", "t", result.times, result.equity(0), result.capital, halted_at=int(result.times[99]), mark=None
    )
    assert ">halted</text>" in halted.svg


@pytest.mark.parametrize("seconds", [60, 3600, 86_400, 40 * 86_400, 400 * 86_400, 5_000 * 86_400])
def test_every_span_of_time_has_few_labels_on_round_moments(seconds: int) -> None:
    n = 50
    times = 1_451_865_600 + np.linspace(0, seconds, n).astype(np.int64)
    chart = equity_chart("equity", "t", times, np.linspace(100, 110, n), 100.0, halted_at=None, mark=None)
    labels = re.findall(r">(\d\d\d\d-\d\d(?:-\d\d)?|\d\d-\d\d \d\d:\d\d)</text>", chart.svg)
    assert len(labels) <= charts.TICKS
    assert len(labels) >= 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(10, 400))
def test_thinning_keeps_the_extremes_and_the_ends(values: list[float], points: int) -> None:
    array = np.array(values)
    kept = thinned(array, points)
    assert kept[0] == 0
    assert kept[-1] == array.size - 1
    assert bool((np.diff(kept) > 0).all())
    assert array[kept].max() == array.max()
    assert array[kept].min() == array.min()
    assert kept.size <= max(points, 2) + 2


def test_a_difference_without_an_interval_is_a_dot_alone() -> None:
    known = made_run(n=200).baselines[0][0]
    unknown = replace(known, low=-math.inf, high=math.inf)
    dot, line = (difference_chart("differences", "t", [each], mark=None) for each in (unknown, known))
    assert "95 % from n/a to n/a" in dot.described
    assert ("opacity: 0.55" in dot.svg, "opacity: 0.55" in line.svg) == (False, True)


def test_a_trade_that_is_still_open_has_an_entry_and_no_exit(run: ReplayRun) -> None:
    held = pa.Table.from_pylist([trade_of(run, exit_reason="open")], schema=TRADE_SCHEMA)
    assert [key.label[-5:] for key in price_chart("trades", "t", run.feeds[0].bars, held, mark=None).keys] == [
        "close",
        "entry",
    ]


def test_a_drawdown_is_below_the_highest_equity_so_far() -> None:
    assert drawdowns(np.array([100.0, 120.0, 90.0, 130.0])).tolist() == pytest.approx([0, 0, -0.25, 0])


def test_returns_are_of_ended_trades_only(run: ReplayRun) -> None:
    rows = [
        trade_of(run, pnl=20.0, notional=2000.0),
        trade_of(run, pnl=5.0, notional=0.0),
        trade_of(run, pnl=9.0, exit_reason="open"),
    ]
    trades = pa.Table.from_pylist(rows, schema=TRADE_SCHEMA)
    assert len(ended(trades)) == 2
    assert trade_returns(trades).tolist() == [0.01]


@pytest.mark.parametrize("returns", [[0.01], [-0.02, -0.01], [0.0], [0.01] * 50 + [-0.3]])
def test_any_returns_can_be_drawn(returns: list[float]) -> None:
    assert f"{len(returns)} trades" in returns_chart("returns", "t", np.array(returns), mark=None).described


def test_a_chart_of_ten_thousand_trades_stays_small(run: ReplayRun) -> None:
    rows = run.result.trades.to_pylist()
    many = pa.Table.from_pylist((rows * (10_000 // len(rows) + 1))[:10_000], schema=TRADE_SCHEMA)
    chart = price_chart("trades", "t", run.feeds[0].bars, many, mark=None)
    assert len(chart.svg) < 300_000
    assert "10000 entries" in chart.described


def test_windows_are_the_worst_the_best_and_some_in_between(run: ReplayRun) -> None:
    pnl = np.random.default_rng(1).permutation(500).astype(float)
    trades = pa.table({"pnl": pnl})
    rows = chosen(trades)
    assert len(rows) == SHOWN
    assert rows == sorted(set(rows))
    assert {int(pnl.argmin()), int(pnl.argmax())} <= set(rows)
    assert chosen(trades.slice(0, SHOWN)) == list(range(SHOWN))


@pytest.mark.parametrize(("entry", "leaves"), [(0, 1), (5, 5), (100, 110), (50, 799), (798, 799)])
def test_a_window_holds_the_whole_trade_in_few_candles(run: ReplayRun, entry: int, leaves: int) -> None:
    bars = run.feeds[0].bars
    found = candles_around(bars, entry, leaves)
    assert len(found.times) <= CANDLES + 60
    assert found.first <= entry
    assert 0 <= found.place(entry) <= found.place(leaves + 1) <= len(found.times)
    assert bool((found.ohlc[:, HIGH] >= found.ohlc[:, [OPEN, CLOSE]].max(axis=1)).all())
    assert bool((found.ohlc[:, LOW] <= found.ohlc[:, [OPEN, CLOSE]].min(axis=1)).all())
    assert found.ohlc[0, OPEN] == bars.mid[found.first, OPEN]


def test_a_window_shows_entry_exit_stop_and_target(run: ReplayRun) -> None:
    svg = candle_window(run.feeds[0].bars, trade_of(run))
    assert sorted(re.findall(r'<text class="(stop|target|in|out)"', svg)) == ["in", "out", "stop", "target"]
    assert svg.count('class="mark ') == 2
    assert svg.count('class="level ') == 2


def test_a_trade_without_protection_has_no_levels_and_an_open_one_no_exit(run: ReplayRun) -> None:
    svg = candle_window(run.feeds[0].bars, trade_of(run, stop_loss=math.nan, take_profit=None, exit_reason="open"))
    assert 'class="level ' not in svg
    assert 'class="mark out"' not in svg
    assert "still open" in svg


def test_labels_of_levels_never_lie_on_each_other(run: ReplayRun) -> None:
    price = float(run.feeds[0].bars.close[100])
    same = trade_of(
        run, entry_bar=100, exit_bar=101, entry_price=price, exit_price=price, stop_loss=price, take_profit=price
    )
    heights = [
        float(y)
        for y in re.findall(
            r'<text class="(?:stop|target|in|out)" x="\d+" y="([\d.]+)"', candle_window(run.feeds[0].bars, same)
        )
    ]
    assert len(heights) == 4
    assert min(np.diff(heights)) >= 18
