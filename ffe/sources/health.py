"""Whether a bar source may be asked now: a circuit breaker and a request budget, as pure functions over one frozen state.

The state itself is kept in the ledger (`SourceLog`), so that every process shares it. Closed: the source is asked. After `failures` in a
row it is open: nobody asks for `seconds`, doubled with each failure after that up to five minutes. Then it is half-open: one call at
a time may try, and what comes of it closes or opens the circuit. A trial whose process died lapses after `TRIAL`.

Times come from the caller's clock, which in `sim` may be any; a time limit that lies further ahead than it can ever be set is
a leftover of another clock and does not hold.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.errors import SourceSkippedError
from ffe.sources.models import Outcome

# Longest time that an open circuit is left alone.
LONGEST = timedelta(minutes=5)
# A trial that said nothing for so long is over: longer than any deadline of one fetch should be.
TRIAL = timedelta(minutes=2)
# A service's "no more today" holds until the next UTC day and no shorter than this: where its day begins is not documented.
QUOTA_COOL_DOWN = timedelta(hours=1)
# Kept between two requests beside what the service asks for: they do not all take the same time on their way.
MARGIN = timedelta(milliseconds=100)
# How long "not in your plan" and "no such symbol" are believed before the service is asked again.
REFUSAL = timedelta(days=1)


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Breaker(_Frozen):
    """`failures` in a row open the circuit for `seconds`."""

    failures: int = 5
    seconds: float = 30.0

    def pause(self, failures: int) -> timedelta:
        """How long the circuit stays open after so many failures in a row; zero below the limit."""
        if failures < self.failures:
            return timedelta(0)
        doublings = min(failures - self.failures, 20)
        return min(LONGEST, timedelta(seconds=self.seconds * 2**doublings))


class Budget(_Frozen):
    """Requests that a service allows. `share`: the part of a day's requests after which this caller stops, for others to use the rest."""

    per_day: int
    per_second: float
    share: float = 1.0

    @property
    def most(self) -> int:
        return int(self.per_day * self.share)


class Health(_Frozen):
    """`until` is the end of the open time, `trial_until` that of a trial under way, `stopped_until` that of a spent quota."""

    failures: int = 0
    until: datetime | None = None
    trial_until: datetime | None = None
    stopped_until: datetime | None = None
    stopped_why: str | None = None
    next_request_at: datetime | None = None
    last_success_at: datetime | None = None
    last_error_at: datetime | None = None
    last_error: str | None = None

    def circuit(self, at: datetime) -> Circuit:
        if self.until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if _ahead(self.until, at, LONGEST) else Circuit.HALF_OPEN


class Usage(_Frozen):
    """One UTC day of one source. `requests` counts against its budget, the others are fetches of the chain by outcome."""

    day: str
    requests: int = 0
    answered: int = 0
    failed: int = 0
    skipped: int = 0


class Admission(_Frozen):
    """Leave to ask one source once. `trial_until` is set for the one trial of a half-open circuit and names it."""

    feed: str
    source: str
    at: datetime
    trial_until: datetime | None = None


class SourceState(_Frozen):
    """One source for people and metrics: its health, and what it did on the UTC day of `at`."""

    feed: str
    source: str
    at: datetime
    health: Health
    today: Usage

    @property
    def circuit(self) -> Circuit:
        return self.health.circuit(self.at)


class SourceLog(Protocol):
    """Health of the sources, shared by all processes. `feed` keeps the modes apart: a drill in `sim` opens no circuit of `live`.

    Every method is one transaction, and raises LedgerError when the ledger refuses it.
    """

    def admit_source(self, feed: str, source: str, at: datetime, budget: Budget | None = None) -> Admission:
        """Leave to ask, or SourceSkippedError (counted as skipped) while the circuit is open or nothing of `budget` is left."""
        ...

    def settle_source(
        self,
        admission: Admission,
        at: datetime,
        breaker: Breaker,
        outcome: Outcome,
        *,
        counts: bool = True,
        error: str | None = None,
    ) -> None:
        """What came of it. `counts` False: a failure that says nothing about the source's health (it does not offer this)."""
        ...

    def spend_request(
        self, feed: str, source: str, at: datetime, budget: Budget, *, latest: datetime, what: tuple[str, ...] = ()
    ) -> datetime:
        """Counts one request and returns when it may be sent, not after `latest`; check and count are one transaction.

        Raises:
            SourceSkippedError: no budget, no turn in time; NotOfferedError: one of `what` was refused within a day. Nothing is counted.
        """
        ...

    def stop_source(self, feed: str, source: str, at: datetime, why: str) -> None:
        """The service says that its quota is spent."""
        ...

    def refuse_source(self, feed: str, source: str, what: str, at: datetime, why: str) -> None:
        """The service says that it does not offer `what`."""
        ...

    def claim_cross_check(self, feed: str, source: str, instrument: str, at: datetime, every: timedelta) -> bool:
        """True for one caller in `every`, who may now ask this source for a second opinion."""
        ...

    def source_states(self, feed: str, at: datetime) -> list[SourceState]:
        """Of every source that was ever asked, by name."""
        ...


def admitted(health: Health, at: datetime) -> tuple[Health, datetime | None]:
    """The state after one caller was let through, and the end of its trial when it is one.

    Raises:
        SourceSkippedError: stopped, open, or half-open with another trial under way.
    """
    check_stop(health, at)
    circuit = health.circuit(at)
    if circuit is Circuit.CLOSED:
        return health, None
    trying = _ahead(health.trial_until, at, TRIAL)
    if circuit is Circuit.OPEN or trying:
        until = health.trial_until if trying else health.until
        raise SourceSkippedError(
            f"circuit {circuit} until {_said(until)} after {health.failures} failures in a row: {health.last_error}"
        )
    trial_until = at + TRIAL
    return health.model_copy(update={"trial_until": trial_until}), trial_until


def settled(
    health: Health,
    admission: Admission,
    at: datetime,
    breaker: Breaker,
    outcome: Outcome,
    *,
    counts: bool = True,
    error: str | None = None,
) -> Health:
    """The state after a call came to its end. An answer closes the circuit; a failure that does not count only ends the trial.

    A call that began before the circuit opened and fails after it says nothing new: only a trial opens the circuit again.
    """
    if outcome is Outcome.ANSWERED:
        return health.model_copy(update={"failures": 0, "until": None, "trial_until": None, "last_success_at": at})
    mine = admission.trial_until is not None and admission.trial_until == health.trial_until
    changes: dict[str, object] = {"trial_until": None} if mine else {}
    if outcome is Outcome.FAILED:
        changes |= {"last_error_at": at, "last_error": error}
        if counts and (mine or health.until is None):
            failures = health.failures + 1
            pause = breaker.pause(failures)
            changes |= {"failures": failures, "until": at + pause if pause else None}
    return health.model_copy(update=changes)


def check_stop(health: Health, at: datetime) -> None:
    """Raises SourceSkippedError while the service's own "no more today" holds."""
    longest = timedelta(days=1) + QUOTA_COOL_DOWN
    if _ahead(health.stopped_until, at, longest):
        raise SourceSkippedError(f"quota spent, not asked before {_said(health.stopped_until)}: {health.stopped_why}")


def check_budget(used: int, budget: Budget, at: datetime) -> None:
    """Raises SourceSkippedError when nothing of the day is left for this caller; both numbers in the message."""
    if used >= budget.most:
        share = "" if budget.share == 1 else f" ({budget.per_day} a day, {budget.most} of them for this)"
        raise SourceSkippedError(
            f"request budget spent: {used} of {budget.most} used on {day_of(at)}{share}; the next day begins {_said(next_day(at))}"
        )


def turn(health: Health, at: datetime, budget: Budget, latest: datetime) -> datetime:
    """When the next request may be sent: now, or after the ones that others were given a turn for.

    Raises:
        SourceSkippedError: not before `latest`.
    """
    queued = health.next_request_at
    when = queued if queued is not None and _ahead(queued, at, LONGEST) else at
    if when > latest:
        raise SourceSkippedError(
            f"no turn before {_said(latest)}: {budget.per_second:g} requests a second, the next one at {_said(when)}"
        )
    return when


def following(when: datetime, budget: Budget) -> datetime:
    """The turn after the one at `when`."""
    return when + timedelta(seconds=1 / budget.per_second) + MARGIN


def stopped_until(at: datetime) -> datetime:
    """The next UTC day, at least an hour away."""
    return max(next_day(at), at + QUOTA_COOL_DOWN)


def day_of(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def next_day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _ahead(limit: datetime | None, at: datetime, longest: timedelta) -> bool:
    """Whether a time limit still holds; one further ahead than `longest` was set by another clock."""
    return limit is not None and at < limit <= at + longest


def _said(moment: datetime | None) -> str:
    return "-" if moment is None else rfc3339(moment.replace(microsecond=0))
