"""The steps of a cycle up to the decision, each from one record to the next: check, ask, decide.

`bars` comes before, `ordering` after. A step that says no returns a HOLD with its author. A step that can't say anything raises,
and the flow writes the incident.
"""

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ffe.clock import rfc3339
from ffe.cycle.bars import Frames, Gated, Validate, gate, gate_frame
from ffe.cycle.engine import Engine
from ffe.decision.ask import ask
from ffe.decision.context import build_context
from ffe.decision.ensemble import after, ask_ensemble
from ffe.decision.models import Action, Author, Context, Decision, FramePulse
from ffe.decision.odds import verdict_odds
from ffe.decision.record import Weighed, decision_from_verdict, gate_hold
from ffe.decision.verdict import Verdict
from ffe.errors import ModelUnavailableError
from ffe.feedback.confidence import weigh
from ffe.feedback.memory import remember
from ffe.feedback.weights import weights
from ffe.market.models import Instrument, Timeframe
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import Freshness, QualityReport
from ffe.settings import EnsembleStrategy, PlacementPolicy
from ffe.sources.models import BarBatch, to_frame


class Checked(BaseModel):
    """Verdict of the data gates on one batch: either `hold` or `context` is set, never both. `frames`: the pulse's other batches."""

    model_config = ConfigDict(frozen=True)

    freshness: Freshness
    report: QualityReport
    hold: Decision | None = None
    context: Context | None = None
    frames: tuple[tuple[BarBatch, QualityReport], ...] = ()


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
    calendar = engine.calendar(instrument)
    if calendar.is_open(now):
        return None
    opens = calendar.next_open(now)
    reasoning = f"{instrument.symbol} is closed at {rfc3339(now)}; it opens at {rfc3339(opens)}"
    return cycle.hold(engine, instrument, Author.MARKET_HOURS, "market_closed", reasoning)


def check_batch(
    engine: Engine, cycle: Cycle, batch: BarBatch, validate: Validate, frames: Frames | None = None
) -> Checked:
    """Freshness first, then the suite; what passes both becomes the model's context, with every frame that passes them too."""
    gated = gate(engine, batch, engine.clock.now(), validate)
    freshness, report = gated.freshness, gated.report
    if not freshness.fresh:
        hold = _data_hold(engine, cycle, batch, code="stale_bars", reasoning=freshness.message, report=report)
        return Checked(freshness=freshness, report=report, hold=hold)
    if gated.table is None:
        hold = _data_hold(engine, cycle, batch, code="data_contract_failed", reasoning=gated.why, report=report)
        return Checked(freshness=freshness, report=report, hold=hold)
    others = frames or Frames()
    judged = [(frame, gate_frame(engine, frame, batch, validate)) for frame in others.batches]
    readings = _pulse(batch, gated.table, judged, others.absent)
    context = build_context(batch, gated.table, report, readings, consensus(readings))
    memory = remember(engine.ledger, context, engine.settings.memory_size, engine.settings.feedback.memory_min_grades)
    context = context.model_copy(update={"memory": memory})
    reports = tuple((frame, each.report) for frame, each in judged)
    return Checked(freshness=freshness, report=report, context=context, frames=reports)


def _pulse(
    batch: BarBatch, table: pa.Table, judged: list[tuple[BarBatch, Gated]], absent: dict[Timeframe, str]
) -> tuple[FramePulse, ...]:
    """Indicators of every timeframe. A frame that failed a gate is left out and says so; the base is what the trade hangs on."""
    passed = [(batch, table), *((frame, gated.table) for frame, gated in judged if gated.table is not None)]
    failed = {frame.timeframe: gated.why for frame, gated in judged if gated.table is None}
    return pulse(
        {each.timeframe: to_frame(bars) for each, bars in passed},
        batch.timeframe,
        absent=absent | failed,
        batches={each.timeframe: each.id for each, _ in passed},
        sources={each.timeframe: each.source for each, _ in passed},
    )


def _data_hold(
    engine: Engine, cycle: Cycle, batch: BarBatch, *, code: str, reasoning: str, report: QualityReport
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
        quality_report_id=report.id,
    )
    engine.ledger.record_decision(decision)
    return decision


def refused_placement(engine: Engine) -> str | None:
    """Why the model may not be asked where it runs; None unless the policy requires a GPU and it is not on one for certain."""
    policy = engine.settings.placement.policy
    if policy is not PlacementPolicy.REQUIRE_GPU:
        return None
    from ffe.llm.placement import check_placement, enforce

    return enforce(check_placement(engine.settings, engine.clock), policy)


def ask_model(engine: Engine, cycle_id: str, context: Context, seconds: float | None = None) -> Verdict:
    """The model's verdict, or the ensemble's, recorded with its question and every call before anybody uses it.

    After `seconds` nothing further is asked: no repair, no other member. One call is bounded by its adapter. A cycle asks once about an
    instrument: where another process has its verdict on these bars already, that one is given.
    """
    earlier = _earlier(engine, cycle_id, context)
    if earlier is not None:
        return earlier
    ensemble, barred = engine.settings.ensemble, None if seconds is None else after(seconds)
    if ensemble.strategy is EnsembleStrategy.OFF:
        verdict = ask(engine.model, context, engine.clock, barred=barred)
    else:
        weighed = _weights(engine, context)
        verdict = ask_ensemble(engine.model_named, context, engine.clock, ensemble, weighed, barred=barred)
    if not engine.ledger.record_verdict(cycle_id, context, verdict, engine.clock.now()):
        return recorded_verdict(engine, cycle_id, context)
    return verdict


def _earlier(engine: Engine, cycle_id: str, context: Context) -> Verdict | None:
    asked = engine.ledger.verdict(cycle_id, context.instrument.symbol)
    return None if asked is None or asked.context.batch_id != context.batch_id else asked.verdict


def _weights(engine: Engine, context: Context) -> dict[str, float] | None:
    """What each member's votes had been worth when the bar closed; None unless the settings weigh them."""
    return weights(engine.ledger.graded_votes(context.bar_close)) if engine.settings.ensemble.weighted else None


def recorded_verdict(engine: Engine, cycle_id: str, context: Context) -> Verdict:
    """The verdict that another process wrote down for this cycle.

    Raises:
        ModelUnavailableError: it wrote none, or one about other bars.
    """
    symbol = context.instrument.symbol
    asked = engine.ledger.verdict(cycle_id, symbol)
    if asked is None:
        raise ModelUnavailableError(f"no verdict is recorded for {symbol} in cycle {cycle_id}")
    if asked.context.batch_id != context.batch_id:
        raise ModelUnavailableError(
            f"the verdict on {symbol} in cycle {cycle_id} is about batch {asked.context.batch_id}, not {context.batch_id}"
        )
    return asked.verdict


def decide(engine: Engine, cycle: Cycle, context: Context, verdict: Verdict) -> Decision:
    """Not recorded yet: the risk gate has still to speak. A HOLD is, since nobody can change it any more."""
    decision = decision_from_verdict(
        verdict, context, cycle_id=cycle.id, decided_at=engine.clock.now(), weighed=_weighed(engine, context, verdict)
    )
    if decision.action is Action.HOLD:
        engine.ledger.record_decision(decision)
    return decision


def _weighed(engine: Engine, context: Context, verdict: Verdict) -> Weighed | None:
    """The answer's confidence by the source that the settings name, from what was known when its bar closed."""
    call, settings = verdict.spoken, engine.settings.confidence
    if verdict.answer is None or call is None or call.identity is None:
        return None
    odds = verdict_odds(verdict)
    digest, prompt, known_by = call.identity.digest, call.prompt_version, context.bar_close
    by_token = None if odds is None else engine.ledger.calibration(digest, prompt, "token", known_by)
    known = by_token or engine.ledger.calibration(digest, prompt, "stated", known_by)
    return Weighed(*weigh(verdict.answer, odds, known, settings))
