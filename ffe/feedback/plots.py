"""The reliability curve as PNG bytes: what was said against what came true.

Drawn as in ffe/observe/charts.py: Agg canvas, figures of their own, the same input gives the same bytes, matplotlib imported by the first plot.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ffe.feedback.scores import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
COLOURS = ("#2b6cb0", "#d1495b", "#1a9988", "#b7791f", "#6b46c1", "#5f6b76")
DIAGONAL = "#9aa5b1"


def reliability_plot(curves: Mapping[str, Sequence[ReliabilityBin]], title: str) -> bytes:
    """PNG of one curve a name (`reliability`'s bins); see `reliability_figure`."""
    drawn = BytesIO()
    reliability_figure(curves, title).savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def reliability_figure(curves: Mapping[str, Sequence[ReliabilityBin]], title: str) -> "Figure":
    """Above, the share that came true over what was said, with the diagonal on which both agree; below, how many decisions each point stands for.

    A point's area grows with its count. Without any bin the figure says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 7.2), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.12, ha="left", fontsize=11, parse_math=False)
    curves = {name: bins for name, bins in curves.items() if bins}
    if not curves:
        figure.text(0.5, 0.5, "no graded decision yet", ha="center", va="center", color=DIAGONAL)
        return figure
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    figure.subplots_adjust(left=0.12, right=0.96, top=0.94, bottom=0.08, hspace=0.08)
    shares.plot([0, 1], [0, 1], color=DIAGONAL, linestyle="--", linewidth=1, label="said as it came")
    most = max(each.count for bins in curves.values() for each in bins)
    for at, (name, bins) in enumerate(curves.items()):
        colour = COLOURS[at % len(COLOURS)]
        said, came = [each.mean_probability for each in bins], [each.share for each in bins]
        shares.plot(said, came, color=colour, linewidth=1.2, label=f"{name} ({sum(each.count for each in bins)})")
        shares.scatter(said, came, s=[10 + 90 * each.count / most for each in bins], color=colour)
        width = (bins[0].high - bins[0].low) / (len(curves) + 1)
        places = [each.low + width * (at + 1) for each in bins]
        counts.bar(places, [each.count for each in bins], width=width, color=colour)
    shares.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share that paid")
    counts.set(xlabel="what was said", ylabel="decisions")
    shares.legend(loc="upper left", fontsize=8, frameon=False)
    for axes in (shares, counts):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(linewidth=0.4, alpha=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
    return figure
