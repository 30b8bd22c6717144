"""Runs on record: since when, what is news, the trend in numbers, words and pictures."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from builders import AT
from matplotlib.image import imread

from ffe.ledger.ledger import Ledger
from ffe.observe.reality import plots, report
from ffe.observe.reality.history import Point, counts, remember, trend
from ffe.observe.reality.models import Holds, Invariant, Reality

MINUTES = 30


@pytest.fixture
def ledger(upgraded_file: Path, tmp_path: Path) -> Iterator[Ledger]:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(upgraded_file.read_bytes())
    opened = Ledger.open(f"sqlite:///{path}")
    yield opened
    opened.close()


def run(number: int, mode: str = "sim", **holds: str) -> Reality:
    made = tuple(
        Invariant(
            name=name, holds=Holds(said), detail=f"{number} of 9", count=3, rows=({"order": "o", "why": "w"},) * 2
        )
        for name, said in holds.items()
    )
    return Reality(at=AT + timedelta(minutes=MINUTES * number), mode=mode, took_ms=1.5, invariants=made)


def steps(since: datetime | None) -> int:
    assert since is not None
    return (since - AT) // timedelta(minutes=MINUTES)


def test_what_breaks_keeps_the_time_at_which_it_was_first_seen_until_it_holds_again(ledger: Ledger) -> None:
    runs = (
        {"a": "yes", "b": "yes"},
        {"a": "broken", "b": "yes"},
        {"a": "unknown", "b": "broken"},
        {"a": "yes", "b": "broken"},
        {"a": "broken", "b": "broken"},
    )
    since, news = [], []
    for number, holds in enumerate(runs):
        kept = remember(ledger, run(number, **holds))
        since.append({each.name: steps(each.since) for each in kept.reality.broken})
        news.append([each.name for each in kept.news])
    assert since == [{}, {"a": 1}, {"a": 1, "b": 2}, {"b": 2}, {"a": 4, "b": 2}]
    assert news == [[], ["a"], ["b"], [], ["a"]]
    assert counts(trend(ledger)) == [0, 1, 2, 1, 2]
    assert [point.broken for point in trend(ledger, 2)] == [("b",), ("a", "b")]


def test_a_run_of_another_mode_or_of_the_future_is_not_the_run_before(ledger: Ledger) -> None:
    remember(ledger, run(0, a="broken"))
    remember(ledger, run(1, "paper", a="yes"))
    remember(ledger, run(99, a="yes"))
    kept = remember(ledger, run(2, a="broken"))
    assert ([steps(each.since) for each in kept.reality.broken], kept.news) == ([0], ())
    assert [each.name for each in remember(ledger, run(3, "paper", a="broken")).news] == ["a"]
    assert counts(trend(ledger, mode="paper")) == [0, 1]
    assert counts(trend(ledger)) == [1, 0, 1, 1, 0]


def test_a_run_is_on_record_with_all_that_it_found(ledger: Ledger) -> None:
    remember(ledger, run(1, a="broken", b="yes", c="not-applicable"))
    (kept,) = ledger.checks("reality-check")
    assert (kept.passed, kept.broken, kept.at) == (False, 1, AT + timedelta(minutes=MINUTES))
    assert kept.document["broken"] == ["a"]
    assert kept.document["invariants"][0] == {
        "name": "a",
        "holds": "broken",
        "detail": "1 of 9",
        "count": 3,
        "rows": [{"order": "o", "why": "w"}] * 2,
        "since": "2018-04-04T16:00:20Z",
    }


def test_the_document_has_the_names_and_the_trend(ledger: Ledger) -> None:
    found = remember(ledger, run(0, a="broken", b="yes")).reality
    said = report.document(found, trend(ledger))
    assert list(said) == ["at", "mode", "broken", "took_ms", "invariants", "trend"]
    assert said["broken"] == ["a"]
    assert said["trend"] == [{"at": "2018-04-04T15:30:20Z", "broken": 1, "names": ["a"]}]


def test_the_words_name_what_is_broken_since_when_and_by_what(ledger: Ledger) -> None:
    found = remember(ledger, run(0, a="yes", b="broken", c="not-applicable")).reality
    assert report.sentence(found) == "1 of 2 invariants are broken: b"
    assert report.sentence(run(0, a="yes", c="not-applicable")) == "all 1 invariants hold"
    assert [row["invariant"] for row in report.table(found)] == ["b", "a", "c"]
    assert report.lines(found) == [
        "b is broken (since 2018-04-04T15:30:20Z): 0 of 9",
        "  order o, why w",
        "  order o, why w",
        "  and 1 more",
    ]
    undated = Invariant(name="x", holds=Holds.UNKNOWN, detail="no answer")
    assert report.breakage(undated) == ["x is unknown: no answer"]
    (trouble,) = report.troubles([undated])
    assert (trouble.type, trouble.message) == ("InvariantBroken", "x is unknown: no answer")


def points(count: int) -> list[Point]:
    return [
        Point(
            at=AT + timedelta(minutes=MINUTES * n),
            holds={"a": "yes", "b": "broken" if n % 3 else "unknown"} | ({"c": "yes"} if n else {}),
        )
        for n in range(count)
    ]


def test_the_plot_has_a_bar_for_every_run_and_a_cell_for_every_invariant_in_it() -> None:
    figure = plots.trend_figure(points(9))
    above, below = figure.axes
    assert [bar.get_bbox().height for bar in above.patches] == [1] * 9
    assert len(below.patches) == 27
    assert [label.get_text() for label in below.get_yticklabels()] == ["a", "b", "c"]
    assert len(below.get_xticks()) <= plots.TICKS


@pytest.mark.parametrize("count", [0, 1, 48])
def test_the_same_runs_give_the_same_picture(count: int) -> None:
    drawn = plots.trend_plot(points(count))
    assert drawn == plots.trend_plot(points(count))
    assert imread(BytesIO(drawn)).shape[1] == 960
