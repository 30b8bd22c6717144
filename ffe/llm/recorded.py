"""`RecordedModel`: replays stored completions exactly. A request that was never recorded is refused, never guessed."""

import hashlib
from collections.abc import Mapping, Sequence

from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling


class RecordedModel:
    """`calls` maps the sha256 of a request to the completion that it had. Token counts and latency are the recorded ones."""

    def __init__(self, calls: Mapping[str, Completion]) -> None:
        self._calls = dict(calls)

    def identity(self) -> ModelIdentity:
        """The digest is over all recorded requests and answers: another recording is another model."""
        if not self._calls:
            raise ModelUnavailableError("the recording is empty")
        lines = sorted(f"{key} {call.text}" for key, call in self._calls.items())
        models = sorted({call.identity.model for call in self._calls.values()})
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return ModelIdentity(
            adapter="recorded",
            model=", ".join(models),
            digest=digest,
            runtime=f"recorded calls: {len(lines)}",
            device="none",
        )

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        key = prompt_sha256(messages, schema, sampling)
        if key not in self._calls:
            raise ModelUnavailableError(f"no recorded answer for request sha256 {key}; {len(self._calls)} are recorded")
        return self._calls[key]

    def health(self) -> ModelHealth:
        return ModelHealth(ok=bool(self._calls), detail=f"{len(self._calls)} recorded answers")

    def close(self) -> None:
        """Nothing to end."""
