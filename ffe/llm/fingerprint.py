"""sha256 of a whole request to a model: what a recorded answer is found by, and what `explain` shows."""

import hashlib
import json
from collections.abc import Sequence

from ffe.llm.models import JsonSchema, Message, Sampling


def prompt_sha256(messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> str:
    """Hex sha256 over messages, schema and sampling as canonical JSON: everything on our side that changes the answer.

    The order of the schema's keys is kept: it decides the order in which the model writes its answer.
    """
    request = [[message.model_dump() for message in messages], schema, sampling.model_dump()]
    text = json.dumps(request, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
