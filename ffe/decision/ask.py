"""Asking the model: one try, one repair try with what was wrong, then nothing. Never a guess in the model's name."""

import hashlib
import json
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ffe.clock import Clock
from ffe.decision.answer import Answer, answer_schema, parse_answer
from ffe.decision.models import Context, ModelCall
from ffe.decision.odds import action_tokens
from ffe.decision.prompt import PROMPT_VERSION, build_messages, repair_messages
from ffe.decision.verdict import Verdict
from ffe.errors import InvalidAnswerError, ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, Message, Sampling
from ffe.llm.protocol import LanguageModel
from ffe.observe.masking import masked

ATTEMPTS = 2
MEMBER = "model"
# Why a member may not be asked any more; None while it may.
Barred = Callable[[str], str | None]
CHAIN_MOST = 20_000


def ask(
    model: LanguageModel,
    context: Context,
    clock: Clock,
    sampling: Sampling | None = None,
    *,
    messages: Sequence[Message] | None = None,
    member: str = MEMBER,
    barred: Barred | None = None,
) -> Verdict:
    """Verdict on `context`, every call recorded. An invalid answer is asked for once more; an unavailable model is not:
    its adapter has already retried what can be retried. Raises nothing for either.

    `messages` puts another question than the usual one about the same context, `member` says in whose name. `barred` says why nothing
    may be asked any more, or None: it is asked before the repair try.
    """
    options = Sampling() if sampling is None else sampling
    asked = build_messages(context) if messages is None else tuple(messages)
    calls: list[ModelCall] = []
    for _ in range(ATTEMPTS):
        call, answer = _call(model, asked, clock, options, member)
        calls.append(call)
        if answer is not None or call.raw_text is None or call.error is None:
            return Verdict(calls=tuple(calls), answer=answer, error=call.error)
        if barred is not None and barred(member) is not None:
            break
        asked = repair_messages(asked, call.raw_text, call.error)
    return Verdict(calls=tuple(calls), answer=None, error=calls[-1].error)


def _call(
    model: LanguageModel, messages: Sequence[Message], clock: Clock, sampling: Sampling, member: str
) -> tuple[ModelCall, Answer | None]:
    started_at, started = clock.now(), time.perf_counter()
    completion: Completion | None = None
    answer, error, chain = None, None, None
    schema = answer_schema()
    try:
        completion = model.complete(messages, schema, sampling)
        answer = parse_answer(completion)
    except (ModelUnavailableError, InvalidAnswerError) as failure:
        error, chain = masked(str(failure)), masked("".join(traceback.format_exception(failure)), most=CHAIN_MOST)
    fingerprint = prompt_sha256(messages, schema, sampling)
    call = ModelCall(
        id=uuid.uuid4().hex,
        prompt_version=PROMPT_VERSION,
        prompt_sha256=fingerprint,
        messages=tuple(messages),
        answer_schema=schema,
        sampling=sampling,
        latency_ms=(time.perf_counter() - started) * 1000,
        started_at=started_at,
        error=error,
        chain=chain,
        content_sha256=content_sha256(fingerprint, completion),
        member=member,
        **_said(completion),
    )
    return call, answer


def _said(completion: Completion | None) -> dict[str, Any]:
    """What a call keeps of its completion, or that there was none."""
    kept = ("finish_reason", "prompt_tokens", "completion_tokens", "identity")
    if completion is None:
        return dict.fromkeys((*kept, "raw_text"))
    return {name: getattr(completion, name) for name in (*kept, "load_ms", "prompt_ms", "generation_ms")} | {
        "raw_text": completion.text,
        "tokens": action_tokens(completion),
    }


def content_sha256(fingerprint: str, completion: Completion | None) -> str:
    """Hex sha256 over the request's fingerprint and everything that is kept of the answer and is not a time: equal content, equal digest."""
    said = None
    if completion is not None:
        said = [
            completion.text,
            completion.finish_reason,
            completion.prompt_tokens,
            completion.completion_tokens,
            completion.identity.model_dump(mode="json"),
            [token.model_dump(mode="json") for token in action_tokens(completion)],
        ]
    return hashlib.sha256(json.dumps([fingerprint, said], ensure_ascii=False).encode()).hexdigest()
