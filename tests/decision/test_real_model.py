"""The real quantized model on real bars: every answer valid, more than one action, the same again elsewhere and on replay, flat memory.

The same over 200 decisions, with latencies: `python -m benchmarks.model`.
"""

import pytest

from benchmarks.model import child_memory, contexts
from ffe.clock import SystemClock
from ffe.decision.ask import ask
from ffe.decision.odds import action_odds
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.gguf import PACKAGED_SHA256
from ffe.llm.recorded import RecordedModel
from ffe.settings import EmbeddedSettings

# On a busy machine a decision takes several times its 3 s.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DECISIONS = 24
AGAIN = 4
# The prompt cache that is turned off grew by some 14 MB with every prompt; pages that come and go are tenths.
MAX_GROWTH_MB = 8.0


class Recorder:
    """Passes everything on and keeps the completions."""

    def __init__(self, model):
        self._model, self.kept = model, []

    def complete(self, *request):
        self.kept.append(self._model.complete(*request))
        return self.kept[-1]


@pytest.fixture(scope="module")
def cases():
    return contexts(DECISIONS)


@pytest.fixture(scope="module")
def run(cases):
    """Verdicts on all cases, the completions behind them, and the child's memory in MB after each."""
    model = EmbeddedModel(EmbeddedSettings())
    recorder, verdicts, memory = Recorder(model), [], []
    try:
        for case in cases:
            verdicts.append(ask(recorder, case, SystemClock()))
            memory.append(child_memory(model))
    finally:
        model.close()
    return verdicts, recorder.kept, memory


def test_real_bars_get_valid_short_answers_by_the_pinned_model(run):
    verdicts, _, _ = run

    assert [verdict.error for verdict in verdicts] == [None] * DECISIONS
    assert sum(len(verdict.calls) - 1 for verdict in verdicts) <= 1
    assert len({verdict.answer.action for verdict in verdicts}) > 1
    for verdict in verdicts:
        call = verdict.calls[-1]
        assert call.prompt_tokens <= 500
        assert call.completion_tokens < call.sampling.max_tokens
        assert call.identity.digest == PACKAGED_SHA256


def test_every_answer_comes_with_odds_of_its_action_and_timings(run):
    for verdict in run[0]:
        call = verdict.calls[-1]
        assert action_odds(call.raw_text, call.tokens)[verdict.answer.action.value] > 0
        assert len(call.tokens) <= 3
        assert 0 < call.prompt_ms + call.generation_ms <= call.latency_ms


def test_another_process_gives_the_same_text_and_the_same_odds(run, cases):
    verdicts, _, _ = run
    model = EmbeddedModel(EmbeddedSettings())
    try:
        again = [ask(model, case, SystemClock()) for case in cases[:: DECISIONS // AGAIN]]
    finally:
        model.close()

    before = [verdict.calls[-1] for verdict in verdicts[:: DECISIONS // AGAIN]]
    assert [verdict.calls[-1].raw_text for verdict in again] == [call.raw_text for call in before]
    assert [verdict.calls[-1].tokens for verdict in again] == [call.tokens for call in before]


def test_the_childs_memory_stays_flat(run):
    _, _, memory = run

    assert [value for value in memory[2:] if value - memory[1] > MAX_GROWTH_MB] == []


def test_the_recorded_answers_replay_exactly(run, cases):
    verdicts, kept, _ = run
    asked = [call.prompt_sha256 for verdict in verdicts for call in verdict.calls]
    replay = RecordedModel(dict(zip(asked, kept, strict=True)))

    again = [ask(replay, case, SystemClock()) for case in cases]
    assert [verdict.answer for verdict in again] == [verdict.answer for verdict in verdicts]
    assert [verdict.calls[0].raw_text for verdict in again] == [verdict.calls[0].raw_text for verdict in verdicts]
