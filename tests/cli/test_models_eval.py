"""`ffe models eval`: what it prints, writes down and exits with; once with the real model in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffe.ledger.ledger import Ledger
from ffe.llm.gguf import PACKAGED_SHA256
from ffe.llm.models import Completion, ModelIdentity

IDENTITY = ModelIdentity(adapter="embedded", model="script-1B.Q4_0", digest="d" * 64, runtime="script 1")


class Opinion:
    """Says the same of everything, and remembers whether it was closed."""

    def __init__(self, action: str) -> None:
        self.action, self.closed = action, False

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, *_: object) -> Completion:
        if self.action == "INTERRUPT":
            raise KeyboardInterrupt
        return Completion(
            text=json.dumps({"reasoning": "so it is.", "action": self.action, "confidence": 75}),
            finish_reason="stop",
            prompt_tokens=9,
            completion_tokens=3,
            latency_ms=1.0,
            identity=IDENTITY,
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opinion(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Opinion]:
    """Puts a model with this opinion in the place of the settings' own."""
    import ffe.cli.main  # noqa: F401 - loads the command's module

    def put(action: str) -> Opinion:
        model = Opinion(action)
        monkeypatch.setattr(sys.modules["ffe.cli.models.evaluate"], "open_model", lambda settings: model)
        return model

    return put


def _evals(folder: Path) -> list:
    ledger = Ledger.open(f"sqlite:///{folder}/.ffe/ledger.sqlite")
    try:
        return list(ledger.evals())
    finally:
        ledger.close()


def test_an_evaluation_is_printed_reported_and_on_record(ffe, opinion, tmp_path: Path) -> None:
    model = opinion("HOLD")
    said = ffe("models", "eval", "--cases", "4")

    assert said.code == 0
    assert "schema-valid at first try" in said.out
    assert "no earlier evaluation" in said.out
    assert "script-1B.Q4_0 (Q4_0), digest dddddddddddd" in said.out
    assert "eval: question 1 of 20: plain BTCUSD" in said.err
    assert model.closed
    (recorded,) = _evals(tmp_path)
    assert recorded.id in said.out
    assert (Path(recorded.report) / "index.html").is_file()
    assert Path(recorded.report) == tmp_path / ".ffe" / "evals" / recorded.id


def test_json_is_one_document_and_the_report_goes_where_it_is_wanted(ffe, opinion, tmp_path: Path) -> None:
    opinion("BUY")
    document = ffe("models", "eval", "--cases", "4", "--repeats", "3", "--report", "mine", "--json").document

    assert document["metrics"]["repeats"] == 3
    assert document["drift"] is None
    assert document["report"] == str(tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "eval.json").read_text())["id"] == document["id"]


def test_a_model_that_answers_otherwise_than_last_time_exits_3_with_both_numbers(ffe, opinion, tmp_path: Path) -> None:
    opinion("HOLD")
    assert ffe("models", "eval", "--cases", "4").code == 0
    same = ffe("models", "eval", "--cases", "4")
    assert (same.code, "drift: none against evaluation" in same.out) == (0, True)
    opinion("BUY")
    other = ffe("models", "eval", "--cases", "4")

    assert other.code == 3
    assert "drifted: action_distance: 0 before, 1 now (limit: +0.15)" in other.out
    assert len(_evals(tmp_path)) == 3


def test_a_baseline_can_be_named_and_a_wrong_one_is_refused_before_any_question(ffe, opinion, tmp_path: Path) -> None:
    opinion("HOLD")
    first = ffe("models", "eval", "--cases", "4", "--json").document["id"]
    opinion("BUY")
    assert ffe("models", "eval", "--cases", "4", "--json").code == 3
    again = ffe("models", "eval", "--cases", "4", "--baseline", first[:8], "--json")
    wrong = ffe("models", "eval", "--cases", "4", "--baseline", "nobody")

    assert (again.code, again.document["drift"]["baseline_id"]) == (3, first)
    assert (wrong.code, "question 1" in wrong.err) == (2, False)
    assert len(list((tmp_path / ".ffe" / "evals").iterdir())) == 3


def test_a_model_that_cannot_be_reached_exits_4_with_the_reason_and_leaves_nothing(ffe, monkeypatch, tmp_path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FFE_OLLAMA__HOST", f"http://127.0.0.1:{probe.getsockname()[1]}")
        monkeypatch.setenv("FFE_OLLAMA__TIMEOUT_SECONDS", "2")
        said = ffe("models", "eval", "--model", "ollama", "--cases", "2", "--json")

    assert said.code == 4
    assert "no evaluation" in said.err
    assert said.out == ""
    assert _evals(tmp_path) == []
    assert list((tmp_path / ".ffe" / "evals").iterdir()) == []


def test_an_interrupted_evaluation_is_none(ffe, opinion, tmp_path: Path) -> None:
    model = opinion("INTERRUPT")
    said = ffe("models", "eval", "--cases", "2")

    assert said.code == 130
    assert model.closed
    assert _evals(tmp_path) == []
    assert list((tmp_path / ".ffe" / "evals").iterdir()) == []


def test_an_evaluation_made_at_a_set_clock_is_dated_by_it(ffe, opinion, monkeypatch) -> None:
    opinion("HOLD")
    monkeypatch.setenv("FFE_CLOCK", "2018-04-04T12:00:00Z")

    assert ffe("models", "eval", "--cases", "1", "--json").document["evaluated_at"].startswith("2018-04-04T12:0")


def test_on_a_terminal_a_bar_shows_how_far_it_is(ffe, opinion, monkeypatch) -> None:
    opinion("HOLD")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    said = ffe("models", "eval", "--cases", "1", "--json")

    assert said.code == 0
    assert "0/" in said.err or "/5" in said.err


@pytest.mark.parametrize("wrong", [("--cases", "0"), ("--cases", "61"), ("--repeats", "0"), ("--model", "gpt")])
def test_bad_usage_exits_2(ffe, wrong: tuple[str, str]) -> None:
    assert ffe("models", "eval", *wrong).code == 2


@pytest.mark.slow
def test_the_real_model_answers_three_cases_steadily_in_a_process_of_its_own(run_ffe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    said = run_ffe(data, "models", "eval", "--cases", "3", "--repeats", "2", "--json", timeout=280)

    assert said.code == 0, said.err
    found = said.document
    assert (found["model_digest"], found["quantization"]) == (PACKAGED_SHA256, "Q4_1")
    metrics = found["metrics"]
    assert metrics["schema_valid_first"] == 1
    assert metrics["flip_rate"] == metrics["date_flip_rate"] == metrics["price_flip_rate"] == 0
    assert metrics["prompt_tokens_per_second"] > metrics["generation_tokens_per_second"] > 0
    assert (Path(found["report"]) / "index.html").is_file()
    assert [each.id for each in Ledger.open(f"sqlite:///{data}/ledger.sqlite").evals()] == [found["id"]]


@pytest.mark.slow
def test_ctrl_c_ends_it_with_its_model_and_nothing_on_record(command_environment, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    command = [sys.executable, "-m", "ffe.cli.main", "models", "eval", "--cases", "2"]
    process = subprocess.Popen(
        command,
        env=command_environment(data),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that started these tests in its background has told them, and their children, to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs here
    )
    with process:
        assert process.stderr is not None
        process.stderr.readline()
        children = _children(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert (out, "Traceback" in err) == ("", False)
    assert children
    until = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)
    assert Ledger.open(f"sqlite:///{data}/ledger.sqlite").evals() == []


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]
