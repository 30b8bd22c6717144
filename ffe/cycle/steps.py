"""The steps of a cycle up to the decision, each from one record to the next: fetch, check, ask. `ordering` carries on from there.

A step that says no returns a HOLD with its author. A step that can't say anything raises, and the flow writes the incident.
"""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.cycle.engine import Engine
from ffe.decision.ask import Verdict, ask, verdict_of
from ffe.decision.context import build_context
from ffe.decision.models import Action, Author, Context, Decision
from ffe.decision.record import decision_from_verdict, gate_hold
from ffe.errors import ModelUnavailableError, TransientSourceError
from ffe.market.calendar import calendar_for, lookback_start
from ffe.market.freshness import check_freshness
from ffe.market.models import Instrument, Timeframe
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import Freshness, QualityReport
from ffe.sources.models import BarBatch, to_frame

Validate = Callable[[pa.Table, BarBatch, datetime], QualityReport]


class Checked(BaseModel):
    """Verdict of the data gates on one batch: either `hold` or `context` is set, never both."""

    model_config = ConfigDict(frozen=True)

    freshness: Freshness
    report: QualityReport | None = None
    hold: Decision | None = None
    context: Context | None = None


class Cycle(BaseModel):
    """What every step of one cycle shares."""

    model_config = ConfigDict(frozen=True)

    id: str
    timeframe: Timeframe

    def hold(self, engine: Engine, instrument: Instrument, author: Author, code: str, reasoning: str) -> Decision:
        """A recorded HOLD that belongs to no batch."""
        decision = gate_hold(
            author,
            code,
            reasoning,
            cycle_id=self.id,
            instrument=instrument.symbol,
            timeframe=self.timeframe,
            decided_at=engine.clock.now(),
        )
        engine.ledger.record_decision(decision)
        return decision


def closed_market(engine: Engine, cycle: Cycle, instrument: Instrument) -> Decision | None:
    """HOLD by `market-hours` while the instrument's market is closed: a closed market is neither an error nor stale."""
    now = engine.clock.now()
    calendar = calendar_for(instrument)
    if calendar.is_open(now):
        return None
    opens = calendar.next_open(now)
    reasoning = f"{instrument.symbol} is closed at {rfc3339(now)}; it opens at {rfc3339(opens)}"
    return cycle.hold(engine, instrument, Author.MARKET_HOURS, "market_closed", reasoning)


def fetch_batch(engine: Engine, instrument: Instrument, timeframe: Timeframe) -> BarBatch:
    """The newest complete bars, stored and recorded.

    Raises:
        SourceError: the source failed, or has no bar at all.
    """
    now = engine.clock.now()
    wanted = engine.settings.lookback_bars
    # One more, for the bar that is still running: the source leaves it out.
    start = lookback_start(calendar_for(instrument), timeframe, wanted + 1, now)
    source = engine.source(instrument)
    table = source.fetch(instrument, timeframe, start, now)
    if table.num_rows == 0:
        raise TransientSourceError(f"{source.name} has no complete {timeframe.value} bar of {instrument.symbol}")
    table = table.slice(max(0, table.num_rows - wanted))
    engine.store.upsert(instrument, timeframe, source.name, table)
    batch = engine.store.write_batch(instrument, timeframe, source.name, table, now)
    engine.ledger.record_batch(batch)
    return batch


def check_batch(engine: Engine, cycle: Cycle, batch: BarBatch, validate: Validate) -> Checked:
    """Freshness first, then the suite; what passes both becomes the model's context."""
    now = engine.clock.now()
    freshness = freshness_of(engine, batch, now)
    if not freshness.fresh:
        return Checked(
            freshness=freshness, hold=_data_hold(engine, cycle, batch, code="stale_bars", reasoning=freshness.message)
        )
    table = engine.store.load(batch)
    report = validate(table, batch, now)
    engine.ledger.record_quality(report)
    if not report.passed:
        reasoning = "; ".join(f"{finding.check}: {finding.message}" for finding in report.critical)
        hold = _data_hold(engine, cycle, batch, code="data_contract_failed", reasoning=reasoning, report=report)
        return Checked(freshness=freshness, report=report, hold=hold)
    frames = pulse(to_frame(table), batch.timeframe)
    context = build_context(batch, table, report, frames, consensus(frames))
    return Checked(freshness=freshness, report=report, context=context)


def freshness_of(engine: Engine, batch: BarBatch, now: datetime) -> Freshness:
    """Age of a batch's newest bar at `now`, against the calendar and the settings' limits."""
    calendar = calendar_for(batch.instrument)
    return check_freshness(batch.bar_close, batch.timeframe, now, calendar, engine.settings.freshness)


def _data_hold(
    engine: Engine, cycle: Cycle, batch: BarBatch, *, code: str, reasoning: str, report: QualityReport | None = None
) -> Decision:
    decision = gate_hold(
        Author.DATA_GATE,
        code,
        reasoning,
        cycle_id=cycle.id,
        instrument=batch.instrument.symbol,
        timeframe=batch.timeframe,
        decided_at=engine.clock.now(),
        bar_close=batch.bar_close,
        batch_id=batch.id,
        quality_report_id=None if report is None else report.id,
    )
    engine.ledger.record_decision(decision)
    return decision


def ask_model(engine: Engine, cycle_id: str, context: Context) -> Verdict:
    """The model's verdict, every call of it recorded before it is used."""
    verdict = ask(engine.model, context, engine.clock)
    engine.ledger.record_model_calls(cycle_id, context.instrument.symbol, context.bar_close, verdict.calls)
    return verdict


def recorded_verdict(engine: Engine, cycle_id: str, context: Context) -> Verdict:
    """The verdict that another process wrote down for this cycle.

    Raises:
        ModelUnavailableError: it wrote none.
    """
    calls = engine.ledger.model_calls(cycle_id, context.instrument.symbol)
    if not calls:
        raise ModelUnavailableError(f"no model call is recorded for {context.instrument.symbol} in cycle {cycle_id}")
    return verdict_of(calls)


def decide(engine: Engine, cycle: Cycle, context: Context, verdict: Verdict) -> Decision:
    """Not recorded yet: the risk gate has still to speak. A HOLD is, since nobody can change it any more."""
    decision = decision_from_verdict(verdict, context, cycle_id=cycle.id, decided_at=engine.clock.now())
    if decision.action is Action.HOLD:
        engine.ledger.record_decision(decision)
    return decision
