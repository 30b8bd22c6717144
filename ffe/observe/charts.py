"""Charts as PNG bytes: the candles a decision was made from, and how often an instrument's bars passed.

Drawn with matplotlib's Agg canvas on figures of their own: no pyplot, so no state is shared between threads and no display is needed.
matplotlib is imported by the first chart, because most commands never draw one. The same input gives the same bytes: no time, no
version and no random id goes into the file.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import pandas as pd

from ffe.market.pass_rate import PassRate, pass_rates
from ffe.market.quality import QualityPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CANDLES = 80
DPI = 100
UP, DOWN, NEUTRAL = "#1a9988", "#d1495b", "#5f6b76"
LEVEL_COLOURS = {"entry": "#2b6cb0", "stop": DOWN, "target": UP}
BODY_WIDTH = 0.7
# Labels of levels closer together than this share of the price axis are moved apart.
LABEL_GAP = 0.045
TICKS = 6
DAYS_SHOWN_LEAST = 7
COLOURS = 32


def candle_chart(frame: pd.DataFrame, title: str, levels: Mapping[str, float]) -> bytes:
    """PNG of the last 80 bars of `frame` (`to_frame`, at least one row), `levels` (entry, stop, target: price units) as labelled lines.

    Volume is drawn below where the bars have one.
    """
    return _png(candle_figure(frame, title, levels))


def candle_figure(frame: pd.DataFrame, title: str, levels: Mapping[str, float]) -> "Figure":
    """The figure behind `candle_chart`. Bars stand side by side: time in which the market was closed takes no room."""
    bars = frame.tail(CANDLES).reset_index(drop=True)
    traded = "volume" in bars and bool((bars["volume"] > 0).any())
    figure = _figure(9.6, 5.4)
    figure.subplots_adjust(left=0.08, right=0.84, top=0.94, bottom=0.1)
    grid = figure.add_gridspec(2 if traded else 1, 1, height_ratios=(4, 1) if traded else (1,), hspace=0.06)
    prices = figure.add_subplot(grid[0])
    prices.set_title(title, loc="left", fontsize=11, parse_math=False)
    _draw_candles(prices, bars)
    _draw_levels(prices, levels, len(bars))
    lowest = prices
    if traded:
        lowest = figure.add_subplot(grid[1], sharex=prices)
        lowest.bar(bars.index, bars["volume"], width=BODY_WIDTH, color=_colours(bars))
        lowest.set_ylabel("volume", fontsize=8)
        prices.tick_params(labelbottom=False)
    prices.set_xlim(-1, len(bars))
    _label_times(lowest, bars["time"])
    for axes in figure.axes:
        _plain(axes)
    return figure


def pass_rate_chart(history: Sequence[QualityPoint]) -> bytes:
    """PNG of each UTC day's share of reports that passed, one row an instrument; the number above a bar is that day's reports."""
    return _png(pass_rate_figure(history))


def pass_rate_figure(history: Sequence[QualityPoint]) -> "Figure":
    """The figure behind `pass_rate_chart`; without any report it says so."""
    rates = pass_rates(history)
    height = 1.1 + 1.2 * max(1, len(rates))
    figure = _figure(9.6, height)
    figure.subplots_adjust(left=0.14, right=0.98, top=1 - 0.35 / height, bottom=0.35 / height, hspace=0.35)
    if not rates:
        figure.text(0.5, 0.5, "no quality report yet", ha="center", va="center", color=NEUTRAL)
        return figure
    first, last = min(rate.days[0][0] for rate in rates), max(rate.days[-1][0] for rate in rates)
    first = min(first, last - timedelta(days=DAYS_SHOWN_LEAST - 1))
    for row, rate in enumerate(rates, 1):
        axes = figure.add_subplot(len(rates), 1, row)
        _draw_rate(axes, rate)
        _label_days(axes, first, last)
        _plain(axes)
        axes.tick_params(labelbottom=row == len(rates))
    figure.axes[0].set_title("bars that passed, per day (UTC)", loc="left", fontsize=11)
    return figure


def _draw_candles(axes: "Axes", bars: pd.DataFrame) -> None:
    """A bar that closed where it opened keeps a body as thin as its outline."""
    colours = _colours(bars)
    axes.vlines(bars.index, bars["low"], bars["high"], color=colours, linewidth=0.9)
    body, bottom = (bars["close"] - bars["open"]).abs(), bars[["open", "close"]].min(axis=1)
    axes.bar(bars.index, body, bottom=bottom, width=BODY_WIDTH, color=colours, edgecolor=colours, linewidth=0.9)
    axes.set_ylabel("price", fontsize=8)


def _colours(bars: pd.DataFrame) -> list[str]:
    return [UP if up else DOWN for up in bars["close"] >= bars["open"]]


def _draw_levels(axes: "Axes", levels: Mapping[str, float], bars: int) -> None:
    """Every level is inside the axis, however far from the prices it is."""
    if not levels:
        return
    bottom, top = axes.get_ylim()
    span = max(top, *levels.values()) - min(bottom, *levels.values())
    axes.set_ylim(min(bottom, min(levels.values()) - 0.03 * span), max(top, max(levels.values()) + 0.03 * span))
    ranked = sorted(levels.items(), key=lambda level: level[1])
    heights = _apart([price for _, price in ranked], LABEL_GAP * span)
    for (name, price), height in zip(ranked, heights, strict=True):
        colour = LEVEL_COLOURS.get(name, NEUTRAL)
        axes.axhline(price, color=colour, linewidth=1.1, linestyle="--", label=name)
        axes.text(bars + 0.3, height, f"{name} {price:.8g}", color=colour, fontsize=8, va="center", parse_math=False)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, those nearer than `gap` spread evenly around their own middle; the others stay where they are."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _spread(groups[-1], gap)[0] - _spread(groups[-2], gap)[-1] < gap:
            last = groups.pop()
            groups[-1] += last
    return [height for group in groups for height in _spread(group, gap)]


def _spread(group: Sequence[float], gap: float) -> list[float]:
    middle = sum(group) / len(group)
    return [middle + gap * (place - (len(group) - 1) / 2) for place in range(len(group))]


def _draw_rate(axes: "Axes", rate: PassRate) -> None:
    """A day without a report has no bar and no number."""
    checked = [(day.toordinal(), 100 * passed / reports, reports) for day, passed, reports in rate.days if reports]
    days, shares = [day for day, _, _ in checked], [share for _, share, _ in checked]
    axes.bar(days, shares, width=BODY_WIDTH, color=[UP if share == 100 else DOWN for share in shares])
    for day, share, reports in checked:
        axes.text(day, share + 4, str(reports), ha="center", fontsize=7, color=NEUTRAL)
    axes.set_ylim(0, 125)
    axes.set_yticks([0, 50, 100], labels=["0 %", "50 %", "100 %"])
    axes.set_ylabel(rate.instrument, fontsize=8, rotation=0, ha="right", va="center", labelpad=8, parse_math=False)


def _label_days(axes: "Axes", first: date, last: date) -> None:
    shown = [first + timedelta(days=step) for step in _every((last - first).days + 1)]
    axes.set_xticks([day.toordinal() for day in shown], labels=[day.isoformat() for day in shown])
    axes.set_xlim(first.toordinal() - 0.6, last.toordinal() + 0.6)


def _label_times(axes: "Axes", times: pd.Series) -> None:
    """A few bar opens, UTC; bars of a day or longer without the time of day."""
    shown = _every(len(times))
    form = "%Y-%m-%d" if bool((times.dt.normalize() == times).all()) else "%m-%d %H:%M"
    axes.set_xticks(shown, labels=[times.iloc[at].strftime(form) for at in shown])
    axes.set_xlabel("bar open, UTC", fontsize=8)


def _every(count: int) -> list[int]:
    """The last place and evenly spaced ones before it, `TICKS` at most, ascending."""
    return list(range(count - 1, -1, -math.ceil(count / TICKS)))[::-1]


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, whose canvas draws into memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    """With a palette: a chart has few colours, and a quarter of the bytes matters in a database that gets four of them a cycle."""
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()
