"""What every language model adapter can do."""

from collections.abc import Sequence
from typing import Protocol

from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling


class LanguageModel(Protocol):
    def identity(self) -> ModelIdentity:
        """Raises ModelUnavailableError when the model is missing or not the one it claims to be."""
        ...

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        """One answer, constrained to `schema` as far as the runtime can; the caller validates it anyway.

        Raises:
            ModelUnavailableError: missing, crashed, out of memory, busy beyond the bounded retries, or late.
        """
        ...

    def health(self) -> ModelHealth: ...

    def close(self) -> None:
        """Ends what the adapter started. Safe to call twice."""
        ...
