"""The report's folder and page: what is in it, what it says, and that it is the same every time."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from report_runs import barless_run, empty_run, made_run

from ffe.errors import DataError
from ffe.replay.charts_candles import SHOWN
from ffe.replay.document import document
from ffe.replay.guards import Difference, WarmUpReport
from ffe.replay.models import Compared
from ffe.replay.report import equity_table, write_report
from ffe.replay.report_figures import ROWS, trade_table
from ffe.replay.report_instrument import PARTS
from ffe.replay.report_provenance import guard_section
from ffe.replay.report_tables import Html, escaped, money
from ffe.replay.report_verdict import Answer, Standing, percent, standing, verdicts, worst
from ffe.replay.request import ReplayRun

REMEMBERING = WarmUpReport(
    "sma-cross",
    "BTCUSD",
    ok=False,
    lookback=51,
    checked=9,
    differing=3,
    first=(Difference(1_451_900_000, 1, 0, 1_451_903_600, 100, 100),),
)
VOID = {"meta", "link", "br", "use", "path"}


class Structure(HTMLParser):
    """Ids, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.links += [known["href"] or ""] if tag == "a" else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag


@pytest.fixture(scope="module")
def run() -> ReplayRun:
    return made_run(("BTCUSD", "EURUSD"), n=600)


@pytest.fixture(scope="module")
def folder(run: ReplayRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run, tmp_path_factory.mktemp("report") / "new" / "folder").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


def compared(low: float, high: float) -> Compared:
    return replace(made_run(n=200).baselines[0][0], low=low, high=high)


def test_the_folder_holds_page_numbers_tables_and_pictures(folder: Path) -> None:
    names = {each.name for each in folder.iterdir()}
    assert {
        "report.html",
        "replay.json",
        "trades.parquet",
        "equity.parquet",
        "equity-BTCUSD.png",
        "account-oanda.png",
    } <= names
    assert not [name for name in names if name.startswith(".")]


def test_the_numbers_are_the_document_and_the_tables_the_result(run: ReplayRun, folder: Path) -> None:
    assert json.loads((folder / "replay.json").read_text()) == document(run, folder)
    assert pq.read_table(folder / "trades.parquet").to_pylist() == run.result.trades.to_pylist()
    equity = pq.read_table(folder / "equity.parquet")
    assert equity.equals(equity_table(run))
    assert equity["EURUSD equity"].to_pylist() == run.result.equity(1).tolist()


def test_a_second_report_has_the_same_bytes_and_one_instrument_s_pictures_plain_names(tmp_path: Path) -> None:
    folder = write_report(made_run(n=250), tmp_path).parent
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    write_report(made_run(n=250), tmp_path)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert {"equity.png", "baselines.png", "differences.png", "trades.png"} <= set(before)


def test_the_page_needs_nothing_else(page: str) -> None:
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "url(http" not in page
    assert "default-src 'none'" in page
    assert len(page) < 5_000_000


def test_every_element_is_closed_every_id_is_used_once_and_every_link_leads_somewhere(page: str) -> None:
    found = Structure(page)
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert {"verdict", "accounts", "guards", "notes", "provenance"} <= set(found.ids)
    assert {f"{symbol}-{part}" for symbol in ("BTCUSD", "EURUSD") for part in PARTS} <= set(found.ids)


def test_what_comes_from_outside_is_escaped(page: str) -> None:
    assert "Bars are &lt;generated&gt; &amp; prove nothing." in page
    assert "<generated>" not in page


def test_the_page_has_the_command_the_digests_and_the_versions(run: ReplayRun, page: str) -> None:
    assert "ffe replay --bars &#x27;bars/BTC &amp; ETH.csv&#x27; --strategy sma-cross" in page
    assert all(feed.bars.sha256 in page for feed in run.feeds)
    assert "version of numpy" in page


def test_a_run_that_never_traded_says_so_instead_of_showing_empty_panels(tmp_path: Path) -> None:
    text = write_report(empty_run(), tmp_path).read_text()
    Structure(text)
    said = (
        "It never traded.",
        "It was compared with nothing.",
        "No bar ended in HOLD.",
        "No rule refused anything.",
        "It takes at least two trades.",
        "No trade has ended.",
    )
    assert [sentence for sentence in said if sentence not in text] == []
    assert not re.findall(r"\b(?:nan|None(?!\.)|inf)\b", re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL))
    assert not (tmp_path / "trades.png").exists()


def test_a_replay_without_bars_has_a_page_too(tmp_path: Path) -> None:
    text = write_report(barless_run(), tmp_path).read_text()
    Structure(text)
    assert "no bars" in text
    assert "There is no month." in text
    assert not list(tmp_path.glob("*.png"))


def test_a_watermark_and_missing_costs_are_told_in_every_output(tmp_path: Path) -> None:
    mark = "CONTAMINATED: the model may know these days"
    text = write_report(made_run(n=300, contaminated=(True,), watermark=mark, costs=False), tmp_path).read_text()
    assert f'<p class="watermark" role="note">{mark}</p>' in text
    assert ">CONTAMINATED</text>" in text
    assert "Costs are off: these numbers are before fees, spread and slippage." in text
    assert "Costs are OFF" in text
    assert json.loads((tmp_path / "replay.json").read_text())["watermark"] == mark
    for name in ("trades", "equity"):
        assert pq.read_schema(tmp_path / f"{name}.parquet").metadata[b"watermark"] == mark.encode()


def test_a_folder_that_can_t_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be written"):
        write_report(empty_run(), tmp_path / "file" / "below")


def test_many_trades_are_cut_and_the_page_says_where_the_others_are() -> None:
    rows = made_run(n=900).result.trades
    many = rows.take([0] * (ROWS + 5))
    assert f"The first {ROWS} of {ROWS + 5} trades; all are in trades.parquet" in trade_table(many, 2)
    assert SHOWN < ROWS


def test_a_baseline_is_beaten_when_the_whole_interval_is_above_zero() -> None:
    assert standing(compared(0.01, 0.02)) is Standing.BEATS
    assert standing(compared(-0.01, 0.02)) is Standing.UNDECIDED
    assert standing(compared(-0.02, -0.01)) is Standing.WORSE
    assert standing(compared(-math.inf, math.inf)) is Standing.UNDECIDED


def test_the_answer_is_no_for_one_worse_baseline_a_halt_a_look_ahead_or_a_memory() -> None:
    good = made_run(n=900, baselines=((compared(0.01, 0.02),),))
    good = replace(good, stats=(replace(good.stats[0], trades=40),))
    assert [each.answer for each in verdicts(good)] == [Answer.TRY_ON_PAPER]
    caught = replace(
        good.lookahead[0], ok=False, first=good.lookahead[0].first or ("2016-01-05: BUY with all bars, HOLD without",)
    )
    for bad in (
        replace(good, baselines=((compared(-0.02, -0.01),),)),
        replace(good, result=replace(good.result, halted_at=1_451_900_000)),
        replace(good, lookahead=(caught,)),
        replace(good, warm_up=(REMEMBERING,)),
    ):
        assert [each.answer for each in verdicts(bad)] == [Answer.NO]
    (found,) = verdicts(replace(good, warm_up=(REMEMBERING,)))
    assert str(REMEMBERING) in found.reasons[0]
    (fine,) = verdicts(replace(good, warm_up=(replace(REMEMBERING, ok=True),)))
    assert fine.answer is Answer.TRY_ON_PAPER


def test_both_guards_are_told_in_the_report_and_what_cannot_be_rerun_too() -> None:
    told = guard_section(made_run(n=200, warm_up=(REMEMBERING,)))
    assert "in 7 reruns on truncated bars" in told
    assert "WARM-UP, 3 of 9 windows" in told
    assert "Look-ahead was not checked" in guard_section(made_run(n=200, lookahead=()))


def test_a_good_result_shows_nothing_when_it_is_doubtful() -> None:
    good = made_run(n=900, baselines=((compared(0.01, 0.02),),))
    many = replace(good, stats=(replace(good.stats[0], trades=40),))
    for doubtful, reason in (
        (replace(many, contaminated=(True,)), "contaminated"),
        (replace(many, costs=False), "costs are off"),
        (replace(many, baselines=((),)), "compared with nothing"),
        (replace(many, baselines=((compared(-0.01, 0.02),),)), "can't be told from"),
        (replace(good, stats=(replace(good.stats[0], trades=29),)), "only 29 round trips"),
        (replace(good, stats=(replace(good.stats[0], trades=0),)), "never closed a trade"),
    ):
        (found,) = verdicts(doubtful)
        assert found.answer is Answer.NOT_SHOWN
        assert reason in found.reasons[0]


def test_the_worst_instrument_answers_for_all() -> None:
    found = verdicts(made_run(("BTCUSD", "EURUSD"), n=300))
    no, paper = replace(found[0], answer=Answer.NO), replace(found[1], answer=Answer.TRY_ON_PAPER)
    assert worst((paper, no)) is Answer.NO
    assert worst((paper,)) is Answer.TRY_ON_PAPER
    assert worst(()) is Answer.NOT_SHOWN


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "+1.23 %"), (-0.5, "-50.00 %"), (-0.00001, "0.00 %"), (None, "n/a"), (math.inf, "n/a")]
)
def test_a_percentage_has_a_sign_unless_it_is_nothing(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_the_same_html_is_never_escaped_twice_and_numbers_that_nobody_knows_are_said_to_be() -> None:
    assert escaped(Html("<b>")) == "<b>"
    assert escaped("<b>") == "&lt;b&gt;"
    assert (money(None), money(math.nan), money(-0.001), money(-1234.5)) == ("n/a", "n/a", "0.00", "-1,234.50")
