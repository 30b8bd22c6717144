"""The page of a result: Great Expectations' tables, every value as text, nothing from outside."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest
from excerpts import KINDS, Rows, as_table, batch_of, closes_at

from expectations import validate as validation
from expectations.page import _clean, render_page
from ffe.market.models import Timeframe
from ffe.market.quality import Freshness, QualityReport
from ffe.sources.models import BarBatch

RealRows = Callable[[str], Rows]
KIND = KINDS["Coinbase trades"]
HOSTILE = "<script>alert(1)</script><img src=//x.example onerror=$boom> & \"'{{7*7}}`"


class Reader(HTMLParser):
    """Everything that a browser would load or run, and the text that a person sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text += data


def made(table: pa.Table) -> tuple[dict[str, Any], QualityReport, BarBatch]:
    now = closes_at(KIND.rows(), KIND.bars)
    batch = batch_of("BTCUSD", Timeframe.M1, KIND.rows()[0]["time"], KIND.rows()[-1]["time"], table.num_rows)
    kept: dict[str, Any] = {}
    report = validation.validate_bars(table, batch, now, keep=kept)
    return kept[report.id], report, batch


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.fixture(scope="module")
def hostile_page() -> str:
    rows = KIND.rows()
    rows[7] |= {"close": Decimal(-1)}
    table = as_table(rows).append_column(HOSTILE, pa.array([HOSTILE] * len(rows)))
    return render_page(*made(table))


def test_a_good_batch_says_so_and_lists_every_check() -> None:
    result, report, batch = made(as_table(KIND.rows()))
    page = read(render_page(result, report, batch))
    assert report.passed
    assert "BTCUSD 1m: bars passed" in page.text
    assert "Succeeded" in page.text
    assert "not judged with this report" in page.text
    for check in ("ohlc-consistent", "bad-tick", "flat-line", "interpolated", "gaps", "market-hours"):
        assert f"{check} (critical): " in page.text
    assert report.id in page.text
    assert batch.id in page.text


def test_a_failing_check_comes_first_with_its_rows() -> None:
    rows = KIND.rows()
    rows[7] |= {"close": Decimal(-1)}
    result, report, batch = made(as_table(rows))
    text = read(render_page(result, report, batch)).text
    assert "BTCUSD 1m: bars failed" in text
    assert "time=2018-04-04T09:07:00Z" in text
    assert "close=-1" in text
    assert text.index("positive (critical)") < text.index("whole (critical)")
    assert "1 of 400 bars: price not above 0 or volume below 0" in text


def test_the_age_stands_on_the_page() -> None:
    result, report, batch = made(as_table(KIND.rows()))
    message = "newest 1m bar closed 0.1 min ago, limit 3.0 min"
    fresh = Freshness(bar_close=batch.bar_close, age_seconds=6, limit_seconds=180, fresh=True, message=message)
    assert message in read(render_page(result, report.model_copy(update={"freshness": fresh}), batch)).text


def test_every_value_is_text_whatever_it_says(hostile_page: str) -> None:
    reader = read(hostile_page)
    assert HOSTILE in reader.text
    assert "<script" not in hostile_page
    assert "<img" not in hostile_page
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


def test_nothing_is_loaded_from_anywhere(hostile_page: str) -> None:
    reader = read(hostile_page)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "link", "img", "svg", "iframe", "object", "form", "a"})
    assert not any(name in {"src", "href", "action", "style"} for _, attrs in reader.tags for name in attrs)
    assert "http://" not in hostile_page
    assert "https://" not in hostile_page
    assert "url(" not in hostile_page
    assert "@import" not in hostile_page


def test_the_page_forbids_scripts_by_itself(hostile_page: str) -> None:
    policies = [attrs["content"] for tag, attrs in read(hostile_page).tags if "http-equiv" in attrs]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_tags_are_closed_as_they_are_opened(hostile_page: str) -> None:
    open_tags: list[str] = []

    class Nesting(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in {"meta", "br", "hr"}:
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    nesting = Nesting()
    nesting.feed(hostile_page)
    assert open_tags == []


def test_only_known_markup_and_plain_text_are_kept() -> None:
    markup = (
        '<p class="x" onclick="y()" style="color:red">a &lt; b<script>var c = "<p>";</script>'
        '<svg><svg>d</svg></svg><a data-toggle="collapse" href="#e">more</a><a href="//f">g</a><br></p>'
    )
    assert _clean(markup) == '<p class="x">a &lt; bg<br></p>'


def test_the_kept_result_is_left_as_it_was() -> None:
    result, report, batch = made(as_table(KIND.rows()))
    before = repr(result)
    render_page(result, report, batch)
    assert repr(result) == before


def test_a_check_that_could_not_run_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ArithmeticError("no <b>median</b> for $close")

    monkeypatch.setattr("expectations.series.unspiked", broken)
    result, report, batch = made(as_table(KIND.rows()))
    text = read(render_page(result, report, batch)).text
    assert not report.passed
    assert "raised an exception" in text
    assert "no <b>median</b> for $close" in text


def test_importing_the_page_does_not_import_great_expectations() -> None:
    code = "import sys, expectations.page; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
