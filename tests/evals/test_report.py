"""The report: one page that needs nothing else, numbers that can be read back, plots; and no folder left by a run that failed."""

import base64
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ffe.errors import ConfigurationError
from ffe.evals.drift import Drift, Movement
from ffe.evals.metrics import measure, quantization
from ffe.evals.models import Results
from ffe.evals.report import report_folder, write_report
from ffe.evals.table import rows
from ffe.feedback.models import ModelEval
from ffe.llm.models import Sampling

MOVED = Drift(
    baseline_id="0ld<b>",
    movements=(
        Movement(metric="flip_rate", before=0.0, now=0.5, limit="+0.02"),
        Movement(metric="latency_p95_ms", before=1000.0, now=3000.0, limit="x2", alarm=False),
    ),
)


class Page(HTMLParser):
    """Text, tags and picture sources of a page; `open` must be empty at its end."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.pictures, self.said = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.pictures += [value for name, value in attrs if name == "src"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said += data


def evaluation_of(results: Results, **changed) -> ModelEval:
    fields = {
        "id": "e1",
        "model": results.identity.model,
        "model_digest": results.identity.digest,
        "quantization": quantization(results.identity.model),
        "runtime": results.identity.runtime,
        "prompt_version": results.prompt_version,
        "cases_sha256": results.cases_sha256,
        "metrics": measure(results),
        "report": None,
        "evaluated_at": datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC),
    }
    return ModelEval.model_validate(fields | changed)


@pytest.fixture
def results(scripted, examine, say) -> Results:
    """Bitcoin is bought, ether sold, the euro held, but only at first; of sterling there is no usable word."""

    def answer(text: str, sampling: Sampling, call: int) -> str:
        if "GBPUSD" in text or text.startswith("Refused"):
            return "no"
        if "EURUSD" in text:
            return say("HOLD" if call < 4 else "SELL")
        return say("SELL" if "ETHUSD" in text else "BUY")

    return examine(scripted(answer, milliseconds=(9.0, 1.0), odds=0.7))


def test_the_page_is_whole_by_itself_and_runs_nothing(results, cases, tmp_path: Path) -> None:
    write_report(tmp_path, evaluation_of(results), results, cases, None)

    text = (tmp_path / "index.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert re.search(r"https?://", text) is None
    assert len(page.pictures) == 3
    for source in page.pictures:
        kind, _, data = source.partition("base64,")
        assert kind == "data:image/png;"
        Image.open(BytesIO(base64.b64decode(data))).verify()


def test_the_page_says_which_model_which_cases_and_what_they_cannot_tell(results, cases, tmp_path: Path) -> None:
    write_report(tmp_path, evaluation_of(results), results, cases, None)

    said = Page((tmp_path / "index.html").read_text()).said
    for expected in ("script-1B.Q4_0", "Q4_0", "d" * 64, cases.sha256, "2026-11-21T12:00:00Z", "tuned on windows"):
        assert expected in said
    assert "no earlier evaluation" in said
    for row in rows(measure(results)):
        assert row.name in said
    for case in results.cases:
        assert case.id in said
    assert "plain BUY, date =, ticker BUY, price =, sampled BUY" in said
    assert "plain HOLD/SELL, date =" in said
    assert "plain none, date =, ticker BUY" in said


def test_drift_stands_on_the_page_escaped_with_alarm_and_warning(results, cases, tmp_path: Path) -> None:
    write_report(tmp_path, evaluation_of(results, model="<i>x"), results, cases, MOVED)

    text = (tmp_path / "index.html").read_text()
    assert '<div class="alarm">' in text
    assert "flip_rate: 0 before, 0.5 now (limit: +0.02)" in text
    assert "3000 now (limit: x2) (a warning only)" in text
    assert "0ld&lt;b&gt;" in text
    assert "<i>" not in text


def test_no_drift_stands_on_the_page_as_well(results, cases, tmp_path: Path) -> None:
    write_report(tmp_path, evaluation_of(results), results, cases, Drift(baseline_id="0ld", movements=()))

    assert '<div class="ok">drift: none against evaluation 0ld' in (tmp_path / "index.html").read_text()


def test_the_numbers_can_be_read_back_with_every_answer(results, cases, tmp_path: Path) -> None:
    done = evaluation_of(results)
    write_report(tmp_path, done, results, cases, MOVED)

    document = json.loads((tmp_path / "eval.json").read_text())
    assert ModelEval.model_validate({name: document[name] for name in ModelEval.model_fields}) == done
    assert document["drift"]["drifted"] is True
    assert len(document["trials"]) == len(results.trials)
    assert document["trials"][0]["calls"][0]["raw_text"].startswith('{"reasoning"')
    assert [case["id"] for case in document["cases"]] == [case.id for case in cases.cases]


def test_a_model_without_valid_answers_gets_a_page_too(scripted, examine, cases, tmp_path: Path) -> None:
    results = examine(scripted(lambda *_: "no"), repeats=1)
    write_report(tmp_path, evaluation_of(results, quantization=None), results, cases, None)

    said = Page((tmp_path / "index.html").read_text()).said
    assert "not measured" in said
    assert "the name does not say" in said
    assert {path.name for path in tmp_path.iterdir()} == {
        "index.html",
        "eval.json",
        "reliability.png",
        "actions.png",
        "latency.png",
    }


def test_the_same_evaluation_gives_the_same_bytes(results, cases, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(tmp_path / name, evaluation_of(results), results, cases, None)

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_that_stays_empty_goes_again(tmp_path: Path) -> None:
    with report_folder(tmp_path / "a" / "b") as wanted:
        assert wanted.is_dir()

    assert not wanted.exists()


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    with report_folder(tmp_path / "r") as folder:
        (folder / "index.html").write_text("x")

    assert (tmp_path / "r" / "index.html").read_text() == "x"


def test_a_report_that_cannot_be_a_folder_is_bad_usage_at_once(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="can't be a folder"), report_folder(tmp_path / "file"):
        pass
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigurationError, match="can't be written"), report_folder(tmp_path / "locked"):
        pass


def test_the_table_says_what_is_missing_and_what_it_would_take(scripted, examine, say) -> None:
    by_name = {row.name: row for row in rows(measure(examine(scripted(lambda *_: say("HOLD")), repeats=1)))}

    assert by_name["flip rate"].value is None
    assert by_name["flip rate"].note == "needs --repeats 2"
    assert by_name["prompt"].value is None
    assert by_name["entries that paid"] == ("entries that paid", None, 0, "BUY and SELL, after costs")
    assert by_name["flips, date shifted"].note == "the prompt does not show it"
    assert by_name["flips, ticker anonymised"].note == "reaches 100% of the prompts"
    assert by_name["HOLD"].value == "100.0%"
