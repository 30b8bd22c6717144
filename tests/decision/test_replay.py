"""Recorded decisions, made again from the record: the same to the byte, here and in another process, and never when it was tampered with."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ffe.clock import FixedClock
from ffe.decision.ask import ask, content_sha256
from ffe.decision.ensemble import after, ask_ensemble
from ffe.decision.models import Action
from ffe.decision.odds import action_odds
from ffe.decision.prompt import PROMPT_VERSION
from ffe.decision.record import Weighed, decision_from_verdict
from ffe.decision.remake import replay
from ffe.decision.replay import content, digest, replay_all
from ffe.decision.verdict import AskedVerdict, Verdict
from ffe.errors import ModelUnavailableError
from ffe.feedback.confidence import weigh
from ffe.feedback.models import Calibration
from ffe.ledger import cycles, decisions, evidence, feedback
from ffe.ledger.ledger import Ledger
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, ModelIdentity, Sampling, TokenOdds
from ffe.llm.recorded import RecordedModel
from ffe.market.quality import QualityReport
from ffe.settings import ConfidenceSettings, ConfidenceSource, EnsembleSettings, EnsembleStrategy
from ffe.sources.models import BarBatch

VERDICTS, FEW = 500, 48
STRATEGIES = (
    EnsembleSettings(),
    EnsembleSettings(strategy=EnsembleStrategy.SAMPLES),
    EnsembleSettings(),
    EnsembleSettings(strategy=EnsembleStrategy.DEBATE),
    EnsembleSettings(),
    EnsembleSettings(strategy=EnsembleStrategy.MODELS, models=("large", "small", "gone"), quorum=0.51, weighted=True),
)
SOURCES = tuple(ConfidenceSource)
WEIGHTS = {"large": 1.75, "small": 0.5, "gone": 0.75}


class Improviser:
    """Answers every request by its own hash: mostly well, at times with prose, cut off, or not at all. The same request, the same answer."""

    def __init__(self, name: str) -> None:
        self.name = name

    def complete(self, messages, schema, sampling):
        key = hashlib.sha256(f"{self.name} {prompt_sha256(messages, schema, sampling)}".encode()).digest()
        if key[0] < 30:
            raise ModelUnavailableError(f"{self.name}: no model answer within {key[1]} s")
        action = tuple(Action)[key[2] % 3].value
        text = json.dumps({"reasoning": f"Ré {key[3]}.", "action": action, "confidence": key[4] % 21 * 5})
        if key[0] < 80:
            text = f"I say {action}."
        at = text.find(f'"{action}"') + 1
        return Completion(
            text=text,
            finish_reason="length" if 80 <= key[0] < 95 else "stop",
            prompt_tokens=key[5],
            completion_tokens=key[6],
            latency_ms=key[7] / 7,
            prompt_ms=key[8] / 3,
            generation_ms=key[9] / 3,
            tokens=(TokenOdds(start=at, text=action, logprob=-0.1, top=((action, -0.1), ("HOLD", -2.7))),),
            identity=ModelIdentity(
                adapter="ollama", model=self.name, digest=hashlib.sha256(self.name.encode()).hexdigest(), runtime="r 1"
            ),
        )


def improvisers(name):
    if name == "gone":
        raise ModelUnavailableError("model 'gone' not found")
    return Improviser(name or "main")


def situated(contexts, index):
    """A context of its own: real bars, another instrument than its three neighbours', another time and reading."""
    base = contexts[(index * 3 + index // 4) % len(contexts)]
    first = base.pulse[0].model_copy(update={"rsi": 20.0 + index % 60 + index / 1000, "closes": (1.0, 2.0)})
    at = base.bar_close + timedelta(minutes=index)
    return base.model_copy(update={"bar_close": at, "pulse": (first, *base.pulse[1:])})


def verdict_on(context, clock, settings):
    if settings.strategy is EnsembleStrategy.OFF:
        return ask(improvisers(None), context, clock)
    return ask_ensemble(improvisers, context, clock, settings, WEIGHTS)


def curve(model="main", source="stated", **changes):
    """A calibration of one improviser."""
    values = {
        "id": f"{model}-{source}",
        "model_digest": hashlib.sha256(model.encode()).hexdigest(),
        "prompt_version": PROMPT_VERSION,
        "source": source,
        "method": "temperature",
        "parameters": {"slope": 0.5, "bias": -0.25, "low": 0.05, "high": 0.95},
        "habit": {"BUY": -0.9, "SELL": -1.2, "HOLD": -1.4} if source == "token" else None,
        "grades": 40,
        "known_until": datetime(2009, 1, 1, tzinfo=UTC),
        "fitted_at": datetime(2009, 1, 2, tzinfo=UTC),
    }
    scores = dict.fromkeys(("brier_before", "brier_after", "ece_before", "ece_after"), 0.25)
    return Calibration(**values | scores | changes)


CURVES = (curve(), curve(source="token"))


def weighed_on(verdict, source):
    """How sure the model is held to be, as the engine does it."""
    call = verdict.spoken
    if verdict.answer is None or call is None:
        return None
    alone = verdict.ensemble is None or verdict.ensemble.strategy is EnsembleStrategy.DEBATE
    odds = action_odds(call.raw_text, call.tokens) if alone else None
    known = CURVES[odds is not None] if call.identity.digest == CURVES[0].model_digest else None
    if source is ConfidenceSource.CALIBRATED and verdict.answer.confidence % 10 == 0:
        known = None
    return Weighed(*weigh(verdict.answer, odds, known, ConfidenceSettings(source=source)))


def put_on_record(session, cycle_id, context, verdict, at, source=ConfidenceSource.STATED):
    """The verdict and the decision that rests on it."""
    feedback.record_verdict(session, cycle_id, context, verdict, at)
    decision = decision_from_verdict(
        verdict, context, cycle_id=cycle_id, decided_at=at, weighed=weighed_on(verdict, source)
    )
    decisions.record_decision(session, decision)


def put_evidence(session, context, at):
    """The bars and the report that all contexts name."""
    subject = {"instrument": context.instrument, "timeframe": context.timeframe}
    times = {"first_open": at, "last_open": at, "fetched_at": at}
    batch = BarBatch(id=context.batch_id, source="recorded", path="b.parquet", rows=200, **subject, **times)
    evidence.record_batch(session, batch)
    judged = {"suite": "s", "checks": 1, "findings": (), "checked_at": at, "duration_ms": 1.0}
    evidence.record_quality(session, QualityReport(id=context.quality_report_id, batch_id=batch.id, **judged))


def fill(folder, contexts, count):
    """Data folder whose ledger has `count` recorded decisions of every kind, four a cycle, written in one transaction."""
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.sqlite")
    clock = FixedClock(datetime(2018, 4, 4, 12, tzinfo=UTC))
    with ledger.database.write() as session:
        put_evidence(session, contexts[0], clock.now())
        for calibration in CURVES:
            feedback.record_calibration(session, calibration)
        for index in range(count):
            cycle_id, context = f"cycle-{index // 4}", situated(contexts, index)
            clock.advance(timedelta(seconds=1))
            if index % 4 == 0:
                cycles.start_cycle(session, cycle_id, "sim", "1m", clock.now())
            verdict = verdict_on(context, clock, STRATEGIES[index // 4 % len(STRATEGIES)])
            put_on_record(session, cycle_id, context, verdict, clock.now(), SOURCES[index % len(SOURCES)])
    ledger.close()
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, contexts):
    return fill(tmp_path_factory.mktemp("recorded"), contexts, VERDICTS)


@pytest.fixture(scope="module")
def recorded_few(tmp_path_factory, contexts):
    return fill(tmp_path_factory.mktemp("few"), contexts, FEW)


@pytest.fixture
def ledger_copy(recorded_few, tmp_path):
    """Data folder with a small ledger, to be tampered with."""
    shutil.copy(recorded_few / "ledger.sqlite", tmp_path / "ledger.sqlite")
    return tmp_path


def report_of(folder):
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.sqlite")
    try:
        later = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
        asked, left = ledger.verdicts(VERDICTS), ledger.without_verdict()
        known = ledger.calibrations()
        return replay_all(asked, ledger.decisions_on(asked), later, known, unmatched=left.left, older=left.older)
    finally:
        ledger.close()


def test_five_hundred_recorded_decisions_come_out_the_same_here_and_in_another_process(recorded):
    first = report_of(recorded)

    command = [sys.executable, "-m", "ffe.cli.main", "models", "replay", "--json"]
    environment = dict(os.environ) | {"FFE_DATA_DIR": str(recorded)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)

    assert (first.replayed, first.identical, first.other_version, first.differing) == (VERDICTS, VERDICTS, 0, ())
    assert (first.decided, first.unheard, first.unmatched, first.older) == (VERDICTS, 0, (), 0)
    assert first.recorded_sha256 == first.replayed_sha256
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == first.model_dump(mode="json")


def test_the_five_hundred_are_of_every_kind(recorded):
    ledger = Ledger.open(f"sqlite:///{recorded}/ledger.sqlite")
    made, verdicts = ledger.decisions(VERDICTS), [asked.verdict for asked in ledger.verdicts(VERDICTS)]
    ledger.close()

    codes = Counter(decision.reason_code for decision in made)
    wanted = ("model_answer", "invalid_answer", "model_unavailable", "ensemble_disagrees", "confidence_unknown")
    assert min(codes[code] for code in wanted) >= 5
    alone = [verdict for verdict in verdicts if verdict.votes is None]
    assert len([verdict for verdict in alone if len(verdict.calls) == 2 and verdict.answer is not None]) >= 5
    strategies = Counter(None if verdict.ensemble is None else verdict.ensemble.strategy for verdict in verdicts)
    assert min(strategies.values()) >= 80
    assert set(strategies) == {None, EnsembleStrategy.SAMPLES, EnsembleStrategy.MODELS, EnsembleStrategy.DEBATE}


OF_CALL = "UPDATE model_call SET {} WHERE id = :call"
OF_VERDICT = "UPDATE verdict SET {} WHERE cycle_id = :cycle AND instrument = :instrument"
OF_DECISION = "UPDATE decision SET {} WHERE cycle_id = :cycle AND instrument = :instrument"
# A single question that was answered BUY at once.
TARGET = """
    SELECT cycle_id AS cycle, instrument, model_call_id AS call FROM decision
    JOIN model_call USING (cycle_id, instrument)
    WHERE votes IS NULL AND action = 'BUY' AND json_extract(confidence_parts, '$.calibrated') > 0 GROUP BY cycle_id, instrument HAVING count(*) = 1
"""


def tampered(folder, change):
    """Changes one thing of one verdict; cycle and instrument of the single question that it is meant for."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as database, database:
        database.row_factory = sqlite3.Row
        target = dict(database.execute(TARGET).fetchone())
        assert database.execute(change, target).rowcount == 1
    return target["cycle"], target["instrument"]


@pytest.mark.parametrize(
    ("table", "change", "where"),
    [
        (OF_CALL, "raw_text = replace(raw_text, 'BUY', 'SELL')", "verdict.answer.action"),
        (OF_CALL, "raw_text = raw_text || ' '", "calls.0.content_sha256"),
        (OF_CALL, "raw_text = NULL", "verdict.answer"),
        (OF_CALL, "finish_reason = 'length'", "calls"),
        (OF_CALL, "completion_tokens = completion_tokens + 1", "calls.0.content_sha256"),
        (OF_CALL, "identity = replace(identity, 'r 1', 'r 2')", "calls.0.content_sha256"),
        (OF_CALL, "sampling = replace(sampling, ': 7', ': 8')", "calls.0.raw_text"),
        (OF_CALL, "messages = replace(messages, 'frames', 'Frames')", "calls.0.messages.0.content"),
        (OF_CALL, "content_sha256 = ''", "calls.0.content_sha256"),
        (OF_CALL, "tokens = json_set(tokens, '$[0].logprob', -9.0)", "calls.0.content_sha256"),
        (OF_CALL, "tokens = '[]'", "decision.confidence_parts.odds"),
        (OF_CALL, "latency_ms = latency_ms + 1", "decision.latency_ms"),
        (OF_CALL, "prompt_version = 'v0', raw_text = replace(raw_text, 'BUY', 'SELL')", "decision.action"),
        (OF_CALL, "prompt_version = 'v0', raw_text = raw_text || ' '", "calls.0.content_sha256"),
        (OF_CALL, "prompt_version = 'v0', messages = replace(messages, 'frames', 'Frames')", "calls.0.prompt_sha256"),
        (OF_CALL, "prompt_version = 'v0', sampling = replace(sampling, ': 7', ': 8')", "calls.0.prompt_sha256"),
        (OF_CALL, "prompt_version = 'v0', tokens = '[]'", "calls.0.content_sha256"),
        (OF_VERDICT, """context = replace(context, '"rsi": null', '"rsi": 61.5')""", "calls.0.prompt_sha256"),
        (OF_VERDICT, """context = replace(context, '"warnings": []', '"warnings": ["x"]')""", "calls.0.prompt_sha256"),
        (OF_VERDICT, "answer = replace(answer, 'BUY', 'SELL')", "verdict.answer.action"),
        (OF_VERDICT, "answer = NULL", "verdict.answer"),
        (OF_VERDICT, "error = 'none'", "verdict.error"),
        (OF_DECISION, "action = 'SELL'", "decision.action"),
        (OF_DECISION, "model_digest = 'x'", "decision.model_digest"),
        (OF_DECISION, "situation = '{}'", "decision.situation"),
        (OF_DECISION, "confidence = 100", "decision.confidence"),
        (OF_DECISION, "confidence_parts = NULL", "decision.confidence_parts"),
        (OF_DECISION, "model_call_id = NULL", "decision.model_call_id"),
        (OF_DECISION, "model_call_id = (SELECT min(id) FROM model_call WHERE id <> :call)", "decision.model_call_id"),
        (OF_DECISION, "latency_ms = NULL", "decision.latency_ms"),
        (OF_DECISION, "quality_report_id = NULL", "decision.quality_report_id"),
        (OF_DECISION, "decided_by = 'risk-gate', action = 'HOLD', confidence = 100", "decision.reasoning"),
        (OF_DECISION, "decided_by = 'risk-gate'", "decision.action"),
        *(
            (
                OF_DECISION,
                f"confidence_parts = json_set(confidence_parts, '$.{name}', {value})",
                f"decision.confidence_parts.{name}",
            )
            for name, value in (
                ("stated", 1.0),
                ("token", 0.01),
                ("corrected", 0.01),
                ("calibrated", 0.99),
                ("calibration_id", "'none'"),
            )
        ),
        (
            OF_DECISION,
            "confidence_parts = json_set(confidence_parts, '$.odds.BUY', 0.01)",
            "decision.confidence_parts.odds.BUY",
        ),
        (
            OF_DECISION,
            "confidence_parts = json_set(confidence_parts, '$.source', 'guess')",
            "decision.confidence_parts.source",
        ),
    ],
)
def test_whatever_was_changed_in_the_ledger_shows_at_its_cycle(ledger_copy, table, change, where):
    target = tampered(ledger_copy, table.format(change))

    report = report_of(ledger_copy)

    assert not report.same
    assert report.recorded_sha256 != report.replayed_sha256
    assert (report.replayed, report.identical) == (FEW, FEW - 1)
    assert [(difference.cycle_id, difference.instrument) for difference in report.differing] == [target]
    assert where in report.differing[0].where


@pytest.mark.parametrize("strategy", [None, "samples", "debate", "models"])
def test_verdicts_in_other_words_hold_though_their_questions_are_not_made_anew(ledger_copy, strategy):
    words = "prompt_version = 'v0', messages = replace(messages, 'frames', 'Frames')"
    with contextlib.closing(sqlite3.connect(ledger_copy / "ledger.sqlite")) as database, database:
        database.execute(f"UPDATE model_call SET {words}")
    ledger = Ledger.open(f"sqlite:///{ledger_copy}/ledger.sqlite")
    asked = [each for each in ledger.verdicts(VERDICTS) if each.verdict.ensemble is None or strategy is not None]
    asked = [each for each in asked if getattr(each.verdict.ensemble, "strategy", None) == strategy]
    ledger.close()
    truly = [each.model_copy(update={"verdict": in_old_words(each.verdict)}) for each in asked]

    report = replay_all(truly, [], FixedClock(datetime(2031, 1, 1, tzinfo=UTC)))

    assert report.differing == ()
    assert (report.replayed, report.other_version) == (len(asked), sum(bool(each.verdict.calls) for each in asked))
    assert report.other_version > 0


def in_old_words(verdict):
    """The verdict with its digests over the questions as they are now stored."""
    calls = []
    for call in verdict.calls:
        key = prompt_sha256(call.messages, call.answer_schema, call.sampling)
        honest = call.model_copy(update={"prompt_sha256": key})
        said = None
        if call.raw_text is not None:
            said = RecordedModel.from_calls([honest]).complete(call.messages, call.answer_schema, call.sampling)
        calls.append(honest.model_copy(update={"content_sha256": content_sha256(key, said)}))
    return verdict.model_copy(update={"calls": tuple(calls)})


def test_a_call_that_was_taken_out_shows_in_other_words_too(scripted, context, clock):
    verdict = ask(scripted("nothing", "nothing"), context, clock)
    calls = tuple(call.model_copy(update={"prompt_version": "v0"}) for call in verdict.calls)

    assert identical(context, verdict.model_copy(update={"calls": calls}), clock)
    assert not identical(context, verdict.model_copy(update={"calls": calls[:1]}), clock)


def test_a_label_of_another_prompt_version_is_counted(ledger_copy):
    tampered(ledger_copy, OF_CALL.format("prompt_version = 'v1'"))

    assert report_of(ledger_copy).other_version == 1


GATE = "decided_by = 'risk-gate', action = 'HOLD', confidence = 100, reason_code = 'small', "
OVERRULED = "reasoning = 'too small (was ' || action || ' at ' || confidence || ' by model: ' || reasoning || ')'"
QUOTES_NOTHING = (
    "model_call_id = NULL, model = NULL, model_digest = NULL, prompt_sha256 = NULL, seed = NULL, latency_ms = NULL, "
    "opinion = NULL, votes = NULL, situation = NULL, confidence_parts = NULL, pulse_batches = NULL"
)


def test_a_gates_hold_that_quotes_the_verdict_holds(ledger_copy):
    tampered(ledger_copy, OF_DECISION.format(GATE + OVERRULED))

    report = report_of(ledger_copy)

    assert report.same
    assert (report.decided, report.unheard) == (FEW, 0)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("opinion = 'SELL'", "decision.opinion"),
        ("situation = '{}'", "decision.situation"),
        ("model_digest = 'x'", "decision.model_digest"),
        ("votes = '[]'", "decision.votes"),
        ("confidence_parts = json_set(confidence_parts, '$.stated', 1.0)", "decision.confidence_parts.stated"),
        ("model_call_id = NULL", "decision.model_call_id"),
    ],
)
def test_what_a_gates_hold_quotes_of_the_model_must_be_what_it_said(ledger_copy, change, where):
    target = tampered(ledger_copy, OF_DECISION.format(f"{GATE}{OVERRULED}, {change}"))

    report = report_of(ledger_copy)

    [differing] = report.differing
    assert (differing.cycle_id, differing.instrument) == target
    assert differing.where == (where,)


@pytest.mark.parametrize(
    ("author", "code", "right"),
    [
        ("risk-gate", "plan_order_failed", True),
        ("risk-gate", "daily_loss", False),
        ("data-gate", "stale_bars", True),
        ("halt", "kill_switch_halted", True),
        ("model", "model_answer", False),
    ],
)
def test_a_gate_that_held_by_itself_quotes_nothing(ledger_copy, author, code, right):
    hold = f"decided_by = '{author}', reason_code = '{code}', action = 'HOLD', confidence = 100, reasoning = 'x', "
    tampered(ledger_copy, OF_DECISION.format(hold + QUOTES_NOTHING))

    report = report_of(ledger_copy)

    assert report.same is right
    assert report.unheard == right


def given_up(context, clock, later):
    """A verdict, and the HOLD of a cycle that had waited until `later` after it was asked and had found none."""
    verdict = ask(improvisers(None), context, clock)
    clock.advance(later)
    none = Verdict(calls=(), answer=None, error="nothing came")
    return verdict, decision_from_verdict(none, context, cycle_id="c1", decided_at=clock.now())


def test_a_hold_of_a_cycle_that_gave_up_before_its_verdict_came_is_right(context, clock):
    verdict, decision = given_up(context, clock, timedelta(0))
    late, forged = given_up(context, clock, timedelta(minutes=1))

    report = replay_all([asked_of(context, verdict)], [decision], clock)
    assert (report.same, report.unheard, report.decided) == (True, 1, 0)
    assert not replay_all([asked_of(context, late)], [forged], clock).same
    for changes in ({"opinion": Action.SELL}, {"situation": {}}, {"reason_code": "x"}, {"action": Action.BUY}):
        changed = decision.model_copy(update=changes)
        assert not replay_all([asked_of(context, verdict)], [changed], clock).same


def test_a_decision_of_no_verdicts_calls_and_nobodys_call_is_right(context, clock):
    none = Verdict(calls=(), answer=None, error="started too late")
    decision = decision_from_verdict(none, context, cycle_id="c1", decided_at=clock.now())

    assert replay_all([asked_of(context, none)], [decision], clock).same
    named = decision.model_copy(update={"model_call_id": "x"})
    assert not replay_all([asked_of(context, none)], [named], clock).same


@pytest.mark.parametrize(
    "changes",
    [{"model_digest": "x"}, {"prompt_version": "v0"}, {"known_until": datetime(2030, 1, 1, tzinfo=UTC)}, None],
)
def test_a_calibration_must_be_on_record_of_the_model_and_known_by_then(context, clock, scripted, changes):
    good = json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})
    verdict = ask(scripted(good), context, clock)
    known = curve(model_digest=verdict.calls[0].identity.digest)
    weighed = Weighed(*weigh(verdict.answer, None, known, ConfidenceSettings(source=ConfidenceSource.CALIBRATED)))
    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now(), weighed=weighed)
    others = [] if changes is None else [known.model_copy(update=changes)]

    assert replay_all([asked_of(context, verdict)], [decision], clock, [known]).same
    [differing] = replay_all([asked_of(context, verdict)], [decision], clock, others).differing
    assert "decision.confidence_parts.calibration_id" in differing.where


def test_one_verdict_of_a_cycle_under_another_ensemble_shows(ledger_copy):
    change = "UPDATE verdict SET ensemble = json_set(ensemble, '$.quorum', 0.51) WHERE cycle_id = 'cycle-1' AND instrument = (SELECT min(instrument) FROM verdict WHERE cycle_id = 'cycle-1')"
    tampered(ledger_copy, change)

    [differing] = report_of(ledger_copy).differing

    assert differing.cycle_id == "cycle-1"
    assert "ensemble.of_its_cycle" in differing.where


def test_of_two_verdicts_under_two_ensembles_nobody_knows_which_is_right(contexts, clock):
    first, second = situated(contexts, 0), situated(contexts, 1)
    asked = [asked_of(first, ask(improvisers(None), first, clock))]
    asked.append(asked_of(second, verdict_on(second, clock, STRATEGIES[1])))

    report = replay_all(asked, [], clock)

    assert [each.where for each in report.differing] == [("ensemble.of_its_cycle",)] * 2


def test_a_member_whose_call_was_taken_out_and_whose_vote_says_so_shows(scripted, context, clock):
    good = json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})
    for settings in (STRATEGIES[1], STRATEGIES[5].model_copy(update={"models": ("a", "b", "c")})):
        model = scripted(good, good, good)
        verdict = ask_ensemble(lambda name, model=model: model, context, clock, settings)
        decision = decision_from_verdict(
            verdict,
            context,
            cycle_id="c1",
            decided_at=clock.now(),
            weighed=weighed_on(verdict, ConfidenceSource.STATED),
        )
        silent = verdict.votes[2].model_copy(update={"action": None, "confidence": None, "error": "timed out"})
        votes = (*verdict.votes[:2], silent)
        without = verdict.model_copy(update={"calls": verdict.calls[:2], "votes": votes})
        fitted = decision.model_copy(update={"votes": votes})

        assert replay_all([asked_of(context, verdict)], [decision], clock).same
        [differing] = replay_all([asked_of(context, without)], [fitted], clock).differing
        assert "decision.latency_ms" in differing.where
        sampled = settings.strategy is EnsembleStrategy.SAMPLES
        assert ("ensemble.votes_without_call" in differing.where) is sampled


@pytest.mark.parametrize("side", ["verdict", "decision"])
def test_weights_must_be_the_same_in_the_verdict_and_in_the_decision(ledger_copy, side):
    where = "cycle_id = 'cycle-5' AND instrument = (SELECT min(instrument) FROM verdict WHERE cycle_id = 'cycle-5')"
    tampered(ledger_copy, f"UPDATE {side} SET votes = json_set(votes, '$[0].weight', 1.5) WHERE {where}")

    assert not report_of(ledger_copy).same


def test_weights_that_the_settings_do_not_ask_for_show(context, clock):
    settings = STRATEGIES[5].model_copy(update={"weighted": False})

    assert identical(context, ask_ensemble(improvisers, context, clock, settings), clock)
    assert not identical(context, ask_ensemble(improvisers, context, clock, settings, WEIGHTS), clock)


def test_calls_and_decisions_whose_verdict_was_deleted_show(ledger_copy):
    target = tampered(ledger_copy, "DELETE FROM verdict WHERE cycle_id = :cycle AND instrument = :instrument")

    report = report_of(ledger_copy)

    assert not report.same
    assert (report.replayed, report.identical) == (FEW - 1, FEW - 1)
    assert [(each.cycle_id, each.instrument, each.where) for each in report.unmatched] == [
        (*target, ("decision", "model_call"))
    ]


def test_questions_from_before_verdicts_are_no_failure_beside_what_can_be_replayed(context, clock):
    verdict = ask(improvisers(None), context, clock)

    assert replay_all([asked_of(context, verdict)], [], clock, older=3).same
    assert not replay_all([], [], clock, older=3).same
    assert replay_all([], [], clock).same


def asked_of(context, verdict):
    return AskedVerdict(cycle_id="c1", context=context, verdict=verdict)


def identical(context, verdict, clock):
    """Whether the verdict is replayed to the same content."""
    report = replay_all([asked_of(context, verdict)], [], clock)
    return report.same and report.replayed == 1


def test_members_that_were_barred_or_missing_stay_silent_for_the_same_reason(scripted, context, clock):
    now = iter([0.0, 1.0, 2.0, 3.0, 20.0, 21.0, 22.0])
    good = json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})
    settings = EnsembleSettings(strategy=EnsembleStrategy.SAMPLES, samples=5)
    model = scripted(good, good, good)

    verdict = ask_ensemble(lambda name: model, context, clock, settings, barred=after(10.0, lambda: next(now)))
    remade = replay(asked_of(context, verdict), clock)

    assert len(remade.calls) == 3
    assert remade.votes == verdict.votes
    assert remade.votes[4].error == "sample-5 was not asked: 10 s were over"
    assert identical(context, verdict, clock)


def test_samples_are_asked_with_their_own_seeds_even_when_the_first_one_was_never_asked(scripted, context, clock):
    good = json.dumps({"reasoning": "Up.", "action": "HOLD", "confidence": 60})
    settings = EnsembleSettings(strategy=EnsembleStrategy.SAMPLES, samples=3)
    model = scripted(good, good)

    verdict = ask_ensemble(
        lambda name: model,
        context,
        clock,
        settings,
        sampling=Sampling(seed=30),
        barred=lambda member: "sample-1 was not asked: late" if member == "sample-1" else None,
    )

    assert [call.sampling.seed for call in verdict.calls] == [31, 32]
    assert identical(context, verdict, clock)


def test_nothing_recorded_is_replayed_to_nothing_and_an_answer_out_of_nowhere_shows(scripted, context, clock):
    nobody = EnsembleSettings(strategy=EnsembleStrategy.MODELS, models=("a", "b"))
    refused = ask_ensemble(lambda name: improvisers("gone"), context, clock, nobody)
    unasked = Verdict(calls=(), answer=None, error="started too late")
    answered = ask(scripted(json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})), context, clock)
    invented = Verdict(calls=(), answer=answered.answer, error=None)

    assert identical(context, refused, clock)
    assert identical(context, unasked, clock)
    assert identical(context, answered, clock)
    assert not identical(context, invented, clock)


@pytest.mark.parametrize(
    ("vote", "changes"),
    [
        (0, {"action": Action.SELL}),
        (0, {"confidence": 5}),
        (0, {"weight": 2.0}),
        (0, {"weight": 0.0}),
        (2, {"error": "out of memory"}),
        (2, {"member": "sample-9"}),
    ],
)
def test_a_changed_vote_of_a_sample_shows(scripted, context, clock, vote, changes):
    good = json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})
    model = scripted(good, good, ModelUnavailableError("busy"))
    verdict = ask_ensemble(lambda name: model, context, clock, EnsembleSettings(strategy=EnsembleStrategy.SAMPLES))
    votes = list(verdict.votes)
    votes[vote] = votes[vote].model_copy(update=changes)

    assert identical(context, verdict, clock)
    assert not identical(context, verdict.model_copy(update={"votes": tuple(votes)}), clock)


def test_a_call_that_was_taken_out_or_put_under_another_name_shows(context, clock):
    settings = EnsembleSettings(strategy=EnsembleStrategy.MODELS, models=("a", "b"), quorum=0.51)
    verdict = ask_ensemble(improvisers, context, clock, settings)
    stranger = verdict.calls[0].model_copy(update={"member": "x"})

    assert identical(context, verdict, clock)
    for calls in (verdict.calls[1:], (*verdict.calls, stranger), (stranger, *verdict.calls[1:])):
        assert not identical(context, verdict.model_copy(update={"calls": calls}), clock)


def test_content_has_no_ids_times_or_durations_and_the_digest_no_order(scripted, context, clock):
    good = json.dumps({"reasoning": "Up.", "action": "BUY", "confidence": 60})
    contents = []
    for cycle_id in ("one", "other"):
        clock.advance(timedelta(hours=1))
        verdict = ask(scripted(good), context, clock)
        contents.append(
            content(decision_from_verdict(verdict, context, cycle_id=cycle_id, decided_at=clock.now()), verdict)
        )
    other = contents[0] | {"calls": []}

    assert contents[0] == contents[1]
    assert digest([contents[0], other]) == digest([other, contents[1]]) != digest([other])
    assert len(digest([])) == 64
