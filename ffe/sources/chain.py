"""The ordered fallback: the first source that has a complete bar answers, and what every other one said is kept beside it.

One batch is of one source; bars are never mixed and none is ever made up. Whether a source may be asked at all is the ledger's word
(`health`), shared by all processes. The whole chain has one deadline: a source is not started after it, and one that sends its own
requests takes no longer than what is left.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ffe.clock import Clock, rfc3339
from ffe.errors import (
    NoSourceError,
    NotOfferedError,
    PermanentSourceError,
    SourceError,
    SourceSkippedError,
    TransientSourceError,
)
from ffe.market.models import Instrument, Timeframe
from ffe.observe.masking import masked
from ffe.settings import SourcesSettings
from ffe.sources.allowance import Allowance, allowed
from ffe.sources.health import Breaker, SourceLog
from ffe.sources.models import Outcome, SourceAnswer
from ffe.sources.protocol import BarSource

# Characters that are kept of an exception chain and of a message; longer ones lose their middle.
MOST, MOST_WORDS = 20_000, 600


@dataclass(frozen=True)
class Fetched:
    """Bars of one source, and what each source said, in the order they were asked."""

    table: pa.Table
    source: str
    answers: tuple[SourceAnswer, ...]


class NoBarError(TransientSourceError):
    """The source answered, without a single complete bar. It may be well: its health is left alone."""


@dataclass(frozen=True)
class _Wanted:
    instrument: Instrument
    timeframe: Timeframe
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.timeframe.value} bars of {self.instrument.symbol}"


class SourceChain:
    """`missing` are sources that are not set up; they are reported with every fetch. `feed` is the mode. Safe to share between threads."""

    def __init__(
        self,
        sources: Sequence[BarSource],
        log: SourceLog,
        clock: Clock,
        settings: SourcesSettings,
        *,
        missing: Sequence[SourceAnswer] = (),
        feed: str = "sim",
    ) -> None:
        self.sources, self.missing = tuple(sources), tuple(missing)
        self.log, self.clock, self.settings, self.feed = log, clock, settings, feed
        self._breaker = Breaker(failures=settings.breaker_failures, seconds=settings.breaker_seconds)

    def fetch(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        start: datetime,
        end: datetime,
        *,
        only: str | None = None,
        share: float = 1.0,
    ) -> Fetched:
        """Complete bars whose open lies in [start, end), of the first source that has one. `only` asks that source alone.

        `share`: the part of a daily request budget after which this caller stops.

        Raises:
            NoSourceError: nobody had a bar; names every source with its words, and holds every error as its cause.
        """
        wanted = _Wanted(instrument, timeframe, start, end)
        allowance = Allowance(time.monotonic() + self.settings.deadline_seconds, share)
        answers = [
            answer.model_copy(update={"at": self.clock.now()})
            for answer in self.missing
            if only is None or only == answer.source
        ]
        errors: list[Exception] = [SourceSkippedError(f"{answer.source}: {answer.message}") for answer in answers]
        for source in self.sources:
            if only is None or only == source.name:
                said, found = self._answer(source, wanted, allowance)
                answers.append(said)
                if isinstance(found, pa.Table):
                    return Fetched(found, source.name, tuple(answers))
                errors.append(found)
        raise _no_source(wanted, only, answers, errors)

    def close(self) -> None:
        for source in self.sources:
            source.close()

    def _answer(
        self, source: BarSource, wanted: _Wanted, allowance: Allowance
    ) -> tuple[SourceAnswer, pa.Table | Exception]:
        started = time.monotonic()
        try:
            found: pa.Table | Exception = self._ask(source, wanted, allowance)
        except SourceError as error:
            found = error
        said = SourceAnswer(
            source=source.name,
            outcome=Outcome.ANSWERED,
            at=self.clock.now(),
            latency_ms=round(1000 * (time.monotonic() - started), 3),
        )
        return said.model_copy(update=_words(found)), found

    def _ask(self, source: BarSource, wanted: _Wanted, allowance: Allowance) -> pa.Table:
        """Bars, at least one. Raises SourceError, which the ledger knows of by then."""
        if allowance.seconds <= 0:
            raise SourceSkippedError(f"the deadline of {self.settings.deadline_seconds:g} s is over")
        admission = self.log.admit_source(self.feed, source.name, self.clock.now())
        try:
            with allowed(allowance):
                table = _read(source, wanted)
        except SourceError as error:
            counts = not isinstance(error, NotOfferedError | NoBarError)
            self.log.settle_source(
                admission, self.clock.now(), self._breaker, _outcome(error), counts=counts, error=_short(error)
            )
            raise
        self.log.settle_source(admission, self.clock.now(), self._breaker, Outcome.ANSWERED)
        return table


def _read(source: BarSource, wanted: _Wanted) -> pa.Table:
    """Raises SourceError, also for what the source never meant to raise: its bug must not take away the next source's bars."""
    try:
        table = source.fetch(wanted.instrument, wanted.timeframe, wanted.start, wanted.end)
    except SourceError:
        raise
    except Exception as error:
        raise PermanentSourceError(f"{source.name} {wanted}: {type(error).__name__}: {error}") from error
    if table.num_rows == 0:
        raise NoBarError(f"{source.name} has no complete bar among the {wanted} from {rfc3339(wanted.start)} on")
    return table


def _words(found: pa.Table | Exception) -> dict[str, object]:
    """What a table or an error changes in a SourceAnswer."""
    if isinstance(found, pa.Table):
        return {"rows": found.num_rows}
    return {
        "outcome": _outcome(found),
        "error": type(found).__name__,
        "message": _short(found),
        "chain": masked("".join(traceback.format_exception(found)), most=MOST),
    }


def _outcome(error: Exception) -> Outcome:
    return Outcome.SKIPPED if isinstance(error, SourceSkippedError) else Outcome.FAILED


def _short(error: Exception) -> str:
    return masked(str(error), most=MOST_WORDS)


def _no_source(
    wanted: _Wanted, only: str | None, answers: Sequence[SourceAnswer], errors: Sequence[Exception]
) -> NoSourceError:
    who = "no source has" if only is None else f"{only} does not have"
    said = "; ".join(f"{answer.source} {answer.outcome.value}: {answer.message}" for answer in answers)
    error = NoSourceError(
        f"{who} {wanted}: {said or 'nobody to ask'}",
        transient=any(isinstance(each, TransientSourceError) for each in errors),
        instrument=wanted.instrument.symbol,
    )
    error.__cause__ = ExceptionGroup("what each source said", [_printable(each) for each in errors]) if errors else None
    return error


def _printable(error: Exception) -> Exception:
    """`error`; where what it and its causes say holds a secret, one of its type with its masked words, its masked traceback as a note.

    Whoever runs the fetch prints the causes without asking `masked`.
    """
    # Without frames: a line of source with `token=` is no secret.
    said = "".join(traceback.format_exception(error, limit=0))
    if masked(said) == said:
        return error
    shown = type(error).__new__(type(error), _short(error))
    shown.add_note(masked("".join(traceback.format_exception(error)), most=MOST))
    return shown
