"""A language model whose mind is the digest of its question: it wants something often, falls silent now and then, and never changes its mind."""

import hashlib
import json
from collections.abc import Sequence

from ffe.errors import ModelUnavailableError
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling

IDENTITY = ModelIdentity(adapter="recorded", model="digest of the question", digest="0" * 64, runtime="test")


class DigestModel:
    """Of 256 questions about 90 are answered BUY, 90 SELL, 56 HOLD; the others get no reply, no JSON or an impossible confidence."""

    def __init__(self) -> None:
        self.asked = 0

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        del schema, sampling
        self.asked += 1
        first, second = hashlib.sha256(messages[-1].content.encode()).digest()[:2]
        if first >= 250:
            raise ModelUnavailableError("no reply")
        return Completion(
            text=_text(first, second),
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            latency_ms=1.0,
            identity=IDENTITY,
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="scripted")

    def close(self) -> None:
        """Nothing to end."""


def _text(first: int, second: int) -> str:
    if first >= 243:
        return "I would rather not say."
    action = "BUY" if first < 90 else "SELL" if first < 180 else "HOLD"
    confidence = 1000 if first >= 236 else 60 + 5 * (second % 9)
    return json.dumps({"reasoning": "so says the digest", "action": action, "confidence": confidence})
