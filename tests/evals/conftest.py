"""Cases of real bars, and models that each have one fault."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from ffe.clock import FixedClock
from ffe.errors import ModelUnavailableError
from ffe.evals.cases import load_cases
from ffe.evals.models import CaseSet, Results
from ffe.evals.run import run
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling, TokenOdds

IDENTITY = ModelIdentity(adapter="embedded", model="script-1B.Q4_0", digest="d" * 64, runtime="script 1", threads=1)
Say = Callable[[str, Sampling, int], str]


def answer(action: str, confidence: int = 75) -> str:
    return json.dumps({"reasoning": "so it is.", "action": action, "confidence": confidence})


class Scripted:
    """Says what `say` makes of the last message, the sampling and the number of the call (from 0), in `milliseconds` if it has any."""

    def __init__(
        self,
        say: Say,
        *,
        milliseconds: tuple[float, float] | None = None,
        odds: float | None = None,
        digests: Callable[[int], str] = lambda call: "d" * 64,
    ) -> None:
        self.say, self.milliseconds, self.odds, self.digests, self.calls = say, milliseconds, odds, digests, 0

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        text = self.say(messages[-1].content, sampling, self.calls)
        took = (None, None) if self.milliseconds is None else self.milliseconds
        digest = self.digests(self.calls)
        self.calls += 1
        return Completion(
            text=text,
            finish_reason="stop",
            prompt_tokens=400,
            completion_tokens=50,
            latency_ms=1.0,
            prompt_ms=took[0],
            generation_ms=took[1],
            tokens=self._tokens(text),
            identity=IDENTITY.model_copy(update={"digest": digest}),
        )

    def _tokens(self, text: str) -> tuple[TokenOdds, ...]:
        """The action as one token that was as likely as `odds`, a stranger having the rest."""

        start = text.find('"action": "') + len('"action": "')
        if self.odds is None or start < len('"action": "'):
            return ()
        word = text[start:].split('"', maxsplit=1)[0]
        others = [each for each in ("BUY", "SELL", "HOLD") if each != word]
        rest = (1 - self.odds) / 2
        top = ((word, math.log(self.odds)), *((each, math.log(rest)) for each in others))
        return (TokenOdds(start=start, text=word, logprob=math.log(self.odds), top=top),)

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="scripted")

    def close(self) -> None:
        """Nothing to end."""


class Absent(Scripted):
    """Answers `good` times, then its server is gone."""

    def __init__(self, good: int = 0, *, known: bool = True) -> None:
        super().__init__(lambda *_: answer("BUY"))
        self.good, self.known = good, known

    def identity(self) -> ModelIdentity:
        if not self.known:
            raise ModelUnavailableError("connection refused")
        return IDENTITY

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        if self.calls >= self.good:
            raise ModelUnavailableError("connection refused")
        return super().complete(messages, schema, sampling)


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def absent() -> type[Absent]:
    return Absent


@pytest.fixture
def say() -> Callable[..., str]:
    return answer


@pytest.fixture(scope="session")
def cases() -> CaseSet:
    return load_cases(4)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
def examine(cases: CaseSet, clock: FixedClock) -> Callable[..., Results]:
    """Runs an evaluation of four cases in two turns, unless told otherwise."""

    def examined(model: Scripted, **changed: object) -> Results:
        return run(model, **({"cases": cases, "clock": clock, "repeats": 2} | changed))

    return examined
