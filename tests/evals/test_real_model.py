"""The packaged model on one case: what the runtime tells is there, and the same question gets the same answer."""

import pytest

from ffe.evals.metrics import measure
from ffe.evals.models import Question
from ffe.llm.embedded import EmbeddedModel
from ffe.settings import EmbeddedSettings


@pytest.mark.slow
def test_the_real_model_gives_valid_steady_answers_with_odds_and_timings(examine, cases) -> None:
    model = EmbeddedModel(EmbeddedSettings())
    try:
        results = examine(model, cases=cases.model_copy(update={"cases": cases.cases[:1]}))
    finally:
        model.close()

    found = measure(results)
    assert (found["schema_valid_first"], found["flip_rate"]) == (1, 0)
    for trial in results.of(Question.PLAIN):
        assert 0 < trial.token < 1
        assert trial.calls[0].prompt_ms > 0
        assert trial.calls[0].generation_ms > 0
    first, second = (results.of(Question.PLAIN, turn) for turn in (0, 1))
    assert [trial.calls[0].raw_text for trial in first] == [trial.calls[0].raw_text for trial in second]
