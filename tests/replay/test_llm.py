"""The model as a strategy: asked where it may decide, its answers kept as they come, and never asked the same thing twice."""

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity_model import IDENTITY, DigestModel

from ffe.clock import FixedClock
from ffe.decision.models import Author
from ffe.errors import ConfigurationError, CorruptFileError, ModelUnavailableError
from ffe.llm.models import Completion, ModelIdentity
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.contexts import ContextMaker
from ffe.replay.decisions_file import read_decisions, to_signals
from ffe.replay.files import load_bars
from ffe.replay.llm import OUTAGE, Recording, decide
from ffe.replay.models import Feed, Gate, Signals
from ffe.replay.specs import spec_for
from ffe.settings import Settings

EURUSD = parse_instrument("EURUSD")
SETTINGS, CLOCK = Settings(), FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
FILE = Path(__file__).parent.parent / "data" / "bars" / "long" / "EUR-USD_1m_bidask_2014-05-01.csv"
FINE = load_bars([FILE], half_spread_bps=1.0)["EURUSD"]
MAKER = ContextMaker(FINE, Timeframe.M15, SETTINGS, calendar_for(EURUSD))
# Making a context takes far longer than asking a scripted model.
MAKER.at = functools.cache(MAKER.at)  # type: ignore[method-assign]
BARS = MAKER.base
ALLOWED = np.arange(len(BARS)) >= len(BARS) - 36
GATES = np.where(ALLOWED, Gate.PASSED, Gate.WARM_UP).astype(np.int8)
GATES[-30], GATES[-20] = Gate.STALE, Gate.MARKET_HOURS
FEED = Feed(BARS, spec_for(EURUSD, SETTINGS), GATES)
PASSED = np.flatnonzero(GATES == Gate.PASSED)


class Scripted(DigestModel):
    """Says `text`, or raises it; `digest` is another model's where it is given."""

    def __init__(self, text: str | Exception, digest: str = "0" * 64) -> None:
        super().__init__()
        self.text, self._identity = text, IDENTITY.model_copy(update={"digest": digest})

    def identity(self) -> ModelIdentity:
        return self._identity

    def complete(self, messages: Any, schema: Any, sampling: Any) -> Completion:
        del messages, schema, sampling
        self.asked += 1
        if isinstance(self.text, Exception):
            raise self.text
        return Completion(
            text=self.text,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            latency_ms=1.0,
            identity=self._identity,
        )


def said(action: str, confidence: int = 75) -> str:
    return json.dumps({"reasoning": "because", "action": action, "confidence": confidence})


def signals_of(model: Any, recording: Path, **options: Any) -> Signals:
    return decide(FEED, options.pop("maker", MAKER), model, CLOCK, recording=recording, **options)


def lines_of(recording: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in recording.read_text().splitlines()]


def same(one: Signals, other: Signals) -> bool:
    pairs = zip(
        (one.actions, one.confidence, one.authors), (other.actions, other.confidence, other.authors), strict=True
    )
    return all(np.array_equal(np.asarray(first), np.asarray(second)) for first, second in pairs)


def test_it_is_asked_where_it_may_decide_and_nowhere_else(tmp_path: Path) -> None:
    model, told = Scripted(said("BUY")), []
    signals = signals_of(model, tmp_path / "said.jsonl", progress=lambda *what: told.append(what))
    assert model.asked == PASSED.size
    assert np.flatnonzero(signals.actions).tolist() == PASSED.tolist()
    assert set(signals.confidence[PASSED].tolist()) == {75}
    assert signals.authors is not None
    assert (signals.authors[PASSED] == 0).all()
    assert (np.delete(signals.authors, PASSED) == 2).all()
    assert told[0] == ("asking about EURUSD", 1, PASSED.size)
    assert told[-1][1:] == (PASSED.size, PASSED.size)


def test_every_third_bar_that_passed_is_every_third_question(tmp_path: Path) -> None:
    signals = signals_of(Scripted(said("SELL")), tmp_path / "said.jsonl", every=3)
    assert np.flatnonzero(signals.actions).tolist() == PASSED[::3].tolist()
    assert set(signals.actions[PASSED[::3]].tolist()) == {-1}


def test_a_second_run_asks_nobody_and_says_the_same(tmp_path: Path) -> None:
    model, recording = DigestModel(), tmp_path / "folder" / "said.jsonl"
    first = signals_of(model, recording)
    content, asked = recording.read_bytes(), model.asked
    second = signals_of(model, recording)
    assert model.asked == asked
    assert recording.read_bytes() == content
    assert same(first, second)
    assert {0, 1} <= set(np.asarray(first.authors).tolist())
    assert {-1, 0, 1} == set(first.actions.tolist())


def test_each_line_tells_question_answer_and_who_gave_it(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    signals_of(Scripted(said("BUY", 80)), recording)
    lines = lines_of(recording)
    assert len(lines) == PASSED.size
    first = lines[0]
    assert first["time"] == datetime.fromtimestamp(int(BARS.closes_at[PASSED[0]]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (first["instrument"], first["timeframe"], first["action"], first["confidence"]) == (
        "EURUSD",
        "15m",
        "BUY",
        80,
    )
    assert (first["author"], first["code"], first["prompt_version"]) == ("model", "model_answer", "v3")
    assert (first["model"], first["digest"], first["text"]) == (IDENTITY.model, "0" * 64, said("BUY", 80))
    assert len(first["prompt_sha256"]) == 64


def test_a_recording_is_a_file_of_decisions(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    signals = signals_of(DigestModel(), recording)
    again = to_signals(read_decisions(recording)["EURUSD"], BARS)
    asked = np.asarray(signals.authors) < 2
    assert np.array_equal(again.actions[asked], signals.actions[asked])
    assert np.array_equal(np.asarray(again.authors), np.asarray(signals.authors))


@pytest.mark.parametrize("torn", [b"", b'{"instrument": "EUR', b'{"instrument": "EURUSD"}'])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, torn: bytes) -> None:
    recording, stop = tmp_path / "said.jsonl", 12
    model = Scripted(said("BUY"))

    def killed(what: str, done: int, of: int) -> None:
        del what, of
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        signals_of(model, recording, progress=killed)
    with recording.open("ab") as file:
        file.write(torn)
    signals = signals_of(model, recording)
    assert model.asked == PASSED.size
    assert len(lines_of(recording)) == PASSED.size
    assert np.flatnonzero(signals.actions).tolist() == PASSED.tolist()


def test_another_model_gives_its_own_answers(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    signals_of(Scripted(said("BUY")), recording)
    other = Scripted(said("SELL"), digest="1" * 64)
    signals = signals_of(other, recording)
    assert other.asked == PASSED.size
    assert set(signals.actions[PASSED].tolist()) == {-1}


def test_an_answer_to_another_question_is_asked_anew(tmp_path: Path) -> None:
    """Bars of another lookback read differently at some moments: those are asked again, the others are not."""
    recording = tmp_path / "said.jsonl"
    signals_of(Scripted(said("BUY")), recording)
    shorter = ContextMaker(FINE, Timeframe.M15, Settings(lookback_bars=60), calendar_for(EURUSD))
    model = Scripted(said("SELL"))
    signals = signals_of(model, recording, maker=shorter)
    assert 0 < model.asked <= PASSED.size
    assert int((signals.actions == -1).sum()) == model.asked
    assert int((signals.actions == 1).sum()) == PASSED.size - model.asked


@pytest.mark.parametrize("text", ["I would buy.", said("SHORT"), said("BUY", 1000), said("BUY", 71)])
def test_an_answer_that_can_not_be_used_is_a_hold_by_fallback(tmp_path: Path, text: str) -> None:
    recording = tmp_path / "said.jsonl"
    model = Scripted(text)
    signals = signals_of(model, recording, every=9)
    rows = PASSED[::9]
    assert model.asked == 2 * rows.size
    assert (signals.actions == 0).all()
    assert (np.asarray(signals.authors)[rows] == 1).all()
    assert {(line["author"], line["code"], line["text"]) for line in lines_of(recording)} == {
        (Author.FALLBACK.value, "invalid_answer", text)
    }


def test_an_outage_ends_the_run_and_keeps_what_was_answered(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    model = Scripted(said("BUY"))

    def unplugged(what: str, done: int, of: int) -> None:
        del what, of
        if done == 10:
            model.text = ModelUnavailableError("the runner crashed")

    with pytest.raises(ModelUnavailableError, match=f"no reply to {OUTAGE} questions in a row.*the runner crashed"):
        signals_of(model, recording, progress=unplugged)
    assert model.asked == 10 + OUTAGE
    assert len(lines_of(recording)) == 10
    model.text = said("BUY")
    signals = signals_of(model, recording)
    assert np.flatnonzero(signals.actions).tolist() == PASSED.tolist()


def test_a_model_that_is_silent_now_and_then_holds_by_fallback(tmp_path: Path) -> None:
    recording, model = tmp_path / "said.jsonl", Scripted(said("BUY"))

    def moody(what: str, done: int, of: int) -> None:
        del what
        silent = done % 7 in {3, 4} or done >= of - 2
        model.text = ModelUnavailableError("busy") if silent else said("BUY")

    first = signals_of(model, recording, progress=moody)
    authors = np.asarray(first.authors)
    assert int((authors == 1).sum()) >= PASSED.size // 5
    assert len(lines_of(recording)) == PASSED.size
    model.asked = 0
    assert same(first, signals_of(model, recording))
    assert model.asked == 0
    unheard = [line for line in lines_of(recording) if line["code"] == "model_unavailable"]
    assert {(line["text"], line["model"], line["error"]) for line in unheard} == {(None, None, "busy")}


def test_a_confidence_that_gates_and_is_not_known_holds(tmp_path: Path) -> None:
    by_token = ContextMaker(FINE, Timeframe.M15, Settings(confidence={"source": "token"}), calendar_for(EURUSD))
    recording = tmp_path / "said.jsonl"
    signals = signals_of(Scripted(said("BUY")), recording, maker=by_token, every=12)
    assert (signals.actions == 0).all()
    assert {line["code"] for line in lines_of(recording)} == {"confidence_unknown"}


def test_a_line_that_is_no_answer_is_refused_by_its_number(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    signals_of(Scripted(said("BUY")), recording, every=12)
    whole = recording.read_text()
    for wrong in ("no json", "[]", '{"instrument": "EURUSD"}'):
        recording.write_text(f"{whole}{wrong}\n")
        with pytest.raises(
            CorruptFileError, match=rf"said.jsonl, line {len(whole.splitlines()) + 1}: no recorded answer"
        ):
            signals_of(Scripted(said("BUY")), recording)


def test_what_can_not_be_replayed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not at every 0th"):
        signals_of(Scripted(said("BUY")), tmp_path / "said.jsonl", every=0)
    several = ContextMaker(FINE, Timeframe.M15, Settings(ensemble={"strategy": "samples"}), calendar_for(EURUSD))
    with pytest.raises(ConfigurationError, match="FFE_ENSEMBLE__STRATEGY=off"):
        signals_of(Scripted(said("BUY")), tmp_path / "said.jsonl", maker=several)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"action": "SELL"}, "is SELL, its text says BUY"),
        ({"text": "I would buy."}, "is BUY, and its text is no answer: the answer is prose"),
        ({"text": None}, "is BUY, and it has no text that says so"),
        ({"author": "fallback"}, "is BUY, and a fallback only holds"),
        ({"author": "data-gate"}, "is BUY, and its author data-gate does not answer questions"),
    ],
)
def test_a_line_whose_action_its_own_words_contradict_is_refused(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    recording = tmp_path / "said.jsonl"
    signals_of(Scripted(said("BUY")), recording, every=9)
    lines = lines_of(recording)
    lines[1] |= changed
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CorruptFileError, match=rf"said.jsonl, line 2: the recorded action {why}"):
        signals_of(Scripted(said("BUY")), recording, every=9)


def test_a_second_process_on_a_recording_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    with Recording(recording):
        recording.write_bytes(b'{"half a line that the first one is writing')
        with pytest.raises(ConfigurationError, match=r"another replay writes to .*said\.jsonl"):
            signals_of(Scripted(said("BUY")), recording)
        assert recording.read_bytes().startswith(b'{"half')
    assert signals_of(Scripted(said("BUY")), recording).actions.any()


def test_a_damaged_recording_is_let_go_of(tmp_path: Path) -> None:
    recording = tmp_path / "said.jsonl"
    recording.write_text("no json\n")
    with pytest.raises(CorruptFileError, match="line 1"):
        Recording(recording)
    recording.write_text("")
    with Recording(recording) as kept:
        assert kept.path == recording


def test_a_recording_that_can_not_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be written: Is a directory"):
        Recording(tmp_path)
