"""Asking the model: one try, one repair try with what was wrong, then nothing. Never a guess in the model's name."""

import time
import uuid
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ffe.clock import Clock
from ffe.decision.answer import Answer, answer_schema, parse_answer
from ffe.decision.models import Context, ModelCall
from ffe.decision.prompt import PROMPT_VERSION, build_messages, repair_messages
from ffe.errors import InvalidAnswerError, ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, Message, Sampling
from ffe.llm.protocol import LanguageModel

ATTEMPTS = 2


class Verdict(BaseModel):
    """What came of asking. `answer` None means that nobody decided: the caller holds, by `fallback`, and says `error`."""

    model_config = ConfigDict(frozen=True)

    calls: tuple[ModelCall, ...]
    answer: Answer | None
    error: str | None


def ask(model: LanguageModel, context: Context, clock: Clock, sampling: Sampling | None = None) -> Verdict:
    """Verdict on `context`, every call recorded. An invalid answer is asked for once more; an unavailable model is not:
    its adapter has already retried what can be retried. Raises nothing for either."""
    options = Sampling() if sampling is None else sampling
    messages = build_messages(context)
    calls: list[ModelCall] = []
    for _ in range(ATTEMPTS):
        call, answer = _call(model, messages, clock, options)
        calls.append(call)
        if answer is not None or call.raw_text is None or call.error is None:
            return Verdict(calls=tuple(calls), answer=answer, error=call.error)
        messages = repair_messages(messages, call.raw_text, call.error)
    return Verdict(calls=tuple(calls), answer=None, error=calls[-1].error)


def _call(
    model: LanguageModel, messages: Sequence[Message], clock: Clock, sampling: Sampling
) -> tuple[ModelCall, Answer | None]:
    started_at, started = clock.now(), time.perf_counter()
    completion: Completion | None = None
    answer, error = None, None
    schema = answer_schema()
    try:
        completion = model.complete(messages, schema, sampling)
        answer = parse_answer(completion)
    except (ModelUnavailableError, InvalidAnswerError) as failure:
        error = str(failure)
    call = ModelCall(
        id=uuid.uuid4().hex,
        prompt_version=PROMPT_VERSION,
        prompt_sha256=prompt_sha256(messages, schema, sampling),
        messages=tuple(messages),
        answer_schema=schema,
        sampling=sampling,
        identity=None if completion is None else completion.identity,
        raw_text=None if completion is None else completion.text,
        finish_reason=None if completion is None else completion.finish_reason,
        prompt_tokens=None if completion is None else completion.prompt_tokens,
        completion_tokens=None if completion is None else completion.completion_tokens,
        latency_ms=(time.perf_counter() - started) * 1000,
        started_at=started_at,
        error=error,
    )
    return call, answer


def verdict_of(calls: Sequence[ModelCall]) -> Verdict:
    """The verdict that recorded calls amount to, oldest first; at least one. The last one's answer is validated again."""
    last = calls[-1]
    answer = None
    if last.error is None and last.identity is not None:
        answer = parse_answer(
            Completion(
                text=last.raw_text or "",
                finish_reason=last.finish_reason or "",
                prompt_tokens=last.prompt_tokens or 0,
                completion_tokens=last.completion_tokens or 0,
                latency_ms=last.latency_ms,
                identity=last.identity,
            )
        )
    return Verdict(calls=tuple(calls), answer=answer, error=last.error)
