"""How a chart of a replay becomes SVG for the page and PNG beside it, always from one figure.

matplotlib draws on figures of their own, as in `ffe.observe.charts`. In the SVG every colour becomes a CSS variable, so that the page's
light and dark schemes hold for the charts too; text stays text, so that a narrow screen can enlarge it; and ids carry the chart's name, as
many charts share one page. The same input gives the same bytes: no date, no version and no random id goes into a file.
"""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO, StringIO
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ffe.replay.models import Floats, Ints
from ffe.replay.returns import DAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# PNG: 7.2 inches become 1152 pixels, sharp in a README.
DPI = 160
WIDE, NARROW = 7.2, 4.6
PALETTE_SIZE = 64
# Points that the SVG keeps above its axes: the title of the PNG stands where the page has its own.
ROOM = 8
# Told apart by lightness and by dashes, markers or signs as well, never by hue alone. The page's style gives each a light and a dark value.
COLOURS = {
    "ink": "#1f2933",
    "dim": "#5f6b76",
    "grid": "#d9dee3",
    "own": "#2b6cb0",
    "up": "#1a9988",
    "down": "#d1495b",
    "amber": "#b7791f",
    "violet": "#6b46c1",
    "olive": "#4d7c0f",
    "rose": "#be185d",
    "teal": "#0e7490",
}
# The lines of baselines, in their order: colour, dashes for matplotlib, and the nearest that CSS has.
DASHES: tuple[tuple[str, str | tuple[int, tuple[int, ...]], str], ...] = (
    ("amber", "--", "dashed"),
    ("violet", "-.", "dashed"),
    ("olive", ":", "dotted"),
    ("rose", (0, (5, 1, 1, 1, 1, 1)), "dotted"),
    ("teal", "--", "dashed"),
    ("dim", "-.", "dashed"),
)
# Seconds between ticks of time; from there on months. A label this near to the right edge would be cut where a narrow screen enlarges it.
TICKS, EDGE = 5, 0.07
STEPS = (
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200),
    *(DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 10 * DAY, 14 * DAY, 21 * DAY),
)
# Settings of the SVG writer are global in matplotlib.
_settings = Lock()


@dataclass(frozen=True)
class Key:
    """One entry of a legend. `part`: id of what it names inside the SVG, to be shown and hidden. `style`: of the line, as CSS names it."""

    label: str
    colour: str
    part: str = ""
    style: str = "solid"


@dataclass(frozen=True)
class Chart:
    """`name`: of its file. `described`: what somebody is told who can't see it."""

    name: str
    title: str
    described: str
    svg: str
    png: bytes
    keys: tuple[Key, ...] = ()


def colour(name: str) -> str:
    return COLOURS[name]


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, whose canvas draws into memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: "Axes", ylabel: str = "") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(colour("dim"))
    axes.grid(axis="y", linewidth=0.5, color=colour("grid"))
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=colour("dim"), labelcolor=colour("ink"))
    if ylabel:
        axes.set_ylabel(ylabel, fontsize=8, color=colour("dim"), gid=f"ylabel-{ylabel.partition(',')[0]}")


def money_axis(axes: "Axes", values: Floats) -> None:
    """Thousands apart, and as many decimals as it takes to tell the ticks from each other."""
    span = float(values.max() - values.min()) if values.size else 0.0
    places = 0 if span >= 8 else 2
    axes.yaxis.set_major_formatter(f"{{x:,.{places}f}}")


def time_axis(axes: "Axes") -> None:
    """At most `TICKS` labels, UTC, on round moments inside the axis."""
    first, last = (round(day * DAY) for day in axes.get_xlim())
    ticks, form = _round_moments(first, round(last - EDGE * (last - first)))
    axes.set_xticks([each.timestamp() / DAY for each in ticks], labels=[each.strftime(form) for each in ticks])
    axes.set_xlim(first / DAY, last / DAY)


def _round_moments(first: int, last: int) -> tuple[list[datetime], str]:
    """Moments between two epoch seconds, as far apart as it takes, and how to write them. matplotlib's own choice fails for some spans."""
    for step in STEPS:
        start = -(-first // step) * step
        if (last - start) // step < TICKS:
            form = "%Y-%m-%d" if step % DAY == 0 else "%m-%d %H:%M"
            return [datetime.fromtimestamp(at, UTC) for at in range(start, last + 1, step)], form
    begin, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    months = range(begin.year * 12 + begin.month, end.year * 12 + end.month)
    years = 12 * math.ceil(len(months) / 12 / (TICKS - 1))
    step = next((each for each in (1, 2, 3, 6) if len(months) // each < TICKS), years)
    return [datetime(at // 12, at % 12 + 1, 1, tzinfo=UTC) for at in months if at % step == 0], "%Y-%m"


def days(times: Ints) -> Floats:
    """Epoch seconds in days: the unit of an axis of time."""
    return np.asarray(times / DAY)


def thinned(values: Floats, points: int = 800) -> Ints:
    """At most about `points` ascending places of `values` (n) that keep its shape: lowest and highest of each stretch, first and last."""
    if values.size <= points:
        return np.arange(values.size, dtype=np.int64)
    edges = np.linspace(0, values.size, points // 2 + 1).astype(np.int64)
    kept = {0, values.size - 1}
    for start, stop in pairwise(edges):
        part = values[start:stop]
        kept |= {int(start + part.argmin()), int(start + part.argmax())}
    return np.array(sorted(kept), dtype=np.int64)


def render(
    figure: "Figure", name: str, title: str, described: str, *, keys: Sequence[Key] = (), mark: str | None = None
) -> Chart:
    """Both forms of a figure. The page writes title and legend itself, so the SVG has neither; `mark` is written across both."""
    if mark is not None:
        figure.text(
            0.5,
            0.5,
            mark,
            ha="center",
            va="center",
            rotation=18,
            fontsize=30,
            alpha=0.18,
            color=colour("down"),
            gid="mark",
        )
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    svg = _svg(figure, name, described)
    figure.text(0.012, 0.985, title, ha="left", va="top", fontsize=10, color=colour("ink"), parse_math=False)
    if keys:
        drawn, labels = figure.axes[0].get_legend_handles_labels()
        figure.axes[0].legend(drawn, labels, fontsize=7, framealpha=0.85, edgecolor="white", loc="best")
    return Chart(name, title, described, svg, _png(figure), tuple(keys))


def _png(figure: "Figure") -> bytes:
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", facecolor="white", metadata={"Software": None})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(PALETTE_SIZE, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _svg(figure: "Figure", name: str, described: str) -> str:
    import matplotlib as mpl

    drawn = StringIO()
    with _settings, mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", facecolor="none", metadata={"Date": None})
    width, height = figure.get_size_inches() * 72
    above = max(0.0, round((1 - max(axes.get_position().y1 for axes in figure.axes)) * height - ROOM))
    box = f"0 {above:g} {width:g} {height - above:g}"
    head = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{html.escape(described)}">'
    return head + _inlined(drawn.getvalue(), name)


def _inlined(svg: str, name: str) -> str:
    """What is inside the root element, made fit to stand in a page among others."""
    inside = re.sub(r"^.*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL)
    inside = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", inside, flags=re.DOTALL)
    inside = re.sub(r'\bid="', f'id="{name}-', inside)
    inside = re.sub(r'\b(?:xlink:)?href="#', f'href="#{name}-', inside).replace("url(#", f"url(#{name}-")
    inside = re.sub(r"font: (?:[a-z0-9]+ )*?([0-9.]+)px [^;\"]*", r"font-size: \1px", inside)
    inside = re.sub(r' (d|points)="[^"]*"', lambda found: _shorter(found.group()), inside)
    for each, value in COLOURS.items():
        inside = inside.replace(value, f"var(--{each})")
    return re.sub(r"\n\s*", "\n", inside)


def _shorter(path: str) -> str:
    """Coordinates of a path to a hundredth of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path)
