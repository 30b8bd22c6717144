"""An answer is exactly one bare JSON object within its limits, or it is refused with the reason."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.answer import Answer, answer_schema, parse_answer
from ffe.decision.models import Action
from ffe.errors import InvalidAnswerError
from ffe.llm.models import Completion, ModelIdentity

GOOD = {"reasoning": "The trend is up.", "action": "BUY", "confidence": 75}
IDENTITY = ModelIdentity(adapter="embedded", model="m", digest="d", runtime="r")


def completion(text: str, finish_reason: str = "stop") -> Completion:
    return Completion(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=1,
        completion_tokens=160,
        latency_ms=1.0,
        identity=IDENTITY,
    )


def parse(value: Any) -> Answer:
    return parse_answer(completion(value if isinstance(value, str) else json.dumps(value)))


def test_a_good_answer_is_parsed_with_white_space_around_it():
    answer = parse("\n " + json.dumps(GOOD, indent=2) + "\n")

    assert answer == Answer(action=Action.BUY, confidence=75, reasoning="The trend is up.")


def test_the_schema_bounds_everything_by_enums_in_the_order_of_the_answer():
    schema = answer_schema()

    assert list(schema["properties"]) == ["reasoning", "action", "confidence"] == schema["required"]
    assert schema["properties"]["action"] == {"type": "string", "enum": ["BUY", "SELL", "HOLD"]}
    assert schema["properties"]["confidence"] == {"type": "integer", "enum": list(range(0, 101, 5))}
    assert schema["properties"]["reasoning"] == {"type": "string", "minLength": 1, "maxLength": 240}
    assert schema["additionalProperties"] is False
    assert "$ref" not in json.dumps(schema)
    jsonschema.Draft202012Validator.check_schema(schema)


@given(st.sampled_from(Action), st.integers(0, 20), st.text(min_size=1, max_size=240))
def test_every_answer_round_trips_and_meets_its_schema(action, steps, reasoning):
    answer = Answer(action=action, confidence=steps * 5, reasoning=reasoning)

    assert parse(answer.model_dump_json()) == answer
    jsonschema.validate(json.loads(answer.model_dump_json()), answer_schema())


@given(st.text())
def test_no_text_does_anything_but_parse_or_be_refused(text):
    refused = None
    try:
        parsed = parse(text)
    except InvalidAnswerError as error:
        refused = str(error)
    assert refused != "" if refused is not None else isinstance(parsed, Answer)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("The next day is not available.", "prose"),
        (f"```json\n{json.dumps(GOOD)}\n```", "fenced"),
        (f"<think>hm</think>{json.dumps(GOOD)}", "thinking tags"),
        (f"{json.dumps(GOOD)}</think>", "thinking tags"),
        (f"{json.dumps(GOOD)} I hope this helps.", "not JSON"),
        (json.dumps(GOOD)[:-9], "not JSON"),
        ("[1]", "prose"),
        ('{"reasoning": "r", "action": "BUY", "confidence": NaN}', "NaN"),
        ('{"reasoning": "r", "action": "BUY", "confidence": Infinity}', "Infinity"),
        ('{"reasoning": "r", "action": "BUY", "action": "SELL", "confidence": 50}', "'action' twice"),
        ("{" * 3, "not JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_not_one_bare_object_is_refused_and_says_why(text, reason):
    with pytest.raises(InvalidAnswerError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"confidence": 105}, "confidence: .*100.*105"),
        ({"confidence": -5}, "confidence: .*0.*-5"),
        ({"confidence": 72}, "confidence: .*multiple of 5.*72"),
        ({"confidence": 75.0}, "confidence: .*integer"),
        ({"confidence": "75"}, "confidence: .*integer"),
        ({"confidence": True}, "confidence: .*integer"),
        ({"action": "buy"}, "action: .*'buy'"),
        ({"action": "SHORT"}, "action: .*SHORT"),
        ({"action": None}, "action: "),
        ({"reasoning": ""}, "reasoning: .*at least 1"),
        ({"reasoning": "x" * 241}, "reasoning: .*240"),
        ({"size": 1}, "size: Extra inputs"),
    ],
)
def test_an_answer_outside_its_limits_is_refused_with_field_and_value(change, reason):
    with pytest.raises(InvalidAnswerError, match=reason):
        parse(GOOD | change)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_an_answer_without_a_field_is_refused_naming_it(missing):
    with pytest.raises(InvalidAnswerError, match=f"{missing}: Field required"):
        parse({name: value for name, value in GOOD.items() if name != missing})


def test_a_cut_off_answer_is_refused_even_when_it_parses():
    with pytest.raises(InvalidAnswerError, match="cut off after 160 tokens"):
        parse_answer(completion(json.dumps(GOOD), "length"))
