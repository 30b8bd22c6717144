"""`RecordedModel`: replays stored completions exactly. A request that was never recorded is refused, never guessed.

What it answers with is the recorded completion as it was, the identity of the model that gave it included: a decision made from it
is the same decision. `identity()` is that of the recording as a whole.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from ffe.decision.models import ModelCall
from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling


class RecordedModel:
    """`calls` maps the sha256 of a request to the completion that it had, however often it is asked for."""

    def __init__(self, calls: Mapping[str, Completion]) -> None:
        self._calls: dict[str, list[Completion | str]] = {key: [completion] for key, completion in calls.items()}
        self._asked: dict[str, int] | None = None

    @classmethod
    def from_calls(cls, calls: Iterable[ModelCall]) -> Self:
        """Plays calls back as often as they were made: the k-th time a request is asked, it gets what it got the k-th time.

        A call that had no answer is unavailable again, with the recorded reason. Calls are in the order in which they were made.
        """
        model = cls({})
        for call in calls:
            model._calls.setdefault(call.prompt_sha256, []).append(_outcome(call))
        model._asked = {}
        return model

    def identity(self) -> ModelIdentity:
        """The digest is over all recorded requests and answers: another recording is another model."""
        recorded = [(key, outcome) for key, outcomes in self._calls.items() for outcome in outcomes]
        if not recorded:
            raise ModelUnavailableError("the recording is empty")
        lines = sorted(f"{key} {outcome if isinstance(outcome, str) else outcome.text}" for key, outcome in recorded)
        models = sorted({outcome.identity.model for _, outcome in recorded if not isinstance(outcome, str)})
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return ModelIdentity(
            adapter="recorded",
            model=", ".join(models) or "no answers",
            digest=digest,
            runtime=f"recorded calls: {len(lines)}",
            device="none",
        )

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        """The recorded completion.

        Raises:
            ModelUnavailableError: never recorded, asked more often than it was recorded, or recorded as unavailable.
        """
        key = prompt_sha256(messages, schema, sampling)
        outcomes = self._calls.get(key)
        if outcomes is None:
            raise ModelUnavailableError(f"no recorded answer for request sha256 {key}; {len(self._calls)} are recorded")
        outcome = outcomes[self._turn(key, len(outcomes))]
        if isinstance(outcome, str):
            raise ModelUnavailableError(outcome)
        return outcome

    def _turn(self, key: str, recorded: int) -> int:
        if self._asked is None:
            return 0
        turn = self._asked.get(key, 0)
        if turn >= recorded:
            raise ModelUnavailableError(f"request sha256 {key} was recorded {recorded} times and is asked once more")
        self._asked[key] = turn + 1
        return turn

    def health(self) -> ModelHealth:
        return ModelHealth(ok=bool(self._calls), detail=f"{len(self._calls)} recorded answers")

    def close(self) -> None:
        """Nothing to end."""


def _outcome(call: ModelCall) -> Completion | str:
    """What the call came back with: its completion, or why there was none."""
    if call.raw_text is None or call.identity is None:
        return "no reason recorded" if call.error is None else call.error
    return Completion(
        text=call.raw_text,
        finish_reason="" if call.finish_reason is None else call.finish_reason,
        prompt_tokens=0 if call.prompt_tokens is None else call.prompt_tokens,
        completion_tokens=0 if call.completion_tokens is None else call.completion_tokens,
        latency_ms=call.latency_ms,
        load_ms=call.load_ms,
        prompt_ms=call.prompt_ms,
        generation_ms=call.generation_ms,
        tokens=call.tokens,
        identity=call.identity,
    )
