"""What an incident says, and its row in the ledger: for tasks, which publish it too, and for commands, which do not.

Where the ledger refuses, a file of the data folder keeps the incident until it does not.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from ffe.clock import SystemClock
from ffe.cycle import incident_files
from ffe.cycle.engine import Engine
from ffe.cycle.keepable import keepable
from ffe.cycle.reproduce import command
from ffe.cycle.subjects import Subject, merged, readable, subject_of
from ffe.decision.models import Context
from ffe.decision.verdict import Verdict
from ffe.errors import ModelError, VenueError
from ffe.ledger.incidents import artifact_key
from ffe.ledger.models import Incident
from ffe.observe.masking import masked
from ffe.orders.findings import Trouble
from ffe.sources.models import BarBatch, SourceAnswer

# Longer tracebacks are cut in the middle, where the frames repeat.
MOST = 40_000
NO_TRACEBACK = "no exception: found by comparing the ledger with the venue"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """Masked already, except for `inputs`, which are what the failed step was given. `order_id` may be a client order id."""

    type: str
    message: str
    traceback: str
    request: str | None
    response: str | None
    cycle_id: str | None
    instrument: str | None
    inputs: Any
    order_id: str | None = None
    batch_id: str | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.inputs if isinstance(self.inputs, Mapping) else {} if self.inputs is None else {"": self.inputs}

    @property
    def subject(self) -> Subject:
        """What the parameters say, and what was known without them."""
        known = {name: getattr(self, name) for name in ("instrument", "cycle_id", "order_id", "batch_id")}
        return merged(subject_of(self.parameters), **known)


@dataclass(frozen=True)
class Run:
    """Where it happened: a task run or a flow run with its flow run, or a name that a command gave itself.

    `tries`: when each attempt began and ended, its state and message, and the delay before it in seconds.
    """

    id: str
    name: str
    attempts: int = 1
    flow_run_id: str | None = None
    tries: Sequence[Mapping[str, Any]] = field(default=())


def of_error(
    error: BaseException,
    *,
    cycle_id: str | None = None,
    instrument: str | None = None,
    inputs: Any = None,
    with_locals: bool = False,
) -> Found:
    """The whole chain of exceptions, and the venue's request and response where one of them holds them. `with_locals`: every frame's, too."""
    request, response = _exchange(error)
    told = traceback.TracebackException.from_exception(error, capture_locals=with_locals)
    return Found(
        type=type(error).__name__,
        message=masked(str(error), most=MOST),
        traceback=masked("".join(told.format()), most=MOST),
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
        order_id=trouble.order_id,
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
        batch_id=batch.id,
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
        batch_id=context.batch_id,
    )


def write(
    engine: Engine, found: Found, name: str, *, run_id: str, attempts: int = 1, run: Run | None = None
) -> Incident:
    """The ledger's row; the same failure within an hour is counted on one. `run` says more of where it was than `name` and `run_id`.

    Never raises: what the ledger refuses is kept in a file, and files of before go into a ledger that takes this one.
    """
    made = describe(engine, found, run or Run(run_id, name, attempts))
    try:
        kept = record(engine, made)
    except Exception:
        log.exception("the incident of %s could not be written to the ledger", name)
        incident_files.save(engine.settings.data_dir, made)
        return made
    take_in(engine)
    return kept


def describe(engine: Engine, found: Found, run: Run) -> Incident:
    """The incident as it is before anybody has seen it. Never raises: what can't be found out is left out."""
    now = engine.clock.now()
    subject = found.subject
    holds = None
    try:
        holds = engine.ledger.touched(
            order_id=subject.order_id, cycle_id=subject.cycle_id, instrument=subject.instrument
        )
    except Exception:
        log.exception("what the ledger holds could not be read for the incident of %s", run.name)
    return _incident(found, run, now).model_copy(
        update={
            "reproduce": keepable(command(run.name, subject, engine.settings, found.parameters)),
            "holds": None if not holds else keepable(readable(holds)),
        }
    )


def without_engine(found: Found, run: Run) -> Incident:
    """The incident of a process whose engine could not be opened: nothing but what it knows itself."""
    return _incident(found, run, SystemClock().now())


def _incident(found: Found, run: Run, now: datetime) -> Incident:
    subject = found.subject
    tried = {"run": run.id, "task": run.name, "attempts": run.attempts, "tries": [dict(each) for each in run.tries]}
    values = {
        "id": uuid4().hex,
        "type": found.type,
        "message": found.message,
        "traceback": found.traceback,
        "cycle_id": subject.cycle_id,
        "instrument": subject.instrument,
        "order_id": subject.order_id,
        "request": found.request,
        "response": found.response,
        "attempts": [tried],
        "name": run.name,
        "run_id": run.id,
        "flow_run_id": run.flow_run_id,
        "batch_id": subject.batch_id,
        "parameters": readable(found.parameters) or None,
        "created_at": now,
        "last_at": now,
        "count": 1,
    }
    return Incident.model_validate(keepable(values))


def record(engine: Engine, made: Incident) -> Incident:
    """Into the ledger. Raises what the ledger raises."""
    values = made.model_dump(exclude={"created_at", "last_at"})
    return engine.ledger.record_incident(at=made.created_at, **values)


def take_in(engine: Engine) -> int:
    """Incidents that were kept in files, into the ledger; how many. Never raises: what can't be taken in stays where it is."""
    try:
        return incident_files.take_in(engine.settings.data_dir, lambda made: _record_once(engine, made))
    except Exception:
        log.exception("incidents could not be taken from their files")
        return 0


def _record_once(engine: Engine, made: Incident) -> None:
    """A process that was killed before it removed the file leaves one that the ledger has: by its id, or counted on a row that names its runs."""
    earlier = engine.ledger.incident(artifact_key(made.type, made.instrument, made.message))
    counted = earlier is not None and made.attempts and all(each in earlier.attempts for each in made.attempts)
    if not counted and engine.ledger.incident(made.id) is None:
        record(engine, made)


def _exchange(error: BaseException) -> tuple[str | None, str | None]:
    """Request and response of the venue error nearest the top of the chain."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VenueError) and seen.request is not None:
            return masked(seen.request), masked(seen.response or "no response")
        seen = seen.__cause__ or seen.__context__
    return None, None
