"""Recorded answers come back exactly, and nothing else does."""

import pytest

from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, Message, ModelIdentity, Sampling
from ffe.llm.recorded import RecordedModel

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}
IDENTITY = ModelIdentity(adapter="embedded", model="small", digest="d" * 64, runtime="runtime 1", threads=1)
COMPLETION = Completion(
    text="é {}", finish_reason="stop", prompt_tokens=3, completion_tokens=2, latency_ms=12.5, identity=IDENTITY
)


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
    model = RecordedModel({prompt_sha256(question, SCHEMA, Sampling()): COMPLETION})
    messages = (*question, *extra)

    with pytest.raises(ModelUnavailableError, match=prompt_sha256(messages, schema, sampling)):
        model.complete(messages, schema, sampling)


def test_the_identity_of_a_recording_changes_with_its_answers():
    one, other = RecordedModel({"k": COMPLETION}), RecordedModel({"k": COMPLETION.model_copy(update={"text": "{}"})})

    assert one.identity().adapter == "recorded"
    assert one.identity().model == "small"
    assert one.identity().digest != other.identity().digest


def test_an_empty_recording_is_no_model():
    model = RecordedModel({})

    assert not model.health().ok
    with pytest.raises(ModelUnavailableError, match="empty"):
        model.identity()
