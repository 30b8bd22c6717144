"""Charts of trades: where they stand on the price, how their returns are spread, and whether high confidence paid more often."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.feedback.scores import ReliabilityBin
from ffe.replay.charts import (
    NARROW,
    WIDE,
    Chart,
    Key,
    colour,
    days,
    money_axis,
    new_figure,
    plain_axes,
    render,
    thinned,
    time_axis,
)
from ffe.replay.models import HIGH, LOW, Bars, ExitReason, Floats
from ffe.replay.report_verdict import percent
from ffe.replay.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More marks than this on one chart are a smear; what is shown then is spread evenly over all of them.
MARKS = 300
BINS = 40


def trade_returns(trades: pa.Table) -> Floats:
    """Profit of each trade that has ended, net of costs, as a fraction of what it cost to enter. Without a notional there is none."""
    closed = ended(trades)
    pnl, notional = closed["pnl"].to_numpy(), np.abs(closed["notional"].to_numpy())
    return np.asarray(pnl[notional > 0] / notional[notional > 0])


def ended(trades: pa.Table) -> pa.Table:
    """Without the entries that are still open."""
    return trades.filter(pc.not_equal(trades["exit_reason"], ExitReason.OPEN.value))


def price_chart(name: str, title: str, bars: Bars, trades: pa.Table, *, mark: str | None) -> Chart:
    """The whole history: closes in the band of highs and lows, entries as triangles (up BUY, down SELL), exits as crosses."""
    figure = new_figure(WIDE, 3.4)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.125, right=0.985, top=0.915, bottom=0.09)
    _band(axes, bars)
    shown = _spread(trades, MARKS)
    keys = [Key("close", "dim", f"{name}-close")]
    for side, marker, shade in (("BUY", "^", "up"), ("SELL", "v", "down")):
        own = shown.filter(pc.equal(shown["side"], side))
        if len(own):
            axes.plot(
                days(own["entry_time"].to_numpy()),
                own["entry_price"].to_numpy(),
                marker,
                color=colour(shade),
                markersize=5,
                label=f"{side} entry",
                gid=f"{side.lower()}",
            )
            keys.append(Key(f"{'▲' if side == 'BUY' else '▼'} {side} entry", shade, f"{name}-{side.lower()}"))
    out = ended(shown)
    if len(out):
        axes.plot(
            days(out["exit_time"].to_numpy()),
            out["exit_price"].to_numpy(),
            "x",
            color=colour("ink"),
            markersize=4,
            markeredgewidth=1,
            label="exit",
            gid="exit",
        )
        keys.append(Key("✕ exit", "ink", f"{name}-exit"))
    plain_axes(axes, f"price, {bars.instrument.quote}")
    _price_axis(axes, bars.close)
    time_axis(axes)
    return render(figure, name, title, f"{title}: {len(trades)} entries", keys=keys, mark=mark)


def returns_chart(name: str, title: str, returns: Floats, *, mark: str | None, costs: bool = True) -> Chart:
    """Histogram of `trade_returns` in percent (n, at least one), losers and winners apart, with mean and median."""
    figure = new_figure(NARROW, 3.0)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.13, right=0.98, top=0.9, bottom=0.17)
    values = 100 * returns
    edges = _edges(values)
    for part, shade, hatch, label in (
        (values[values <= 0], "down", "///", "lost"),
        (values[values > 0], "up", None, "won"),
    ):
        if part.size:
            axes.hist(
                part,
                bins=list(edges),
                color=colour(shade),
                alpha=0.75,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.3,
                label=label,
            )
    for value, style, label in ((float(values.mean()), "-", "mean"), (float(np.median(values)), "--", "median")):
        axes.axvline(value, color=colour("ink"), linewidth=1.1, linestyle=style, label=label)
    plain_axes(axes, "trades")
    _whole_numbers(axes)
    when = "after" if costs else "before"
    axes.set_xlabel(f"return of a trade {when} costs, %", fontsize=8, color=colour("dim"))
    keys = [Key("lost", "down"), Key("won", "up"), Key("mean", "ink"), Key("median", "ink", style="dashed")]
    described = (
        f"{title}: {returns.size} trades, mean {percent(float(returns.mean()))}, median {percent(float(np.median(returns)))}, "
        f"worst {percent(float(returns.min()))}, best {percent(float(returns.max()))}"
    )
    return render(figure, name, title, described, keys=keys, mark=mark)


def calibration_chart(name: str, title: str, bins: Sequence[ReliabilityBin], *, mark: str | None) -> Chart:
    """Share of trades that won over the confidence they were entered with, with 95 % intervals; the area of a point is its count."""
    figure = new_figure(NARROW, 3.0)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.13, right=0.98, top=0.9, bottom=0.17)
    axes.plot([0, 100], [0, 100], color=colour("dim"), linestyle="--", linewidth=1, label="said as it came")
    most = max(each.count for each in bins)
    for each in bins:
        around = wilson(round(each.share * each.count), each.count)
        said = 100 * each.mean_probability
        axes.plot([said, said], [100 * around.low, 100 * around.high], color=colour("own"), linewidth=1.5, alpha=0.5)
        axes.scatter([said], [100 * each.share], s=20 + 70 * each.count / most, color=colour("own"), zorder=3)
        side = ("left", 6) if said < 85 else ("right", -6)
        axes.annotate(
            str(each.count),
            (said, 100 * each.share),
            xytext=(side[1], 5),
            textcoords="offset points",
            ha=side[0],
            fontsize=8,
            color=colour("ink"),
        )
    axes.set(xlim=(-2, 104), ylim=(-3, 103))
    plain_axes(axes, "trades that won, %")
    axes.set_xlabel("confidence at the entry; the number is how many trades", fontsize=8, color=colour("dim"))
    described = "; ".join(
        f"said {100 * each.mean_probability:.0f}, won {100 * each.share:.0f} % of {each.count}" for each in bins
    )
    return render(
        figure, name, title, f"{title}: {described}", keys=[Key("said as it came", "dim", style="dashed")], mark=mark
    )


def _band(axes: "Axes", bars: Bars) -> None:
    kept = thinned(bars.close)
    edges = kept if kept.size else np.zeros(1, dtype=np.int64)
    axes.fill_between(
        days(bars.times[kept]),
        np.minimum.reduceat(bars.mid[:, LOW], edges),
        np.maximum.reduceat(bars.mid[:, HIGH], edges),
        color=colour("dim"),
        alpha=0.25,
        linewidth=0,
        step="post",
    )
    axes.plot(days(bars.times[kept]), bars.close[kept], color=colour("dim"), linewidth=0.8, gid="close")


def _spread(trades: pa.Table, most: int) -> pa.Table:
    if len(trades) <= most:
        return trades
    return trades.take(pa.array(np.linspace(0, len(trades) - 1, most).astype(np.int64)))


def _edges(values: Floats) -> Floats:
    """Bins of one width with an edge at zero, so that no bar holds both a loss and a win."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    width = max((high - low) / min(BINS, 8 + values.size // 4), 1e-9)
    return np.asarray(width * np.arange(math.floor(low / width), math.ceil(high / width) + 1))


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _price_axis(axes: "Axes", prices: Floats) -> None:
    """Forex needs its fourth decimal."""
    if prices.size and float(prices.max()) < 20:
        axes.yaxis.set_major_formatter("{x:.4f}")
    else:
        money_axis(axes, prices)
