"""Grading: every decision whose horizon is over gets its grade, and the grades make calibrations. Shared by flow and command.

Bars are those of the instrument's first source that passed the suite, the way `ffe.cycle.backfill` keeps them: what cycles have kept is
not asked again, and bars that failed are no ground for a grade. The source is asked for the bars of horizons that ended within the last
two days. Older decisions wait, for two weeks, for whoever else fills the store; then nobody looks at them any more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from ffe.cycle import incidents
from ffe.cycle.backfill import backfill, first_source
from ffe.cycle.bars import Validate
from ffe.cycle.engine import Engine
from ffe.decision.models import Decision
from ffe.feedback.calibration import fit
from ffe.feedback.grading import Horizon, horizon
from ffe.feedback.history import LOOKBACK, History
from ffe.feedback.models import Calibration
from ffe.feedback.report import GradingReport, MarketGrades
from ffe.market.calendar import Calendar, lookback_start
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.observe.masking import masked
from ffe.venues.models import InstrumentSpec

PATIENCE, REACH = timedelta(days=2), timedelta(days=14)
# Of one market in one run: more than two weeks of minutes have.
MOST = 25_000
NAME = "grade-decisions"


class Due(NamedTuple):
    """A decision, the close of its bar, and the horizon after it."""

    decision: Decision
    bar_close: datetime
    ahead: Horizon


def grade_all(engine: Engine, now: datetime, validate: Validate) -> GradingReport:
    """Grades what is due at `now`, then fits calibrations. What fails for one market is an incident and stops no other.

    `validate` is the suite for history, as a backfill takes it.
    """
    run_id = f"grade-{uuid4().hex}"
    markets = [_apart(engine, market, now, validate, run_id) for market in waiting(engine, now)]
    calibrations: tuple[Calibration, ...] = ()
    problem = None
    try:
        calibrations = calibrate(engine, now)
    except Exception as error:  # noqa: BLE001 - the grades stand and are reported, whatever the fit does
        problem = _incident(engine, error, None, run_id)
    return GradingReport(at=now, markets=tuple(markets), calibrations=calibrations, problem=problem)


def _apart(
    engine: Engine, market: tuple[str, Timeframe], now: datetime, validate: Validate, run_id: str
) -> MarketGrades:
    """The grades of one market; whatever is raised there ends here."""
    symbol, timeframe = market
    try:
        done = grade_market(engine, parse_instrument(symbol), timeframe, now, validate)
    except Exception as error:  # noqa: BLE001 - a bug that shows at one instrument must not stop the others
        return MarketGrades(instrument=symbol, timeframe=timeframe, problem=_incident(engine, error, symbol, run_id))
    if done.trouble is not None:
        incidents.write(engine, incidents.of_trouble(done.trouble, cycle_id=None), NAME, run_id=run_id)
    return done


def _incident(engine: Engine, error: Exception, instrument: str | None, run_id: str) -> str:
    incidents.write(engine, incidents.of_error(error, instrument=instrument), NAME, run_id=run_id)
    return masked(f"{type(error).__name__}: {error}")


def waiting(engine: Engine, now: datetime) -> list[tuple[str, Timeframe]]:
    """Instruments and timeframes with decisions that have no grade and may still get one, in order of their names."""
    found = engine.ledger.ungraded_markets(now - _reach(engine, Timeframe.D1), now)
    return [(symbol, frame) for symbol, frame, newest in found if newest >= now - _reach(engine, frame)]


def _reach(engine: Engine, timeframe: Timeframe) -> timedelta:
    """How far back a decision may lie; twice the horizon leaves room for weekends and holidays in it."""
    return REACH + 2 * engine.settings.feedback.horizon_bars * timeframe.duration


def grade_market(
    engine: Engine, instrument: Instrument, timeframe: Timeframe, now: datetime, validate: Validate
) -> MarketGrades:
    """Grades the decisions on one instrument and timeframe whose horizon is over at `now`. Bars that can't be had are a `problem`.

    Raises:
        RefusedError: no source of the instrument is set up.
        DataError: the store can't be read.
        VenueError: no specification is on record, and the venue does not give one.
        LedgerError: the ledger refused.
    """
    return _Market(engine, instrument, timeframe, now).graded(validate)


@dataclass(frozen=True)
class _Market:
    engine: Engine
    instrument: Instrument
    timeframe: Timeframe
    now: datetime

    @property
    def calendar(self) -> Calendar:
        return self.engine.calendar(self.instrument)

    def graded(self, validate: Validate) -> MarketGrades:
        found = self._ungraded()
        due = [each for each in found if each.ahead.end <= self.now]
        problem = self._fill(due, validate)
        left = self._grade(due)
        return MarketGrades(
            instrument=self.instrument.symbol,
            timeframe=self.timeframe,
            graded=len(due) - len(left),
            pending=len(found) - len(due),
            missing=len(left),
            problem=problem if self._recent(left) else None,
        )

    def _ungraded(self) -> list[Due]:
        found = self.engine.ledger.ungraded(
            self.now,
            MOST,
            closed_after=self.now - _reach(self.engine, self.timeframe),
            instrument=self.instrument.symbol,
            timeframe=self.timeframe,
        )
        closes = [(decision, decision.bar_close) for decision in found if decision.bar_close is not None]
        bars = self.engine.settings.feedback.horizon_bars
        return [Due(decision, at, horizon(self.calendar, self.timeframe, at, bars)) for decision, at in closes]

    def _recent(self, due: Sequence[Due]) -> list[Due]:
        """Those whose bars the source is still asked for."""
        return [each for each in due if self.now - each.ahead.end <= PATIENCE]

    def _fill(self, due: Sequence[Due], validate: Validate) -> str | None:
        """Asks for what the store lacks of the newest horizons. What could not be had or did not pass; None when nothing."""
        recent = self._recent(due)
        if not recent:
            return None
        days = math.ceil((self.now - self._lookback(recent)) / timedelta(days=1))
        filled = backfill(self.engine, self.instrument, self.timeframe, days, validate)
        return "; ".join(f"{chunk.name}: {chunk.why}" for chunk in filled.failed) or None

    def _lookback(self, due: Sequence[Due]) -> datetime:
        """Where the bars begin that the ATR of the oldest one needs."""
        return lookback_start(self.calendar, self.timeframe, LOOKBACK, min(each.bar_close for each in due))

    def _grade(self, due: Sequence[Due]) -> list[Due]:
        """Writes the grades; the decisions that could not have one are left."""
        if not due:
            return []
        span = self._lookback(due), max(each.ahead.end for each in due)
        source = first_source(self.engine, self.instrument).source
        table, covered = self.engine.store.known(self.instrument, self.timeframe, source, *span)
        history = History(self.instrument, self.timeframe, self.calendar, table, covered)
        spec = self._spec()
        return [each for each in due if not self._write(each, history, spec)]

    def _write(self, due: Due, history: History, spec: InstrumentSpec) -> bool:
        made = history.grade(
            due.decision,
            due.ahead,
            spec=spec,
            settings=self.engine.settings.risk,
            graded_at=self.now,
            prompt_version=self._prompt_version(due.decision),
        )
        if made is None:
            return False
        self.engine.ledger.record_grade(made)
        return True

    def _spec(self) -> InstrumentSpec:
        """The specification on record; the venue is asked where no cycle has come that far yet."""
        held = self.engine.ledger.spec(self.instrument.venue, self.instrument.symbol)
        if held is None:
            held = self.engine.broker(self.instrument.venue).spec(self.instrument)
            self.engine.ledger.record_spec(held)
        return held

    def _prompt_version(self, decision: Decision) -> str | None:
        """Of the model call that the decision names."""
        if decision.model_call_id is None:
            return None
        calls = self.engine.ledger.model_calls(decision.cycle_id, decision.instrument)
        return next((call.prompt_version for call in calls if call.id == decision.model_call_id), None)


def calibrate(engine: Engine, now: datetime) -> tuple[Calibration, ...]:
    """Fits each model and prompt with grades known by `now`; those that are not on record yet are recorded and returned.

    Raises:
        LedgerError: the ledger refused.
    """
    ledger, made = engine.ledger, []
    newest = ledger.grades(known_by=now, opinions=True)
    models = {(grade.model_digest, grade.prompt_version) for grade in newest}
    for digest, version in sorted((d, v) for d, v in models if d is not None and v is not None):
        of_model = ledger.grades(model_digest=digest, prompt_version=version, known_by=now, opinions=True)
        fitted = fit(of_model, settings=engine.settings.confidence, now=now)
        if fitted is None:
            continue
        held = ledger.calibration(digest, version, fitted.source, fitted.known_until)
        if held is None or held.id != fitted.id:
            ledger.record_calibration(fitted)
            made.append(fitted)
    return tuple(made)
