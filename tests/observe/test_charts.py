"""Charts hold what they claim to: every candle, every level and every day is looked for among the figure's own shapes."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread

from ffe.market.models import Timeframe
from ffe.market.quality import QualityPoint
from ffe.observe import charts

LEVELS = {"entry": 101.5, "stop": 97.25, "target": 108.0}


def bars(count: int, *, step: timedelta = timedelta(minutes=5), volume: float | None = 2.0) -> pd.DataFrame:
    close = 100 + np.cumsum(np.random.default_rng(3).normal(0, 0.4, count))
    opened = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "time": pd.date_range(datetime(2018, 4, 4, tzinfo=UTC), periods=count, freq=step, unit="us"),
            "open": opened,
            "high": np.maximum(opened, close) + 0.1,
            "low": np.minimum(opened, close) - 0.1,
            "close": close,
        }
    )
    return frame if volume is None else frame.assign(volume=volume + np.arange(count))


def boxes(axes: Axes) -> list[tuple[float, float, float, str]]:
    """Middle, bottom, top and colour of every bar drawn on `axes`."""
    return [
        (
            round(box.get_x() + box.get_width() / 2, 6),
            box.get_y(),
            box.get_y() + box.get_height(),
            to_hex(box.get_facecolor()),
        )
        for box in axes.patches
    ]


def wicks(axes: Axes) -> list[tuple[float, float]]:
    (lines,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    return [(float(segment[:, 1].min()), float(segment[:, 1].max())) for segment in lines.get_segments()]


def test_the_last_80_bars_are_drawn_with_body_wick_and_colour_of_each() -> None:
    frame = bars(200)
    axes = charts.candle_figure(frame, "BTCUSD", LEVELS).axes[0]
    newest = frame.tail(80)
    expected = [
        (
            float(place),
            min(row.open, row.close),
            max(row.open, row.close),
            charts.UP if row.close >= row.open else charts.DOWN,
        )
        for place, row in enumerate(newest.itertuples())
    ]
    for drawn, bar in zip(boxes(axes), expected, strict=True):
        assert drawn[:3] == pytest.approx(bar[:3])
        assert drawn[3] == bar[3]
    for drawn, row in zip(wicks(axes), newest.itertuples(), strict=True):
        assert drawn == pytest.approx((row.low, row.high))


def test_every_level_is_a_line_at_its_price_with_its_name_and_number() -> None:
    axes = charts.candle_figure(bars(100), "BTCUSD", LEVELS).axes[0]
    assert {line.get_label(): line.get_ydata()[0] for line in axes.lines} == LEVELS
    assert {text.get_text() for text in axes.texts} == {"entry 101.5", "stop 97.25", "target 108"}
    colours = {line.get_label(): to_hex(line.get_color()) for line in axes.lines}
    assert len(set(colours.values())) == 3


def test_a_level_far_from_the_prices_is_still_inside_the_chart() -> None:
    axes = charts.candle_figure(bars(100), "BTCUSD", {"stop": 20.0, "target": 400.0}).axes[0]
    bottom, top = axes.get_ylim()
    assert bottom < 20.0 < 400.0 < top


def test_labels_of_levels_that_nearly_touch_do_not_cover_each_other_and_the_rest_stay() -> None:
    levels = {"entry": 100.0, "stop": 99.99, "target": 110.0, "best": 100.005}
    axes = charts.candle_figure(bars(100), "BTCUSD", levels).axes[0]
    bottom, top = axes.get_ylim()
    heights = {text.get_text().split()[0]: text.get_position()[1] for text in axes.texts}
    assert heights["target"] == pytest.approx(110.0)
    ranked = [heights[name] for name in ("stop", "entry", "best", "target")]
    assert np.diff(ranked).min() > 0.035 * (top - bottom)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (79, 79), (80, 80), (81, 80)])
def test_fewer_bars_than_80_are_all_drawn(count: int, shown: int) -> None:
    assert len(boxes(charts.candle_figure(bars(count), "BTCUSD", {}).axes[0])) == shown


def test_volume_stands_below_each_bar_where_there_is_one() -> None:
    frame = bars(100)
    figure = charts.candle_figure(frame, "BTCUSD", {})
    assert [top for _, _, top, _ in boxes(figure.axes[1])] == list(frame["volume"].tail(80))
    assert len(charts.candle_figure(bars(100, volume=None), "EURUSD", {}).axes) == 1
    assert len(charts.candle_figure(frame.assign(volume=0.0), "EURUSD", {}).axes) == 1


@pytest.mark.parametrize(("step", "newest"), [(timedelta(minutes=5), "04-04 08:15"), (timedelta(days=1), "2018-07-12")])
def test_the_newest_bar_is_labelled_with_its_open_in_utc(step: timedelta, newest: str) -> None:
    axes = charts.candle_figure(bars(100, step=step), "BTCUSD", {}).axes[-1]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[-1] == newest
    assert 2 <= len(labels) <= charts.TICKS


def test_a_title_is_text_and_never_mathematics() -> None:
    title = "BTCUSD $ 50 % _x_ $"
    axes = charts.candle_figure(bars(10), title, {"a$b$": 100.0}).axes[0]
    assert axes.get_title(loc="left") == title
    assert charts.candle_chart(bars(10), title, {"a$b$": 100.0}).startswith(b"\x89PNG")


def point(instrument: str, at: datetime, *, passed: bool = True) -> QualityPoint:
    return QualityPoint(
        report_id=f"{instrument}{at}",
        instrument=instrument,
        timeframe=Timeframe.M5,
        source="coinbase",
        batch_id="b",
        passed=passed,
        critical=() if passed else ("gap",),
        warnings=(),
        age_seconds=12.0,
        checked_at=at,
        duration_ms=90.0,
    )


NOON = datetime(2018, 4, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORY = [
    point("EURUSD", NOON + 2 * DAY),
    point("BTCUSD", NOON + 2 * DAY, passed=False),
    point("BTCUSD", NOON + DAY),
    point("BTCUSD", NOON, passed=False),
    *(point("BTCUSD", NOON + timedelta(hours=hour)) for hour in (1, 2, 3)),
]


def test_each_days_pass_rate_is_a_bar_in_its_instruments_row_with_the_number_of_reports() -> None:
    btc, eur = charts.pass_rate_figure(HISTORY).axes
    first = date(2018, 4, 4).toordinal()
    assert (btc.get_ylabel(), eur.get_ylabel()) == ("BTCUSD", "EURUSD")
    assert boxes(btc) == [(first, 0, 75, charts.DOWN), (first + 1, 0, 100, charts.UP), (first + 2, 0, 0, charts.DOWN)]
    assert [text.get_text() for text in btc.texts] == ["4", "1", "1"]
    assert boxes(eur) == [(first + 2, 0, 100, charts.UP)]


def test_a_day_without_a_report_has_no_bar_and_all_rows_share_their_days() -> None:
    history = [point("BTCUSD", NOON), point("BTCUSD", NOON + 9 * DAY), point("EURUSD", NOON + 4 * DAY)]
    btc, eur = charts.pass_rate_figure(history).axes
    assert len(boxes(btc)) == 2
    assert btc.get_xlim() == eur.get_xlim()
    assert [label.get_text() for label in eur.get_xticklabels()][-1] == "2018-04-13"


def test_one_report_alone_still_shows_a_week() -> None:
    (axes,) = charts.pass_rate_figure(HISTORY[:1]).axes
    assert axes.get_xlim() == pytest.approx((date(2018, 3, 31).toordinal() - 0.6, date(2018, 4, 6).toordinal() + 0.6))


def test_no_history_says_so() -> None:
    figure = charts.pass_rate_figure([])
    assert [text.get_text() for text in figure.texts] == ["no quality report yet"]
    assert charts.pass_rate_chart([]).startswith(b"\x89PNG")


def test_the_same_input_gives_the_same_bytes_also_from_several_threads() -> None:
    frame = bars(100)
    drawn: list[bytes] = []
    threads = [Thread(target=lambda: drawn.append(charts.candle_chart(frame, "BTCUSD", LEVELS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 4
    assert set(drawn) == {charts.candle_chart(frame, "BTCUSD", LEVELS)}
    assert charts.pass_rate_chart(HISTORY) == charts.pass_rate_chart(HISTORY[::-1])
    assert b"Software" not in drawn[0]


def test_the_bytes_are_a_picture_in_which_the_levels_can_be_seen() -> None:
    with_levels = imread(BytesIO(charts.candle_chart(bars(100), "BTCUSD", LEVELS)))
    assert with_levels.shape[0] > 400
    assert with_levels.shape[1] > 800
    red, green, blue = (with_levels[:, :, channel] for channel in range(3))
    # Only the entry line and its label are blue; a line of one pixel is blended with the white behind it.
    assert ((blue > red + 0.15) & (blue > green + 0.08)).sum() > 500


def test_matplotlib_is_not_loaded_before_the_first_chart_and_pyplot_never_is() -> None:
    code = (
        "import sys; from ffe.observe import charts; assert 'matplotlib' not in sys.modules\n"
        "charts.pass_rate_chart([]); assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
