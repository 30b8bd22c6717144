"""One recorded verdict made a second time: the context is asked about again, the recording answers, today's code does the rest.

A verdict under another PROMPT_VERSION can't have its question written anew by this code. Its calls are then answered in the order in which
they were made, whatever is asked, and their digests are taken over the stored messages, schema and sampling: all but the wording is still checked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from ffe.clock import Clock
from ffe.decision.ask import ask, content_sha256
from ffe.decision.ensemble import ask_ensemble, sample_name
from ffe.decision.models import Decision, ModelCall
from ffe.decision.odds import verdict_odds
from ffe.decision.prompt import PROMPT_VERSION
from ffe.decision.record import Weighed
from ffe.decision.verdict import AskedVerdict, Verdict
from ffe.errors import ModelUnavailableError
from ffe.feedback.confidence import weigh
from ffe.feedback.models import Calibration
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, JsonSchema, Message, Sampling
from ffe.llm.protocol import LanguageModel
from ffe.llm.recorded import RecordedModel
from ffe.settings import ConfidenceSettings, ConfidenceSource, EnsembleSettings, EnsembleStrategy


def replay(asked: AskedVerdict, clock: Clock) -> Verdict:
    """The verdict that the stored context and the recorded answers amount to, by today's code."""
    recorded = asked.verdict
    other = in_other_words(recorded)
    recording = _Tape if other else RecordedModel.from_calls
    if recorded.ensemble is not None:
        remade = _replay_ensemble(asked, recorded.ensemble, clock, recording)
    elif not recorded.calls:
        return Verdict(calls=(), answer=None, error=recorded.error)
    else:
        remade = ask(recording(recorded.calls), asked.context, clock, _sampling(recorded))
    return _as_stored(remade, recorded.calls) if other else remade


def in_other_words(verdict: Verdict) -> bool:
    """Whether this code can't write the question as it was asked."""
    return any(call.prompt_version != PROMPT_VERSION for call in verdict.calls)


def weigh_again(
    verdict: Verdict, asked: AskedVerdict, recorded: Decision, calibrations: Mapping[str, Calibration]
) -> Weighed | None:
    """How sure the model was, from its answer, the tokens of its call and the calibration that the decision names.

    Which number gates is that day's setting and taken from the record. A calibration that is not on record, is of another model or
    prompt, or was made from what was not known when the bar closed counts as none: the parts then come out otherwise.
    """
    call, parts = verdict.spoken, recorded.confidence_parts
    if verdict.answer is None or call is None or call.identity is None:
        return None
    odds = verdict_odds(verdict)
    known = None if parts is None or parts.calibration_id is None else calibrations.get(parts.calibration_id)
    if known is not None:
        same = (known.model_digest, known.prompt_version) == (call.identity.digest, call.prompt_version)
        known = known if same and known.known_until <= asked.context.bar_close else None
    named = "stated" if parts is None else parts.source
    source = ConfidenceSource(named) if named in set(ConfidenceSource) else ConfidenceSource.STATED
    return Weighed(*weigh(verdict.answer, odds, known, ConfidenceSettings(source=source)))


def _replay_ensemble(
    asked: AskedVerdict,
    settings: EnsembleSettings,
    clock: Clock,
    recording: Callable[[Iterable[ModelCall]], LanguageModel],
) -> Verdict:
    recorded = asked.verdict
    votes = {} if recorded.votes is None else {vote.member: vote for vote in recorded.votes}
    spoke = {call.member for call in recorded.calls}

    def barred(member: str) -> str | None:
        """Who made no call when it was recorded, makes none now, for the same reason."""
        if member in spoke:
            return None
        reason = votes[member].error if member in votes else None
        return f"{member} was not asked" if reason is None else reason

    weights = {vote.member: vote.weight for vote in votes.values() if vote.weight > 0 and settings.weighted}
    model_for = _models(recorded.calls, settings, recording)
    return ask_ensemble(model_for, asked.context, clock, settings, weights, sampling=_sampling(recorded), barred=barred)


def _models(
    calls: Sequence[ModelCall], settings: EnsembleSettings, recording: Callable[[Iterable[ModelCall]], LanguageModel]
) -> Callable[[str | None], LanguageModel]:
    """The recording; of several models each one's own, for they were all asked the same."""
    known: dict[str | None, LanguageModel] = {None: recording(calls)}
    if settings.strategy is EnsembleStrategy.MODELS:
        for name in {call.member for call in calls}:
            known[name] = recording([call for call in calls if call.member == name])
    return known.__getitem__


def _sampling(recorded: Verdict) -> Sampling:
    """What the verdict was asked with; for samples that of the first one's seed, whether or not the first one was asked."""
    if not recorded.calls:
        return Sampling()
    first = recorded.calls[0]
    if recorded.ensemble is None or recorded.ensemble.strategy is not EnsembleStrategy.SAMPLES:
        return first.sampling
    names = [sample_name(index) for index in range(recorded.ensemble.samples)]
    index = names.index(first.member) if first.member in names else 0
    return first.sampling.model_copy(update={"seed": first.sampling.seed - index})


class _Tape(RecordedModel):
    """Gives the recorded answers in turn, to whatever question; one whose own fingerprint does not fit its request is not given."""

    def __init__(self, calls: Iterable[ModelCall]) -> None:
        super().__init__({})
        self._turns = iter(tuple(calls))

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        del messages, schema, sampling
        call = next(self._turns, None)
        if call is None:
            raise ModelUnavailableError("no further answer is recorded")
        return _answered(call)


def _answered(call: ModelCall) -> Completion:
    return RecordedModel.from_calls([call]).complete(call.messages, call.answer_schema, call.sampling)


def _as_stored(remade: Verdict, calls: Sequence[ModelCall]) -> Verdict:
    """The remade verdict with the questions as they are stored, and digests over those."""
    stored = tuple(_question_of(call, each) for call, each in zip(calls, remade.calls, strict=False))
    return remade.model_copy(update={"calls": (*stored, *remade.calls[len(stored) :])})


def _question_of(call: ModelCall, remade: ModelCall) -> ModelCall:
    fingerprint = prompt_sha256(call.messages, call.answer_schema, call.sampling)
    question = {name: getattr(call, name) for name in ("prompt_version", "messages", "answer_schema", "sampling")}
    completion = None if remade.raw_text is None else _answered(call)
    digests = {"prompt_sha256": fingerprint, "content_sha256": content_sha256(fingerprint, completion)}
    return remade.model_copy(update=question | digests)
