"""Decision records: the model's own, and the HOLDs of everybody else. Every HOLD has an author and a reason."""

import uuid
from datetime import datetime

from ffe.decision.ask import Verdict
from ffe.decision.models import Action, Author, Context, Decision
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


def decision_from_verdict(verdict: Verdict, context: Context, *, cycle_id: str, decided_at: datetime) -> Decision:
    """The model's decision on `context`, or HOLD by `fallback` when it gave none. Either way it names the last model call."""
    if verdict.answer is None:
        code = "invalid_answer" if verdict.calls and verdict.calls[-1].raw_text is not None else "model_unavailable"
        held = gate_hold(
            Author.FALLBACK,
            code,
            f"No usable model answer: {verdict.error or 'the model was not asked'}",
            cycle_id=cycle_id,
            instrument=context.instrument.symbol,
            timeframe=context.timeframe,
            decided_at=decided_at,
            bar_close=context.bar_close,
            batch_id=context.batch_id,
            quality_report_id=context.quality_report_id,
        )
        return held.model_copy(update=_call_fields(verdict) | {"pulse_batches": _pulse_batches(context)})
    return Decision(
        id=uuid.uuid4().hex,
        cycle_id=cycle_id,
        instrument=context.instrument.symbol,
        timeframe=context.timeframe,
        bar_close=context.bar_close,
        action=verdict.answer.action,
        confidence=verdict.answer.confidence,
        decided_by=Author.MODEL,
        reason_code="model_answer",
        reasoning=verdict.answer.reasoning,
        batch_id=context.batch_id,
        quality_report_id=context.quality_report_id,
        decided_at=decided_at,
        pulse_batches=_pulse_batches(context),
    ).model_copy(update=_call_fields(verdict))


def _pulse_batches(context: Context) -> dict[str, str]:
    return {frame.timeframe.value: frame.batch_id for frame in context.pulse if frame.batch_id is not None}


def _call_fields(verdict: Verdict) -> dict[str, object]:
    """What a decision quotes of its last call; `latency_ms` is the sum over all tries."""
    if not verdict.calls:
        return {}
    call = verdict.calls[-1]
    return {
        "model_call_id": call.id,
        "model": None if call.identity is None else call.identity.model,
        "model_digest": None if call.identity is None else call.identity.digest,
        "prompt_sha256": call.prompt_sha256,
        "seed": call.sampling.seed,
        "latency_ms": sum(each.latency_ms for each in verdict.calls),
    }
