"""The real quantized model on real bars: every answer valid, more than one action, and the same again on replay."""

import pytest

from ffe.decision.ask import ask
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.gguf import PACKAGED_SHA256
from ffe.llm.recorded import RecordedModel
from ffe.settings import EmbeddedSettings

pytestmark = pytest.mark.slow


class Recorder:
    """Passes everything on and keeps the completions."""

    def __init__(self, model: EmbeddedModel) -> None:
        self._model, self.kept = model, []

    def complete(self, *request):
        self.kept.append(self._model.complete(*request))
        return self.kept[-1]


@pytest.fixture(scope="module")
def recorder():
    model = EmbeddedModel(EmbeddedSettings())
    model.start()
    yield Recorder(model)
    model.close()


def test_real_bars_get_valid_short_answers_by_the_pinned_model_and_replay_exactly(recorder, contexts, clock):
    verdicts = [ask(recorder, context, clock) for context in contexts[::2]]

    assert [verdict.error for verdict in verdicts] == [None] * len(verdicts)
    assert all(len(verdict.calls) == 1 for verdict in verdicts)
    assert len({verdict.answer.action for verdict in verdicts}) > 1
    for verdict in verdicts:
        call = verdict.calls[0]
        assert call.prompt_tokens <= 500
        assert call.completion_tokens < call.sampling.max_tokens
        assert call.identity.digest == PACKAGED_SHA256

    replay = RecordedModel(
        {verdict.calls[0].prompt_sha256: kept for verdict, kept in zip(verdicts, recorder.kept, strict=True)}
    )
    again = [ask(replay, context, clock) for context in contexts[::2]]
    assert [verdict.answer for verdict in again] == [verdict.answer for verdict in verdicts]
    assert [verdict.calls[0].raw_text for verdict in again] == [verdict.calls[0].raw_text for verdict in verdicts]
