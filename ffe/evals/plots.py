"""The pictures of an evaluation, PNG bytes drawn without a display: what was answered, and how long it took.

matplotlib's Agg canvas on figures of their own, as in `ffe.observe.charts`; the same input gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ffe.evals.metrics import ACTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
CALLS, BUY, SELL, NEUTRAL = "#2b6cb0", "#1a9988", "#d1495b", "#5f6b76"
COLOURS = {"buy": BUY, "sell": SELL, "hold": "#c9a227", "none": NEUTRAL}
BINS_SHOWN = 30


def action_plot(shares: Mapping[str, float]) -> bytes:
    """A bar for each of `ACTIONS`, its share as a fraction written above it."""
    figure, axes = _figure(5.2, 3.2)
    values = [100 * shares.get(name, 0.0) for name in ACTIONS]
    labels = ["no answer" if name == "none" else name.upper() for name in ACTIONS]
    axes.bar(labels, values, color=[COLOURS[name] for name in ACTIONS], width=0.6)
    for place, value in enumerate(values):
        axes.text(place, value + 2, f"{value:.0f} %", ha="center", fontsize=9)
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("% of cases", fontsize=9)
    return _png(figure, axes)


def latency_plot(latencies: Sequence[float], p50: float, p95: float) -> bytes:
    """How many calls took how long, seconds, with the two percentiles (milliseconds)."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(5.2, 3.2)
    axes.hist([value / 1000 for value in latencies], bins=min(BINS_SHOWN, len(latencies)), color=CALLS, alpha=0.8)
    for name, value, colour in (("p50", p50, BUY), ("p95", p95, SELL)):
        axes.axvline(value / 1000, color=colour, linestyle="--", linewidth=1.2, label=f"{name} {value / 1000:.2f} s")
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds a call", fontsize=9)
    axes.set_ylabel("calls", fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False)
    return _png(figure, axes)


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches, whose canvas draws into memory, and its one pair of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="tight")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: "Figure", axes: "Axes") -> bytes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
