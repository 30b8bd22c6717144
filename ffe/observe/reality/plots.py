"""The trend of reality checks as PNG bytes: how many invariants were broken in each run, and which.

Drawn as in ffe/observe/charts.py: Agg canvas, figures of their own, the same input gives the same bytes, matplotlib imported by the first plot.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ffe.observe.reality.history import Point, counts
from ffe.observe.reality.models import Holds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
COLOURS = {Holds.YES: "#1a9988", Holds.BROKEN: "#d1495b", Holds.UNKNOWN: "#b7791f", Holds.NOT_APPLICABLE: "#d9dee2"}
ABSENT = "#ffffff"
TICKS = 6


def trend_plot(points: Sequence[Point]) -> bytes:
    """PNG of runs, oldest first; see `trend_figure`."""
    drawn = BytesIO()
    trend_figure(points).savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def trend_figure(points: Sequence[Point]) -> "Figure":
    """Above, the number of broken invariants of each run; below, a cell for every invariant and run in the colour of what was found.

    Without any run the figure says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    names = list(dict.fromkeys(name for point in reversed(points) for name in point.holds))
    figure = Figure(figsize=(9.6, 2.4 + 0.22 * len(names)), dpi=DPI)
    FigureCanvasAgg(figure)
    if not points:
        figure.text(0.5, 0.5, "no reality check on record yet", ha="center", va="center")
        return figure
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, max(1.0, len(names) / 5)))
    figure.subplots_adjust(left=0.26, right=0.98, top=0.9, bottom=0.14, hspace=0.06)
    places = range(len(points))
    above.bar(places, counts(points), color=COLOURS[Holds.BROKEN])
    above.set(ylabel="broken", ylim=(0, max(1, *counts(points), 1) * 1.1))
    above.set_title(f"Reality check, {len(points)} runs", loc="left", fontsize=11)
    for row, name in enumerate(names):
        colours = [COLOURS[point.holds[name]] if name in point.holds else ABSENT for point in points]
        below.bar(places, [0.9] * len(points), bottom=row - 0.45, width=0.95, color=colours)
    below.set_yticks(range(len(names)), names, fontsize=8)
    below.invert_yaxis()
    step = max(1, -(-len(points) // TICKS))
    below.set_xticks(places[::step], [f"{point.at:%m-%d %H:%M}" for point in points[::step]], fontsize=8)
    handles = [Patch(color=colour, label=holds.value) for holds, colour in COLOURS.items()]
    above.legend(handles=handles, loc="upper right", fontsize=7, ncols=len(handles), frameon=False)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure
