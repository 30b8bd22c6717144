"""What an incident says, and its row in the ledger: for tasks, which publish it too, and for commands, which do not."""

import traceback
from dataclasses import dataclass
from typing import Any

from ffe.cycle.engine import Engine
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import ModelError, VenueError
from ffe.ledger.models import Incident
from ffe.observe.masking import masked
from ffe.orders.findings import Trouble
from ffe.sources.models import BarBatch, SourceAnswer

# Longer tracebacks are cut in the middle, where the frames repeat.
MOST = 40_000
NO_TRACEBACK = "no exception: found by comparing the ledger with the venue"


@dataclass(frozen=True)
class Found:
    """Masked already, except for `inputs`."""

    type: str
    message: str
    traceback: str
    request: str | None
    response: str | None
    cycle_id: str | None
    instrument: str | None
    inputs: Any


def of_error(
    error: BaseException, *, cycle_id: str | None = None, instrument: str | None = None, inputs: Any = None
) -> Found:
    """The whole chain of exceptions, and the venue's request and response where one of them holds them."""
    request, response = _exchange(error)
    return Found(
        type=type(error).__name__,
        message=masked(str(error)),
        traceback=masked("".join(traceback.format_exception(error)), most=MOST),
        request=request,
        response=response,
        cycle_id=cycle_id,
        instrument=instrument or getattr(error, "instrument", None),
        inputs=inputs,
    )


def of_trouble(trouble: Trouble, *, cycle_id: str | None, inputs: Any = None) -> Found:
    """Something found wrong that no exception stands for."""
    return Found(
        type=trouble.type,
        message=masked(trouble.message),
        traceback=NO_TRACEBACK,
        request=None if trouble.request is None else masked(trouble.request),
        response=None if trouble.response is None else masked(trouble.response),
        cycle_id=cycle_id,
        instrument=trouble.instrument,
        inputs=inputs,
    )


def of_answer(answer: SourceAnswer, batch: BarBatch, cycle_id: str | None = None) -> Found:
    """A bar source that failed while another one answered."""
    what = f"{answer.source} failed for {batch.timeframe.value} bars of {batch.instrument.symbol}: {answer.message}"
    return Found(
        type=answer.error or "SourceError",
        message=masked(f"{what}; {batch.source} answered"),
        traceback=masked(answer.chain or NO_TRACEBACK, most=MOST),
        request=None,
        response=None,
        cycle_id=cycle_id,
        instrument=batch.instrument.symbol,
        inputs={"batch": batch.id, "answered by": batch.source},
    )


def of_verdict(error: ModelError, verdict: Verdict | None, context: Context, cycle_id: str) -> Found:
    """Nobody decided about an instrument: `error` in short, and the chain of exceptions behind every call that failed."""
    calls = () if verdict is None else verdict.calls
    chains = [f"{call.member}, call {number}:\n{call.chain}" for number, call in enumerate(calls, 1) if call.chain]
    return Found(
        type=type(error).__name__,
        message=masked(str(error)),
        traceback=masked("\n".join(chains) or "".join(traceback.format_exception(error)), most=MOST),
        request=None,
        response=None,
        cycle_id=cycle_id,
        instrument=context.instrument.symbol,
        inputs={"batch": context.batch_id, "calls": len(calls)},
    )


def ledger_holds(engine: Engine, order_id: str) -> dict[str, Any]:
    """An order and its history."""
    events = [event.model_dump(mode="json") for event in engine.ledger.order_events(order_id)]
    return {"order": engine.ledger.order(order_id).model_dump(mode="json"), "events": events}


def write(engine: Engine, found: Found, name: str, *, run_id: str, attempts: int = 1) -> Incident:
    """The ledger's row; the same failure within an hour is counted on one."""
    return engine.ledger.record_incident(
        type=found.type,
        message=found.message,
        traceback=found.traceback,
        at=engine.clock.now(),
        cycle_id=found.cycle_id,
        instrument=found.instrument,
        request=found.request,
        response=found.response,
        attempts=[{"run": run_id, "task": name, "attempts": attempts}],
    )


def _exchange(error: BaseException) -> tuple[str | None, str | None]:
    """Request and response of the venue error nearest the top of the chain."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VenueError) and seen.request is not None:
            return masked(seen.request), masked(seen.response or "no response")
        seen = seen.__cause__ or seen.__context__
    return None, None
