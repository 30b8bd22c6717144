"""The reliability plot holds every point it was given, and the same points make the same file."""

from io import BytesIO
from itertools import pairwise

from matplotlib.image import imread

from ffe.feedback.plots import reliability_figure, reliability_plot
from ffe.feedback.scores import reliability

STATED = reliability([0.95, 0.95, 0.85, 0.15], [True, False, False, False])
CALIBRATED = reliability([0.45, 0.45, 0.45, 0.15], [True, False, False, False])
CURVES = {"stated": STATED, "calibrated": CALIBRATED}


def test_every_bin_is_a_point_on_its_curve_beside_the_diagonal() -> None:
    shares, _ = reliability_figure(CURVES, "d1").axes
    lines = {line.get_label(): line.get_xydata() for line in shares.get_lines()}
    assert lines.keys() == {"said as it came", "stated (4)", "calibrated (4)"}
    for name, bins in CURVES.items():
        drawn = [(float(point[0]), float(point[1])) for point in lines[f"{name} (4)"]]
        assert drawn == [(each.mean_probability, each.share) for each in bins]


def test_every_bin_has_its_count_and_no_bar_hides_another() -> None:
    _, counts = reliability_figure(CURVES, "d1").axes
    heights = [float(bar.get_height()) for bar in counts.patches]
    assert heights == [each.count for bins in CURVES.values() for each in bins]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in counts.patches)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(edges))


def test_a_bin_of_more_decisions_is_a_larger_point() -> None:
    shares, _ = reliability_figure({"stated": STATED}, "d1").axes
    sizes = [float(size) for points in shares.collections for size in points.get_sizes()]
    assert sizes[-1] == max(sizes) > sizes[0]


def test_without_any_bin_the_plot_says_so() -> None:
    for curves in ({}, {"stated": []}):
        figure = reliability_figure(curves, "d1")
        assert not figure.axes
        assert "no graded decision yet" in [text.get_text() for text in figure.texts]


def test_it_is_a_png_whose_bytes_depend_on_nothing_but_the_points() -> None:
    drawn = reliability_plot(CURVES, "costs $5 and $6")
    assert imread(BytesIO(drawn)).shape[:2] == (720, 640)
    assert drawn == reliability_plot(CURVES, "costs $5 and $6")
    assert drawn != reliability_plot({"stated": STATED}, "costs $5 and $6")
