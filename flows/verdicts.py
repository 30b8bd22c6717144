"""Getting the verdicts of a cycle: inline in this process, or from a `decide` run on the GPU work pool.

The pool is asked once and waited for until a deadline. A run that has not finished by then is told to cancel, not set to
Cancelled: the latter neither stops a starting run nor leaves a finished one alone. What it might still say is ignored.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from prefect import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.deployments import arun_deployment

from ffe.clock import SystemClock
from ffe.cycle import steps
from ffe.cycle.report import ErrorSummary
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import InvalidAnswerError, ModelError, ModelUnavailableError
from flows.decide import decide
from tasks import runtime
from tasks.incidents import record, record_outage
from tasks.stages import Stages

DEPLOYMENT = "decide/gpu"
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Verdicts:
    """`answers` by instrument; `errors` of those about which nobody decided, with the incident to read on."""

    answers: Mapping[str, Verdict] = field(default_factory=dict)
    errors: Mapping[str, ErrorSummary] = field(default_factory=dict)


async def verdicts_for(cycle: steps.Cycle, contexts: list[Context], stages: Stages) -> Verdicts:
    """Never raises: without a model every instrument still gets its HOLD, by `fallback`."""
    if not contexts:
        return Verdicts()
    settings = runtime.engine().settings
    valid_until = SystemClock().now() + timedelta(seconds=settings.decide_deadline_seconds)
    try:
        if settings.decide == "pool":
            answers = await _on_pool(cycle, contexts, valid_until.isoformat(), settings.decide_deadline_seconds)
        else:
            answers = await decide(cycle.id, contexts, valid_until)
    except Exception as error:  # noqa: BLE001 - an outage of the model is a HOLD by fallback, with an incident
        key = record(f"{cycle.id}-decide", "decide", error, cycle_id=cycle.id)
        summary = ErrorSummary(type=type(error).__name__, message=str(error), incident=key)
        return Verdicts(errors={context.instrument.symbol: summary for context in contexts})
    stages.add("model", sum(call.latency_ms for verdict in answers.values() for call in verdict.calls))
    errors: dict[str, ErrorSummary] = {}
    for context in contexts:
        symbol = context.instrument.symbol
        outage = _outage(symbol, answers.get(symbol))
        if outage is not None:
            key = record_outage(outage, answers.get(symbol), context, cycle.id)
            errors[symbol] = ErrorSummary(type=type(outage).__name__, message=str(outage), incident=key)
    return Verdicts(answers=answers, errors=errors)


def _outage(symbol: str, verdict: Verdict | None) -> ModelError | None:
    """No answer, or one that could not be used, is an outage and leaves its incident. Members that disagree are none: all was well."""
    if verdict is None:
        return ModelUnavailableError(f"{symbol}: no answer before the deadline")
    if verdict.answer is not None or verdict.divided:
        return None
    said = bool(verdict.calls) and verdict.calls[-1].raw_text is not None
    return (InvalidAnswerError if said else ModelUnavailableError)(f"{symbol}: {verdict.error}")


async def _on_pool(
    cycle: steps.Cycle, contexts: list[Context], valid_until: str, deadline: float
) -> dict[str, Verdict]:
    run = await arun_deployment(
        DEPLOYMENT,
        parameters={
            "cycle_id": cycle.id,
            "contexts": [context.model_dump(mode="json") for context in contexts],
            "valid_until": valid_until,
        },
        idempotency_key=cycle.id,
        timeout=deadline,
        poll_interval=POLL_SECONDS,
    )
    state = run.state
    if state is None or not state.is_final():
        await _give_up(run.id)
        taken = run.start_time is not None
        why = "" if taken else ": no worker of pool gpu took it (`ffe worker gpu`)"
        raise ModelUnavailableError(f"decide run {run.id} was {state and state.name} after {deadline:.0f} s{why}")
    if not state.is_completed():
        raise ModelUnavailableError(
            f"decide run {run.id} ended {state.name}: {state.message}; that run has an incident of its own"
        )
    recorded = {}
    for context in contexts:
        with contextlib.suppress(ModelUnavailableError):
            recorded[context.instrument.symbol] = steps.recorded_verdict(runtime.engine(), cycle.id, context)
    return recorded


async def _give_up(run_id: object) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run_id, State(type=StateType.CANCELLING))  # type: ignore[arg-type]
