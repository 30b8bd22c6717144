"""The report in a real browser that reaches no network: nothing complains, nothing is fetched, and the page works with and without script."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, chromium
from report_runs import made_run

from ffe.replay.report import write_report
from ffe.replay.report_instrument import PARTS

pytestmark = pytest.mark.slow
SYMBOLS = ("BTCUSD", "EURUSD")
OPEN_TRADE = "document.querySelector('#BTCUSD details[open] summary').textContent"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = made_run(SYMBOLS, n=700, contaminated=(True, False), watermark="CONTAMINATED: the model may know these days")
    return write_report(run, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Page:
    browser.sized(1000)
    return browser


def test_it_opens_without_network_without_a_complaint_and_whole(page: Page, report: Path) -> None:
    page.open(report)
    assert page.complaints() == []
    assert page.requested() == [report.resolve().as_uri()]
    wanted = [
        "verdict",
        "accounts",
        "guards",
        "notes",
        "provenance",
        *(f"{name}-{part}" for name in SYMBOLS for part in PARTS),
    ]
    assert [
        name for name in wanted if page.js(f"document.getElementById('{name}').getBoundingClientRect().height") == 0
    ] == []
    assert page.js(
        "[...document.querySelectorAll('svg.chart')].every(each => each.getBoundingClientRect().height > 80)"
    )
    assert page.js("document.querySelectorAll('svg.chart').length") == 14
    assert not page.js("/\\b(NaN|undefined|Infinity|None)\\b/.test(document.body.innerText)")


def test_an_entry_of_the_legend_hides_its_line_and_shows_it_again(page: Page, report: Path) -> None:
    page.open(report)
    key, line = (
        "document.querySelector('[data-part=\"baselines-BTCUSD-line-1\"] button')",
        "document.getElementById('baselines-BTCUSD-line-1')",
    )
    seen = []
    for _ in range(3):
        seen.append(
            (page.js(f"{key}.getAttribute('aria-pressed')"), page.js(f"getComputedStyle({line}).display !== 'none'"))
        )
        page.js(f"{key}.click()")
    assert seen == [("true", True), ("false", False), ("true", True)]


def test_candles_can_be_looked_at_from_nearer_and_their_times_follow(page: Page, report: Path) -> None:
    page.open(report)
    plot = "document.querySelector('#BTCUSD details[open] svg.plot').getAttribute('viewBox')"
    first = "document.querySelector('#BTCUSD details[open] text.time').textContent"
    whole, began = page.js(plot), page.js(first)
    page.js("document.querySelector('#BTCUSD details[open] button[aria-label=nearer]').click()")
    near = page.js(plot)
    assert float(near.split()[2]) < float(whole.split()[2])
    assert page.js(first) > began
    page.js("document.querySelector('#BTCUSD details[open] button[aria-label=earlier]').click()")
    assert float(page.js(plot).split()[0]) < float(near.split()[0])
    page.js("document.querySelector('#BTCUSD details[open] button[aria-label=\"whole window\"]').click()")
    assert (page.js(plot), page.js(first)) == (whole, began)
    assert page.complaints() == []


def test_trades_are_stepped_through_and_chosen_by_how_they_ended(page: Page, report: Path) -> None:
    page.open(report)
    assert page.js(OPEN_TRADE).startswith("#1 ")
    page.js("document.querySelector('#BTCUSD button[aria-label=\"next trade\"]').click()")
    assert page.js(OPEN_TRADE).startswith("#2 ")
    assert page.js("document.querySelectorAll('#BTCUSD .windows details[open]').length") == 1
    page.js(
        "{const kind = document.querySelector('#BTCUSD .windows select'); kind.value = 'lost'; kind.dispatchEvent(new Event('change'))}"
    )
    shown = "[...document.querySelectorAll('#BTCUSD .windows details')].filter(each => each.checkVisibility())"
    assert page.js(f"{shown}.length") > 0
    assert page.js(f"{shown}.every(each => each.dataset.kinds.split(' ').includes('lost'))")


def test_without_script_everything_is_there_and_no_button_that_does_nothing(page: Page, report: Path) -> None:
    page.sized(1000, script=False)
    page.open(report)
    assert page.js("document.querySelectorAll('button').length") == 0
    assert page.js("document.querySelectorAll('svg.chart').length") == 14
    assert page.js("document.querySelectorAll('svg.candles').length") > 10


def test_dark_and_light_differ_and_text_can_be_read_in_both(page: Page, report: Path) -> None:
    page.open(report)
    colours = []
    for dark in (False, True):
        page.sized(1000, dark=dark)
        colours.append(
            (
                page.js("getComputedStyle(document.body).backgroundColor"),
                page.js("getComputedStyle(document.body).color"),
            )
        )
    assert colours == [("rgb(255, 255, 255)", "rgb(31, 41, 51)"), ("rgb(18, 23, 28)", "rgb(230, 235, 240)")]
    assert page.js("getComputedStyle(document.querySelector('svg.chart text')).fill") != "rgb(0, 0, 0)"


@pytest.mark.parametrize("width", [400, 1000])
def test_a_page_of_any_width_scrolls_only_downwards_and_labels_stay_inside(
    page: Page, report: Path, width: int
) -> None:
    page.sized(width)
    page.open(report)
    assert page.js("document.documentElement.scrollWidth") == width
    cut = """[...document.querySelectorAll('svg.chart, details[open] svg.candles')].flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()])
        .filter(([, own]) => own.width > 0 && (own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1))
        .map(([text]) => text); })"""
    assert page.js(cut) == []
    small = """Math.min(...[...document.querySelectorAll('svg.chart text')].filter(each => each.getBoundingClientRect().width > 0)
      .map(each => parseFloat(getComputedStyle(each).fontSize) * Math.hypot(each.getScreenCTM().c, each.getScreenCTM().d)))"""
    assert page.js(small) > 6
