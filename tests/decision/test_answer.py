"""An answer is exactly one JSON object within its limits, bare or wrapped beyond doubt, or it is refused with the reason."""

import json
import unicodedata
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.answer import Answer, answer_schema, object_span, parse_answer
from ffe.decision.models import Action
from ffe.errors import InvalidAnswerError
from ffe.llm.models import Completion, ModelIdentity

GOOD = {"reasoning": "The trend is up.", "action": "BUY", "confidence": 75}
BARE = json.dumps(GOOD)
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


PRINTABLE = st.characters(exclude_categories=("Cc", "Cs"))


@given(
    st.sampled_from(Action),
    st.integers(0, 20),
    st.text(PRINTABLE | st.sampled_from("\t\r\n"), min_size=1, max_size=240),
)
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
        (" \n\t", "empty"),
        ("The next day is not available.", "prose"),
        (f"{BARE} I hope this helps.", "not JSON"),
        (f"Here it is: {BARE}", "prose"),
        (BARE[:-9], "not JSON"),
        (BARE + BARE, "not JSON"),
        (f"{BARE}\n{BARE}", "not JSON"),
        (f"[{BARE}]", "prose"),
        (json.dumps(BARE), "prose"),
        (f"\ufeff{BARE}", "byte order mark"),
        (f"\u200b{BARE}", "prose"),
        (BARE.replace('"', "'"), "not JSON"),
        (BARE[:-1] + ",}", "not JSON"),
        (BARE.replace("{", "{/* c */", 1), "not JSON"),
        (f'{{"reasoning": "r", "action": "BUY", "confidence": {"9" * 5000}}}', "number too long"),
        ('{"reasoning": "a\nb", "action": "BUY", "confidence": 75}', "not JSON"),
        ("[1]", "prose"),
        ('{"reasoning": "r", "action": "BUY", "confidence": NaN}', "NaN"),
        ('{"reasoning": "r", "action": "BUY", "confidence": Infinity}', "Infinity"),
        ('{"reasoning": "r", "action": "BUY", "action": "SELL", "confidence": 50}', "'action' twice"),
        ("{" * 3, "not JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_not_one_object_is_refused_and_says_why(text, reason):
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
        ({"confidence": 10**4000}, "confidence: .*100.*1000"),
        ({"confidence": 1e308 * 10}, "Infinity"),
        ({"confidence": [75]}, "confidence: .*integer"),
        ({"action": GOOD}, "action: "),
        ({"answer": GOOD}, "answer: Extra inputs"),
        ({"reasoning": "a\x00b"}, "reasoning: .*control character"),
        ({"reasoning": "\x1b[2J"}, "reasoning: .*control character"),
        ({"reasoning": "\ud800"}, "reasoning: .*unicode"),
    ],
)
def test_an_answer_outside_its_limits_is_refused_with_field_and_value(change, reason):
    with pytest.raises(InvalidAnswerError, match=reason):
        parse(GOOD | change)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_an_answer_without_a_field_is_refused_naming_it(missing):
    with pytest.raises(InvalidAnswerError, match=f"{missing}: Field required"):
        parse({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Up or down? Up.</think>{BARE}",
        f" <think>\nUp,\n{{not this}}\n</think>\n\n{BARE}\n",
        f"<think></think>{BARE}",
        f"```json\n{BARE}\n```",
        f"```JSON\n{BARE}\n```",
        f"```\r\n{json.dumps(GOOD, indent=2)}\r\n```\n",
        f"<think>hm</think>\n```json\n{BARE}\n```",
    ],
)
def test_a_leading_thinking_block_and_a_fence_around_the_whole_are_taken_off(text):
    assert parse(text) == Answer(action=Action.BUY, confidence=75, reasoning="The trend is up.")
    start, end = object_span(text)
    assert json.loads(text[start:end]) == GOOD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<think>hm {BARE}", "never closes"),
        ("<think>", "never closes"),
        ("<think>hm</think>", "empty"),
        (f"{BARE}</think>", "thinking tags"),
        (f"{BARE}<think>hm</think>", "thinking tags"),
        (f"<think>a</think><think>b</think>{BARE}", "thinking tags"),
        (f"<think>a<think>b</think>c</think>{BARE}", "thinking tags"),
        (f"<thinking>hm</thinking>{BARE}", "thinking tags"),
        (f"<THINK>hm</THINK>{BARE}", "prose"),
        (f"hm</think>{BARE}", "thinking tags"),
        (f"<think>hm</think> So: {BARE}", "prose"),
        (BARE.replace("up", "<think>up</think>"), "thinking tags"),
        (f"```json\n{BARE}", "fence"),
        (f"```json\n{BARE}\n``` I hope this helps.", "fence"),
        (f"Here:\n```json\n{BARE}\n```", "prose"),
        (f"```json {BARE} ```", "fence"),
        (f"```python\n{BARE}\n```", "fence"),
        (f"```\n{BARE}\n```\n```\n{BARE}\n```", "not JSON"),
        (f"```\nThe answer: {BARE}\n```", "prose"),
        (f"```\n```\n{BARE}\n```\n```", "fence"),
        ("```\n\n```", "empty"),
        (f"~~~\n{BARE}\n~~~", "prose"),
    ],
)
def test_any_other_wrapping_is_refused_and_says_why(text, reason):
    with pytest.raises(InvalidAnswerError, match=reason):
        parse(text)


@given(st.text(), st.sampled_from(["", "```", "```json\n", "<think>", "</think>", "\n```", "{", "}"]))
def test_what_is_inside_a_thinking_block_changes_nothing(inside, more):
    thought = (inside + more).replace("</think>", "")

    assert parse(f"<think>{thought}</think>{BARE}").action is Action.BUY


CONTROLS = [chr(code) for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\t\n\r"]


@pytest.mark.parametrize("character", CONTROLS)
def test_a_reasoning_has_no_control_characters(character):
    with pytest.raises(InvalidAnswerError, match="control character"):
        parse(GOOD | {"reasoning": f"a{character}b"})


def test_a_reasoning_may_have_tabs_and_line_ends():
    assert parse(GOOD | {"reasoning": "a\tb\r\nc"}).reasoning == "a\tb\r\nc"


def test_a_cut_off_answer_is_refused_even_when_it_parses():
    with pytest.raises(InvalidAnswerError, match="cut off after 160 tokens"):
        parse_answer(completion(json.dumps(GOOD), "length"))
