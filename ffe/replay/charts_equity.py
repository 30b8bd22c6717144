"""Charts of money over time: the strategy with its drawdown, the baselines beside it, and the differences with their intervals."""

import math
from collections.abc import Sequence

import numpy as np

from ffe.replay.charts import (
    DASHES,
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
from ffe.replay.models import Compared, Floats, Ints
from ffe.replay.report_verdict import percent
from ffe.replay.returns import DAY


def drawdowns(equity: Floats) -> Floats:
    """Share below the highest equity so far, zero or negative. (n)"""
    peak = np.maximum.accumulate(equity)
    return np.asarray(equity / peak - 1)


def equity_chart(
    name: str, title: str, times: Ints, equity: Floats, capital: float, *, halted_at: int | None, mark: str | None
) -> Chart:
    """Equity above, drawdown in percent below. `times` epoch seconds, `equity` USD (n, at least one)."""
    figure = new_figure(WIDE, 4.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    figure.subplots_adjust(left=0.125, right=0.985, top=0.925, bottom=0.075, hspace=0.09)
    kept = thinned(equity)
    upper.axhline(capital, color=colour("dim"), linewidth=0.8, linestyle=":")
    upper.plot(days(times[kept]), equity[kept], color=colour("own"), linewidth=1.2)
    plain_axes(upper, "equity, USD")
    money_axis(upper, equity)
    fallen = 100 * drawdowns(equity)
    kept = thinned(fallen)
    lower.fill_between(days(times[kept]), fallen[kept], 0, color=colour("down"), alpha=0.3, linewidth=0)
    lower.plot(days(times[kept]), fallen[kept], color=colour("down"), linewidth=0.8)
    plain_axes(lower, "drawdown, %")
    lower.set_ylim(min(1.1 * float(fallen.min()), -0.1), 0)
    time_axis(lower)
    if halted_at is not None:
        moment = halted_at / DAY
        upper.axvline(moment, color=colour("ink"), linewidth=1, linestyle="--")
        upper.annotate(
            "halted",
            (moment, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -8),
            textcoords="offset points",
            fontsize=8,
            color=colour("ink"),
        )
    described = (
        f"{title}: from {capital:,.2f} to {equity[-1]:,.2f} USD, deepest drawdown {percent(float(fallen.min()) / 100)}"
    )
    return render(figure, name, title, described, mark=mark)


def baseline_chart(
    name: str,
    title: str,
    strategy: str,
    *,
    times: Ints,
    equity: Floats,
    baselines: Sequence[Compared],
    mark: str | None,
) -> Chart:
    """The strategy's equity and every baseline's, USD; each line has its own dashes."""
    figure = new_figure(WIDE, 3.4)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.125, right=0.985, top=0.915, bottom=0.09)
    keys = [Key(strategy, "own", f"{name}-line-0")]
    for at, each in enumerate(baselines, 1):
        shade, dashes, style = DASHES[(at - 1) % len(DASHES)]
        kept = thinned(each.equity, 400)
        axes.plot(
            days(times[kept]),
            each.equity[kept],
            color=colour(shade),
            linestyle=dashes,
            linewidth=1.1,
            label=each.strategy,
            gid=f"line-{at}",
        )
        keys.append(Key(each.strategy, shade, f"{name}-line-{at}", style))
    kept = thinned(equity)
    axes.plot(days(times[kept]), equity[kept], color=colour("own"), linewidth=1.7, label=strategy, gid="line-0")
    plain_axes(axes, "equity, USD")
    money_axis(axes, np.concatenate([equity, *(each.equity for each in baselines)]))
    time_axis(axes)
    ends = ", ".join(f"{each.strategy} {each.equity[-1]:,.2f}" for each in baselines)
    return render(
        figure, name, title, f"{title}: {strategy} ends at {equity[-1]:,.2f} USD; {ends}", keys=keys, mark=mark
    )


def difference_chart(name: str, title: str, baselines: Sequence[Compared], *, mark: str | None) -> Chart:
    """Total return less each baseline's, in percent, with its 95 % interval; at least one baseline."""
    height = 0.86 + 0.36 * len(baselines)
    figure = new_figure(WIDE, height)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.21, right=0.985, top=1 - 0.28 / height, bottom=0.47 / height)
    axes.axvline(0, color=colour("ink"), linewidth=1)
    for at, each in enumerate(reversed(baselines)):
        sure = each.low > 0 or each.high < 0
        if math.isfinite(each.low) and math.isfinite(each.high):
            axes.plot([100 * each.low, 100 * each.high], [at, at], color=colour("own"), linewidth=2, alpha=0.55)
        axes.plot(
            [100 * each.difference], [at], "o", color=colour("own"), markersize=6, fillstyle="full" if sure else "none"
        )
    plain_axes(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", linewidth=0.5, color=colour("grid"))
    axes.set_yticks(range(len(baselines)), labels=[each.strategy for each in reversed(baselines)], parse_math=False)
    axes.set_ylim(-0.6, len(baselines) - 0.4)
    axes.set_xlabel("percentage points of total return", fontsize=8, color=colour("dim"))
    described = "; ".join(
        f"less {each.strategy} {percent(each.difference)}, 95 % from {percent(each.low)} to {percent(each.high)}"
        for each in baselines
    )
    return render(figure, name, title, f"{title}: {described}", mark=mark)
