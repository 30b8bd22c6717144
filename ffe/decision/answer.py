"""The answer that a model must give: its JSON schema for the grammar, and the validation that does not trust the grammar.

Enums and integers only: bounds on numbers are not enforced by every runtime, an enum is. The reasoning comes first: on real
bars the small model that answers with the action first repeats one action whatever it is shown, while a short reasoning first leads it to
the action that follows from it; its length is bounded so that the rest still fits.

Two wrappings are taken off, because where they begin and end is beyond doubt: one complete leading `<think>` block, and one code fence
around the whole object. Everything else (cut-off text, prose, tags elsewhere) is refused: an answer that has to be repaired by
guessing is not the model's answer.
"""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ffe.decision.models import Action
from ffe.errors import InvalidAnswerError
from ffe.llm.models import Completion, JsonSchema

CONFIDENCE_STEP = 5
REASONING_MAX = 240
THINK, THINK_END = "<think>", "</think>"
FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*)\r?\n[ \t]*```", re.DOTALL)
# Tab and line ends are text; the others move a terminal's cursor, and a NUL is refused by PostgreSQL.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _action(value: Any) -> Any:
    return Action(value) if isinstance(value, str) and value in set(Action) else value


def _printable(text: str) -> str:
    if CONTROL.search(text) is not None:
        raise ValueError("holds a control character")
    return text


class Answer(BaseModel):
    """One opinion. `confidence` is a multiple of 5 from 0 to 100."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reasoning: Annotated[str, AfterValidator(_printable)] = Field(min_length=1, max_length=REASONING_MAX)
    action: Annotated[Action, BeforeValidator(_action)]
    confidence: int = Field(ge=0, le=100, multiple_of=CONFIDENCE_STEP)


def answer_schema() -> JsonSchema:
    """Schema of `Answer` in the subset that llama.cpp and Ollama enforce: no references, bounds as enums, keys in their order."""
    source = Answer.model_json_schema()
    properties: dict[str, Any] = {}
    for name, field in source["properties"].items():
        if "$ref" in field:
            properties[name] = {"type": "string", "enum": [action.value for action in Action]}
        elif field["type"] == "integer":
            steps = range(field["minimum"], field["maximum"] + 1, field["multipleOf"])
            properties[name] = {"type": "integer", "enum": list(steps)}
        else:
            properties[name] = {"type": "string", "minLength": field["minLength"], "maxLength": field["maxLength"]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(source["required"]),
        "additionalProperties": False,
    }


def parse_answer(completion: Completion) -> Answer:
    """The validated answer.

    Raises:
        InvalidAnswerError: cut off, not one JSON object, or outside the limits; says which and shows the start of the text.
    """
    if completion.finish_reason == "length":
        raise InvalidAnswerError(f"the answer was cut off after {completion.completion_tokens} tokens")
    return answer_in(completion.text)


def answer_in(text: str) -> Answer:
    """The validated answer of a text that was not cut off. Raises InvalidAnswerError as `parse_answer`."""
    start, end = object_span(text)
    value = _object(text[start:end])
    try:
        return Answer.model_validate(value)
    except ValidationError as error:
        raise InvalidAnswerError(_problems(error)) from error


def object_span(text: str) -> tuple[int, int]:
    """First character of the answer's object in `text` and the one past its last, without white space, thinking block and fence.

    Raises:
        InvalidAnswerError: empty, prose, or wrapped in anything else. That what is left is JSON is not checked here.
    """
    span = _after_thinking(text, _stripped(text, 0, len(text)))
    fence = FENCE.fullmatch(text, *span)
    if fence is not None:
        span = _stripped(text, *fence.span(1))
    _refuse_wrapping(text[slice(*span)])
    return span


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())


def _after_thinking(text: str, span: tuple[int, int]) -> tuple[int, int]:
    start, end = span
    if not text.startswith(THINK, start, end):
        return span
    close = text.find(THINK_END, start, end)
    if close < 0:
        raise InvalidAnswerError("the answer opens a thinking block and never closes it")
    return _stripped(text, close + len(THINK_END), end)


def _refuse_wrapping(text: str) -> None:
    if not text:
        raise InvalidAnswerError("the answer is empty")
    if "<think" in text or "</think" in text:
        raise InvalidAnswerError("the answer carries thinking tags beside one leading block")
    if text.startswith("```"):
        raise InvalidAnswerError("the answer is not one object in one code fence")
    if text.startswith("\ufeff"):
        raise InvalidAnswerError("the answer begins with a byte order mark")
    if not text.startswith("{"):
        raise InvalidAnswerError(f"the answer is prose, not a JSON object: {text[:80]!r}")


def _object(text: str) -> Any:
    """What `text`, which begins with a brace, says in JSON, without the liberties that Python's reader takes."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise InvalidAnswerError(
            f"the answer is not JSON ({error.msg} at character {error.pos}): {text[:80]!r}"
        ) from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise InvalidAnswerError(f"the answer has a number too long to read: {text[:80]!r}") from error
    except RecursionError as error:
        raise InvalidAnswerError("the answer is nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise InvalidAnswerError(f"the answer contains {name}, which is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidAnswerError(f"the answer names {name[:40]!r} twice")
    return dict(pairs)


def _problems(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])[:40]
        parts.append(f"{where}: {item['msg']}, got {str(item['input'])[:60]!r}")
    return "the answer breaks its schema: " + "; ".join(parts[:4])
