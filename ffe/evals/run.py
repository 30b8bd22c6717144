"""Asking a model every case: the plain question several times, the probes once, a few at a temperature.

The turns are the outer loop: between two askings of a case stand all the others, as in a real day, so that a server's prompt cache is
in another state each time. A model that is not there, or becomes another one half way, ends the evaluation: half an examination
has no marks.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ffe.clock import Clock
from ffe.decision.ask import ask
from ffe.decision.models import Context, ModelCall
from ffe.decision.odds import action_odds
from ffe.decision.prompt import PROMPT_VERSION, build_messages
from ffe.decision.verdict import Verdict
from ffe.errors import ModelUnavailableError
from ffe.evals.models import CallFacts, Case, CaseSet, Question, Results, Trial
from ffe.evals.probes import PROBES
from ffe.llm.models import Message, ModelIdentity, Sampling
from ffe.llm.protocol import LanguageModel

TEMPERATURE = 0.7
SEEDS = (101, 102)
SAMPLED_CASES = 10

Ask = Callable[[Context], Sequence[Message]]
Told = Callable[[str, int, int], None]


class _Step(NamedTuple):
    """One question that is to be put. Without messages it is the plain one again, and its answer is that one's."""

    case: Case
    question: Question
    turn: int
    messages: tuple[Message, ...] | None
    sampling: Sampling


def run(
    model: LanguageModel,
    cases: CaseSet,
    clock: Clock,
    *,
    repeats: int,
    question: Ask = build_messages,
    told: Told | None = None,
) -> Results:
    """Every trial of an evaluation. `question` makes the messages of a context; `told` hears what is asked, its number and how many there are.

    Raises:
        ModelUnavailableError: the model is not there, stopped answering, or its digest changed on the way.
    """
    identity = model.identity()
    steps = list(_steps(cases.cases, repeats, question))
    asked = sum(step.messages is not None for step in steps)
    trials: list[Trial] = []
    plain: dict[str, Trial] = {}
    number = 0
    for step in steps:
        if step.messages is None:
            trials.append(plain[step.case.id].model_copy(update={"question": step.question, "turn": 0, "calls": ()}))
            continue
        number += 1
        if told is not None:
            told(f"{step.question.value} {step.case.id}", number, asked)
        trials.append(_trial(step, _put(model, step, clock, identity)))
        plain.setdefault(step.case.id, trials[-1])
    return Results(
        identity=identity,
        prompt_version=PROMPT_VERSION,
        cases=cases.cases,
        cases_sha256=cases.sha256,
        repeats=repeats,
        trials=tuple(trials),
    )


def _steps(cases: Sequence[Case], repeats: int, question: Ask) -> Iterator[_Step]:
    """A probe that does not reach the prompt is not put: the same prompt asked again would measure the flip rate once more."""
    messages = {case.id: tuple(question(case.context)) for case in cases}
    for turn in range(repeats):
        for case in cases:
            yield _Step(case, Question.PLAIN, turn, messages[case.id], Sampling())
    for probe in PROBES:
        for case in cases:
            changed = tuple(question(probe.change(case.context)))
            yield _Step(case, probe.question, 0, None if changed == messages[case.id] else changed, Sampling())
    for turn, seed in enumerate(SEEDS):
        for case in cases[:SAMPLED_CASES]:
            sampling = Sampling(temperature=TEMPERATURE, seed=seed)
            yield _Step(case, Question.SAMPLED, turn, messages[case.id], sampling)


def _put(model: LanguageModel, step: _Step, clock: Clock, identity: ModelIdentity) -> Verdict:
    verdict = ask(model, step.case.context, clock, step.sampling, messages=step.messages)
    for call in verdict.calls:
        if call.identity is None:
            raise ModelUnavailableError(f"{step.question.value} {step.case.id}: {call.error}")
        if call.identity.digest != identity.digest:
            raise ModelUnavailableError(
                f"{step.question.value} {step.case.id} was answered by {call.identity.model} {call.identity.digest[:12]}, "
                f"not by {identity.model} {identity.digest[:12]}: an evaluation is about one model"
            )
    return verdict


def _trial(step: _Step, verdict: Verdict) -> Trial:
    answer, call = verdict.answer, verdict.calls[-1]
    odds = None if answer is None or call.raw_text is None else action_odds(call.raw_text, call.tokens)
    return Trial(
        case_id=step.case.id,
        question=step.question,
        turn=step.turn,
        action=None if answer is None else answer.action,
        stated=None if answer is None else answer.confidence / 100,
        token=None if odds is None or answer is None else odds[answer.action.value],
        calls=tuple(_facts(each) for each in verdict.calls),
    )


def _facts(call: ModelCall) -> CallFacts:
    kept = ("prompt_sha256", "raw_text", "error", "prompt_tokens", "completion_tokens", "prompt_ms", "generation_ms")
    values = {name: getattr(call, name) for name in kept}
    return CallFacts(**values, latency_ms=max(0.0, call.latency_ms - call.load_ms))
