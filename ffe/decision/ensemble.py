"""Several opinions on one case: the same question sampled, several models, or a debate before a judge. Off unless the settings ask for it.

Samples and models vote. An action wins with `quorum` of the weight of all members; one that gave no usable answer keeps its weight, and
so counts against every action. The quorum is above one half: two actions can't both have it, and a tie is a disagreement. Nobody decides then,
and the caller holds by `fallback`; only a majority for HOLD is the model's HOLD. Weights and quorum are summed as the decimals
that they are written as, so the order of the members and the last bit of a float decide nothing.

In a debate only the judge has a vote; the two advocates appear with weight 0. When neither was heard there was no debate and
the judge is not asked: one opinion never passes for several.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ffe.clock import Clock
from ffe.decision.answer import CONFIDENCE_STEP, Answer
from ffe.decision.ask import Barred, ask
from ffe.decision.models import Action, Context, Vote
from ffe.decision.roles import Role, judge_messages, side_messages
from ffe.decision.verdict import Verdict
from ffe.errors import ModelUnavailableError
from ffe.llm.models import Message, Sampling
from ffe.llm.protocol import LanguageModel
from ffe.settings import EnsembleSettings, EnsembleStrategy

ERROR_CHARS = 120

ModelFor = Callable[[str | None], LanguageModel]


def ask_ensemble(
    model_for: ModelFor,
    context: Context,
    clock: Clock,
    settings: EnsembleSettings,
    weights: Mapping[str, float] | None = None,
    *,
    sampling: Sampling | None = None,
    barred: Barred | None = None,
) -> Verdict:
    """The verdict of all members, with every call, their votes and the settings that they were asked under.

    Args:
        model_for: the model of a name, the main one for None. A ModelUnavailableError of it is that member's silence.
        weights: of the members of `models`, by name; 1 for whom it does not know. Samples of one model weigh the same.
        barred: asked before each member is, see `after`.

    Raises:
        ValueError: a weight that is no positive number.
    """
    options = Sampling() if sampling is None else sampling
    panel = _Panel(model_for, context, clock, _nobody if barred is None else barred)
    if settings.strategy is EnsembleStrategy.OFF:
        return panel.hear("model", None, options)
    if settings.strategy is EnsembleStrategy.DEBATE:
        return _debate(panel, settings, options)
    if settings.strategy is EnsembleStrategy.SAMPLES:
        return _poll(_samples(panel, settings, options), settings, {})
    return _poll(
        {name: panel.hear(name, name, options) for name in settings.models},
        settings,
        {} if weights is None else weights,
    )


def after(seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Barred:
    """Bars every member that would be asked later than `seconds` from now. A call that runs by then is not broken off."""
    end = monotonic() + seconds
    return lambda member: None if monotonic() < end else f"{member} was not asked: {seconds:g} s were over"


def majority(votes: Sequence[Vote], quorum: float) -> Action | None:
    """The action with at least `quorum` (above one half) of the weight of all votes, silent ones included; None when there is none."""
    needed = _exact(quorum) * sum(_exact(vote.weight) for vote in votes)
    for action in Action:
        held = sum(_exact(vote.weight) for vote in votes if vote.action is action)
        if held > 0 and held >= needed:
            return action
    return None


@dataclass(frozen=True)
class _Panel:
    """What every member of an ensemble is asked with."""

    model_for: ModelFor
    context: Context
    clock: Clock
    barred: Barred

    def hear(
        self, member: str, name: str | None, sampling: Sampling, messages: Sequence[Message] | None = None
    ) -> Verdict:
        reason = self.barred(member)
        if reason is not None:
            return Verdict(calls=(), answer=None, error=reason)
        try:
            model = self.model_for(name)
        except ModelUnavailableError as error:
            return Verdict(calls=(), answer=None, error=str(error))
        return ask(model, self.context, self.clock, sampling, messages=messages, member=member, barred=self.barred)


def _nobody(member: str) -> None:
    """Bars no member."""
    del member


def _samples(panel: _Panel, settings: EnsembleSettings, sampling: Sampling) -> dict[str, Verdict]:
    """The same question with seeds from `sampling.seed` on."""
    heard = {}
    for index in range(settings.samples):
        varied = sampling.model_copy(update={"seed": sampling.seed + index, "temperature": settings.temperature})
        member = sample_name(index)
        heard[member] = panel.hear(member, None, varied)
    return heard


def sample_name(index: int) -> str:
    """Member name of the sample whose seed is `index` above the first one's."""
    return f"sample-{index + 1}"


def _poll(heard: Mapping[str, Verdict], settings: EnsembleSettings, weights: Mapping[str, float]) -> Verdict:
    votes = tuple(_vote(member, verdict, _weight(member, weights)) for member, verdict in heard.items())
    action = majority(votes, settings.quorum)
    won = None
    if action is not None:
        won = _merged([(vote.weight, heard[vote.member].answer) for vote in votes if vote.action is action])
    return Verdict(
        calls=tuple(call for verdict in heard.values() for call in verdict.calls),
        answer=won,
        error=None if won is not None else _disagreement(votes, settings.quorum),
        votes=votes,
        ensemble=settings,
    )


def _vote(member: str, verdict: Verdict, weight: float) -> Vote:
    answer = verdict.answer
    return Vote(
        member=member,
        action=None if answer is None else answer.action,
        confidence=None if answer is None else answer.confidence,
        weight=weight,
        error=verdict.error,
    )


def _weight(member: str, weights: Mapping[str, float]) -> float:
    weight = weights.get(member, 1.0)
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"the weight of {member} is {weight}, not a positive number")
    return weight


def _merged(winners: Sequence[tuple[float, Answer | None]]) -> Answer:
    """The winners' action with their weighted mean confidence, rounded down to its step, and the words of the most confident of them."""
    said = [(_exact(weight), answer) for weight, answer in winners if answer is not None]
    mean = sum(weight * answer.confidence for weight, answer in said) / sum(weight for weight, _ in said)
    spokesman = max((answer for _, answer in said), key=lambda answer: answer.confidence)
    return spokesman.model_copy(update={"confidence": math.floor(mean / CONFIDENCE_STEP) * CONFIDENCE_STEP})


def _disagreement(votes: Sequence[Vote], quorum: float) -> str:
    said = "; ".join(_said(vote) for vote in votes)
    if all(vote.action is None for vote in votes):
        return f"nobody in the ensemble answered: {said}"
    return f"ensemble disagrees: no action has {quorum:g} of the weight: {said}"


def _said(vote: Vote) -> str:
    weight = "" if vote.weight == 1 else f" (weight {vote.weight:.3g})"
    if vote.action is None:
        return f"{vote.member}{weight} no answer, {str(vote.error)[:ERROR_CHARS]}"
    return f"{vote.member}{weight} {vote.action.value} at {vote.confidence}"


def _debate(panel: _Panel, settings: EnsembleSettings, sampling: Sampling) -> Verdict:
    """Both advocates are heard, the bull first; the judge decides."""
    bull, bear = (
        panel.hear(role.value, None, sampling, side_messages(role, panel.context)) for role in (Role.BULL, Role.BEAR)
    )
    if bull.answer is None and bear.answer is None:
        judge = Verdict(calls=(), answer=None, error=f"not asked: neither side was heard: {bull.error}; {bear.error}")
    else:
        messages = judge_messages(panel.context, bull.answer, bear.answer)
        judge = panel.hear(Role.JUDGE.value, None, sampling, messages)
    return Verdict(
        calls=(*bull.calls, *bear.calls, *judge.calls),
        answer=judge.answer,
        error=None if judge.answer is not None else f"the judge gave no answer: {judge.error}",
        votes=(
            _vote(Role.BULL.value, bull, 0.0),
            _vote(Role.BEAR.value, bear, 0.0),
            _vote(Role.JUDGE.value, judge, 1.0),
        ),
        ensemble=settings,
    )


def _exact(number: float) -> Fraction:
    """The number as its shortest decimal says: 0.6 is three fifths."""
    return Fraction(str(number))
