"""Decision records: the model's own, and the HOLDs of everybody else. Every HOLD has an author and a reason."""

import uuid
from datetime import datetime
from typing import NamedTuple

from ffe.decision.models import Action, Author, ConfidenceParts, Context, Decision
from ffe.decision.situation import situation
from ffe.decision.verdict import Verdict
from ffe.errors import FfeError
from ffe.market.models import Timeframe


def gate_hold(
    author: Author,
    reason_code: str,
    reasoning: str,
    *,
    cycle_id: str,
    instrument: str,
    timeframe: Timeframe,
    decided_at: datetime,
    bar_close: datetime | None = None,
    batch_id: str | None = None,
    quality_report_id: str | None = None,
) -> Decision:
    """HOLD at confidence 100 by a gate, an outage or a switch. `reason_code` is snake_case and stable, `reasoning` has the numbers.

    Raises:
        FfeError: the author is the model, whose HOLD is an opinion.
    """
    if author is Author.MODEL:
        raise FfeError("a HOLD of the model comes from its answer, not from a gate")
    return Decision(
        id=uuid.uuid4().hex,
        cycle_id=cycle_id,
        instrument=instrument,
        timeframe=timeframe,
        bar_close=bar_close,
        action=Action.HOLD,
        confidence=100,
        decided_by=author,
        reason_code=reason_code,
        reasoning=reasoning,
        batch_id=batch_id,
        quality_report_id=quality_report_id,
        decided_at=decided_at,
    )


class Weighed(NamedTuple):
    """How sure the model was: the integer that gates, None when the number that should gate is not known, and where it comes from."""

    confidence: int | None
    parts: ConfidenceParts


def decision_from_verdict(
    verdict: Verdict, context: Context, *, cycle_id: str, decided_at: datetime, weighed: Weighed | None = None
) -> Decision:
    """The model's decision on `context`, or HOLD by `fallback` when it gave none. Either way it names the call that was heard.

    `weighed` None takes the confidence that the answer states.
    """
    shared = _shared(verdict, context)
    if verdict.answer is None:
        return _held(context, cycle_id, decided_at, _code(verdict), _why(verdict)).model_copy(update=shared)
    confidence = verdict.answer.confidence if weighed is None else weighed.confidence
    if confidence is None:
        source = None if weighed is None else weighed.parts.source
        why = f"The model says {verdict.answer.action}, and its {source} confidence, which gates, is not known"
        held = _held(context, cycle_id, decided_at, "confidence_unknown", why)
        return held.model_copy(update=shared | {"confidence_parts": None if weighed is None else weighed.parts})
    return Decision(
        id=uuid.uuid4().hex,
        cycle_id=cycle_id,
        instrument=context.instrument.symbol,
        timeframe=context.timeframe,
        bar_close=context.bar_close,
        action=verdict.answer.action,
        confidence=confidence,
        decided_by=Author.MODEL,
        reason_code="model_answer",
        reasoning=verdict.answer.reasoning,
        batch_id=context.batch_id,
        quality_report_id=context.quality_report_id,
        decided_at=decided_at,
        confidence_parts=None if weighed is None else weighed.parts,
    ).model_copy(update=shared)


def _held(context: Context, cycle_id: str, decided_at: datetime, code: str, reasoning: str) -> Decision:
    return gate_hold(
        Author.FALLBACK,
        code,
        reasoning,
        cycle_id=cycle_id,
        instrument=context.instrument.symbol,
        timeframe=context.timeframe,
        decided_at=decided_at,
        bar_close=context.bar_close,
        batch_id=context.batch_id,
        quality_report_id=context.quality_report_id,
    )


def _code(verdict: Verdict) -> str:
    if verdict.divided:
        return "ensemble_disagrees"
    return "invalid_answer" if verdict.calls and verdict.calls[-1].raw_text is not None else "model_unavailable"


def _why(verdict: Verdict) -> str:
    return f"No usable model answer: {verdict.error or 'the model was not asked'}"


def _shared(verdict: Verdict, context: Context) -> dict[str, object]:
    """What a decision quotes of its question and of the call that was heard; `latency_ms` is the sum over all calls."""
    quoted: dict[str, object] = {
        "pulse_batches": {
            frame.timeframe.value: frame.batch_id for frame in context.pulse if frame.batch_id is not None
        },
        "opinion": None if verdict.answer is None else verdict.answer.action,
        "situation": situation(context),
        "votes": verdict.votes,
    }
    call = verdict.spoken
    if call is None:
        return quoted
    return quoted | {
        "model_call_id": call.id,
        "model": None if call.identity is None else call.identity.model,
        "model_digest": None if call.identity is None else call.identity.digest,
        "prompt_sha256": call.prompt_sha256,
        "seed": call.sampling.seed,
        "latency_ms": sum(each.latency_ms for each in verdict.calls),
    }
