"""The candles around one trade, as an SVG small enough to have dozens of them in a page.

Written by hand, not by matplotlib: a window is two paths of candles and a few lines, some kilobytes instead of a hundred. Rising candles
are hollow, falling ones filled. The plot is an SVG of its own inside, one unit a bar, which the page's script stretches and moves: lines
keep their width and dots stay round because only their ends are drawn. Bars stand side by side: closed hours take no room.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ffe.replay.document import epoch
from ffe.replay.models import CLOSE, HIGH, LOW, OPEN, Bars, ExitReason, Floats, Ints

# Worst, best, and evenly spread over the rest, a third each.
SHOWN = 36
CANDLES = 150
BEFORE_LEAST, BEFORE_MOST = 12, 30
WIDTH, HEIGHT = 640, 280
LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 92, 8, 472, 236
LABEL_GAP = 18.0
COLOURS = {"stop": "down", "target": "up", "in": "own", "out": "ink"}


@dataclass(frozen=True)
class Candles:
    """n candles of `step` bars each. `times` (n): opens. `ohlc` (n, 4). `first`: row of the first bar."""

    first: int
    step: int
    times: Ints
    ohlc: Floats

    def place(self, bar: float) -> float:
        """Where a row of the bars (its left edge) stands on the axis of candles."""
        return (bar - self.first) / self.step


def chosen(trades: pa.Table, shown: int = SHOWN) -> list[int]:
    """Rows of at most `shown` trades, ascending: all, or the worst, the best and some in between evenly spread in time."""
    if len(trades) <= shown:
        return list(range(len(trades)))
    third = shown // 3
    ranked = np.argsort(trades["pnl"].to_numpy(), kind="stable")
    ends = {int(each) for each in (*ranked[:third], *ranked[-third:])}
    rest = [row for row in range(len(trades)) if row not in ends]
    places = np.linspace(0, len(rest) - 1, min(third, len(rest))).astype(int)
    return sorted(ends | {rest[place] for place in places})


def candles_around(bars: Bars, entry_bar: int, exit_bar: int) -> Candles:
    """The trade's bars with some before and after it, at most `CANDLES` candles: a long trade's bars are put together."""
    pad = min(max(exit_bar - entry_bar, BEFORE_LEAST), BEFORE_MOST)
    step = math.ceil((exit_bar - entry_bar + 1 + 2 * BEFORE_LEAST) / CANDLES)
    first, stop = max(0, entry_bar - pad * step), min(len(bars), exit_bar + 1 + pad * step)
    edges = np.arange(first, stop, step) - first
    part = bars.mid[first:stop]
    last = np.append(edges[1:], stop - first) - 1
    columns: list[Floats] = [np.empty(0)] * 4
    columns[OPEN], columns[CLOSE] = part[edges, OPEN], part[last, CLOSE]
    columns[HIGH], columns[LOW] = np.maximum.reduceat(part[:, HIGH], edges), np.minimum.reduceat(part[:, LOW], edges)
    return Candles(first, step, bars.times[first:stop][edges], np.column_stack(columns))


def candle_window(bars: Bars, trade: Mapping[str, Any]) -> str:
    """SVG of one trade (a row of TRADE_SCHEMA) on its candles, with entry, exit, stop and target. Stop and target may be NaN: not drawn."""
    shown = candles_around(bars, int(trade["entry_bar"]), int(trade["exit_bar"]))
    levels = _levels(trade)
    prices = [*levels.values(), float(shown.ohlc[:, LOW].min()), float(shown.ohlc[:, HIGH].max())]
    scale = _Scale(min(prices), max(prices))
    times = ",".join(str(int(each) // 60) for each in shown.times)
    described = (
        f"candles from {epoch(shown.times[0])} to {epoch(shown.times[-1])}, {described_trade(trade, bars.places)}"
    )
    return "\n".join(
        [
            f'<svg class="candles" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(described)}" data-times="{times}">',
            *_price_labels(scale, bars.places),
            f'<svg class="plot" x="{LEFT}" y="{TOP}" width="{PLOT_WIDTH}" height="{PLOT_HEIGHT}" '
            f'viewBox="0 0 {len(shown.times)} {PLOT_HEIGHT}" preserveAspectRatio="none">',
            *_bodies(shown, scale),
            *_level_lines(levels, scale, len(shown.times)),
            *_marks(trade, shown, scale),
            "</svg>",
            *_level_labels(levels, scale),
            *_time_labels(shown.times),
            "</svg>",
        ]
    )


def described_trade(trade: Mapping[str, Any], places: int) -> str:
    """`BUY 0.5 at 6,800.12, out by stop at 6,790.00`."""
    entry = f"{trade['side']} {trade['units']:,.8g} at {trade['entry_price']:,.{places}f}"
    if trade["exit_reason"] == ExitReason.OPEN.value:
        return f"{entry}, still open at {trade['exit_price']:,.{places}f}"
    return f"{entry}, out by {trade['exit_reason']} at {trade['exit_price']:,.{places}f}"


@dataclass(frozen=True)
class _Scale:
    """From a price to the plot's y; a flat window stands in the middle."""

    low: float
    high: float

    def y(self, price: float) -> float:
        span = self.high - self.low
        share = 0.5 if span == 0 else (self.high - price) / span
        return round(6 + share * (PLOT_HEIGHT - 12), 1)


def _levels(trade: Mapping[str, Any]) -> dict[str, float]:
    known = {
        "stop": trade["stop_loss"],
        "target": trade["take_profit"],
        "in": trade["entry_price"],
        "out": trade["exit_price"],
    }
    return {name: float(price) for name, price in known.items() if price is not None and math.isfinite(price)}


def _bodies(shown: Candles, scale: _Scale) -> list[str]:
    """Wicks and bodies of rising and of falling candles: a path each. A body without height is a line."""
    found = []
    for name, wanted in (
        ("rise", shown.ohlc[:, CLOSE] >= shown.ohlc[:, OPEN]),
        ("fall", shown.ohlc[:, CLOSE] < shown.ohlc[:, OPEN]),
    ):
        wicks, bodies = [], []
        for at in np.flatnonzero(wanted):
            opened, high, low, closed = (scale.y(float(price)) for price in shown.ohlc[at])
            top, bottom = min(opened, closed), max(opened, closed)
            wicks.append(f"M{at}.5 {high:g}V{top:g}M{at}.5 {bottom:g}V{low:g}")
            bodies.append(f"M{at}.15 {top:g}h.7V{bottom:g}h-.7z")
        if wicks:
            found.append(f'<path class="wick {name}" d="{"".join(wicks)}"/>')
            found.append(f'<path class="body {name}" d="{"".join(bodies)}"/>')
    return found


def _level_lines(levels: Mapping[str, float], scale: _Scale, width: int) -> list[str]:
    return [
        f'<path class="level {name}" d="M0 {scale.y(levels[name]):g}H{width}"/>'
        for name in ("stop", "target")
        if name in levels
    ]


def _marks(trade: Mapping[str, Any], shown: Candles, scale: _Scale) -> list[str]:
    """A round dot at the entry, after the close of its bar; a square at the exit; a line from one to the other."""
    protected = trade["exit_reason"] in {ExitReason.STOP.value, ExitReason.TARGET.value}
    start = shown.place(int(trade["entry_bar"]) + 1)
    end = shown.place(int(trade["exit_bar"]) + (0.5 if protected else 1))
    bought, sold = scale.y(float(trade["entry_price"])), scale.y(float(trade["exit_price"]))
    last = f'<path class="mark out" d="M{end:.2f} {sold:g}h0"/>'
    return [
        f'<path class="held" d="M{start:.2f} {bought:g}L{end:.2f} {sold:g}"/>',
        f'<path class="mark in" d="M{start:.2f} {bought:g}h0"/>',
        *([] if trade["exit_reason"] == ExitReason.OPEN.value else [last]),
    ]


def _price_labels(scale: _Scale, places: int) -> list[str]:
    found = []
    for share in (0.0, 1 / 3, 2 / 3, 1.0):
        price = scale.low + share * (scale.high - scale.low)
        y = TOP + scale.y(price)
        found.append(f'<path class="rule" d="M{LEFT} {y:g}h{PLOT_WIDTH}"/>')
        found.append(f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{price:,.{places}f}</text>')
    return found


def _level_labels(levels: Mapping[str, float], scale: _Scale) -> list[str]:
    """To the right of the plot, moved apart where they would lie on each other."""
    ranked = sorted(levels, key=lambda name: scale.y(levels[name]))
    heights = _apart([TOP + scale.y(levels[name]) for name in ranked])
    return [
        f'<text class="{name}" x="{LEFT + PLOT_WIDTH + 8}" y="{height + 4:g}">{name}</text>'
        for name, height in zip(ranked, heights, strict=True)
    ]


def _apart(heights: Sequence[float]) -> list[float]:
    """Ascending heights at least `LABEL_GAP` apart, pushed down and then back up from the bottom."""
    found = list(heights)
    for at in range(1, len(found)):
        found[at] = max(found[at], found[at - 1] + LABEL_GAP)
    floor = float(TOP + PLOT_HEIGHT)
    for at in range(len(found) - 1, -1, -1):
        found[at] = min(found[at], floor)
        floor = found[at] - LABEL_GAP
    return found


def _time_labels(times: Ints) -> list[str]:
    """First, middle and last candle's open."""
    y = TOP + PLOT_HEIGHT + 22
    places = (
        (0, LEFT, "start"),
        (len(times) // 2, LEFT + PLOT_WIDTH / 2, "middle"),
        (len(times) - 1, LEFT + PLOT_WIDTH, "end"),
    )
    return [
        f'<text class="time {anchor}" x="{x:g}" y="{y}" text-anchor="{anchor}">{short_time(int(times[at]))}</text>'
        for at, x, anchor in places
    ]


def short_time(seconds: int) -> str:
    """`2018-04-04 15:30`."""
    return epoch(seconds)[:16].replace("T", " ")
