"""Recorded answers come back exactly, and nothing else does."""

from datetime import UTC, datetime

import pytest

from ffe.decision.models import ModelCall
from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, Message, ModelIdentity, Sampling, TokenOdds
from ffe.llm.recorded import RecordedModel

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}
IDENTITY = ModelIdentity(adapter="embedded", model="small", digest="d" * 64, runtime="runtime 1", threads=1)
COMPLETION = Completion(
    text="é {}",
    finish_reason="stop",
    prompt_tokens=3,
    completion_tokens=2,
    latency_ms=12.5,
    load_ms=400.0,
    prompt_ms=8.5,
    generation_ms=3.5,
    tokens=(TokenOdds(start=0, text="é", logprob=-0.1, top=(("é", -0.1), ("e", -2.5))),),
    identity=IDENTITY,
)


def call_of(question, completion: Completion | None, **changes) -> ModelCall:
    """What the ledger keeps of asking `question` and getting `completion`."""
    said = dict.fromkeys(("identity", "raw_text", "finish_reason", "prompt_tokens", "completion_tokens"))
    if completion is not None:
        said = completion.model_dump(exclude={"text", "latency_ms"}) | {"raw_text": completion.text}
    values = {
        "id": "c1",
        "prompt_version": "v",
        "prompt_sha256": prompt_sha256(question, SCHEMA, Sampling()),
        "messages": question,
        "answer_schema": SCHEMA,
        "sampling": Sampling(),
        "latency_ms": 12.5,
        "started_at": datetime(2018, 4, 4, tzinfo=UTC),
    }
    return ModelCall(**values | said | changes)


def test_a_recorded_answer_is_replayed_exactly(question):
    model = RecordedModel({prompt_sha256(question, SCHEMA, Sampling()): COMPLETION})

    assert model.complete(question, SCHEMA, Sampling()) == COMPLETION
    assert model.complete(list(question), dict(SCHEMA), Sampling()) == COMPLETION
    assert model.health().ok
    model.close()


@pytest.mark.parametrize(
    ("schema", "sampling", "extra"),
    [
        (SCHEMA, Sampling(seed=8), ()),
        (SCHEMA, Sampling(temperature=0.1), ()),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, Sampling(), ()),
        (SCHEMA, Sampling(), (Message(role="user", content="more"),)),
    ],
)
def test_any_other_request_is_unavailable_and_names_its_hash(question, schema, sampling, extra):
    model = RecordedModel.from_calls([call_of(question, COMPLETION)])
    messages = (*question, *extra)

    with pytest.raises(ModelUnavailableError, match=prompt_sha256(messages, schema, sampling)):
        model.complete(messages, schema, sampling)


def test_a_recorded_call_gives_back_text_tokens_counts_timings_and_the_model_that_spoke(question):
    model = RecordedModel.from_calls([call_of(question, COMPLETION)])

    again = model.complete(question, SCHEMA, Sampling())

    assert again == COMPLETION
    assert again.identity == IDENTITY
    assert model.identity().adapter == "recorded"


def test_the_same_request_made_again_gets_what_it_got_the_second_time(question):
    texts = ["first", "second", "first"]
    calls = [call_of(question, COMPLETION.model_copy(update={"text": text})) for text in texts]
    model = RecordedModel.from_calls(calls)

    assert [model.complete(question, SCHEMA, Sampling()).text for _ in texts] == texts
    with pytest.raises(ModelUnavailableError, match="recorded 3 times and is asked once more"):
        model.complete(question, SCHEMA, Sampling())


def test_a_call_that_failed_fails_again_with_its_reason_in_its_turn(question):
    calls = [call_of(question, None, error="CUDA error: out of memory"), call_of(question, COMPLETION)]
    model = RecordedModel.from_calls(calls)

    with pytest.raises(ModelUnavailableError, match=r"^CUDA error: out of memory$"):
        model.complete(question, SCHEMA, Sampling())
    assert model.complete(question, SCHEMA, Sampling()) == COMPLETION
    assert model.identity().model == "small"


@pytest.mark.parametrize("changes", [{}, {"raw_text": "{}"}])
def test_a_call_without_answer_reason_or_model_is_still_no_answer(question, changes):
    model = RecordedModel.from_calls([call_of(question, None, **changes)])

    with pytest.raises(ModelUnavailableError, match="no reason recorded"):
        model.complete(question, SCHEMA, Sampling())
    assert model.identity().model == "no answers"


def test_what_an_old_record_does_not_know_is_not_made_up(question):
    bare = {"finish_reason": None, "prompt_tokens": None, "completion_tokens": None}
    model = RecordedModel.from_calls([call_of(question, COMPLETION, **bare)])

    again = model.complete(question, SCHEMA, Sampling())

    assert (again.text, again.finish_reason, again.prompt_tokens, again.completion_tokens) == ("é {}", "", 0, 0)


def test_the_identity_of_a_recording_changes_with_its_answers(question):
    one, other = RecordedModel({"k": COMPLETION}), RecordedModel({"k": COMPLETION.model_copy(update={"text": "{}"})})
    twice = RecordedModel.from_calls([call_of(question, COMPLETION), call_of(question, COMPLETION)])

    assert one.identity().adapter == "recorded"
    assert one.identity().model == "small"
    assert one.identity().digest != other.identity().digest
    assert twice.identity().runtime == "recorded calls: 2"


@pytest.mark.parametrize("model", [RecordedModel({}), RecordedModel.from_calls([])])
def test_an_empty_recording_is_no_model(model, question):
    assert not model.health().ok
    with pytest.raises(ModelUnavailableError, match="empty"):
        model.identity()
    with pytest.raises(ModelUnavailableError, match="0 are recorded"):
        model.complete(question, SCHEMA, Sampling())
