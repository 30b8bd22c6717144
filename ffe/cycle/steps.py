"""The steps of a cycle, each from one record to the next: fetch, check, ask, plan, submit.

A step that says no returns a HOLD with its author. A step that can't say anything raises, and the flow writes the incident.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

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
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import Freshness, QualityReport
from ffe.money import ZERO
from ffe.orders.models import Intent, Leg, Order, OrderState
from ffe.orders.resolve import UNSENT, recover
from ffe.orders.service import OrderService
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.models import Denial
from ffe.sources.models import BarBatch, to_frame

Validate = Callable[[pa.Table, BarBatch, datetime], QualityReport]


class Checked(BaseModel):
    """Verdict of the data gates on one batch: either `hold` or `context` is set, never both."""

    model_config = ConfigDict(frozen=True)

    freshness: Freshness
    report: QualityReport | None = None
    hold: Decision | None = None
    context: Context | None = None


class Planned(BaseModel):
    """The decision as it stands after the risk gate, and the order it leads to, if any."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    plan: TradePlan | None = None
    available: Decimal = ZERO
    available_at: datetime


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
    freshness = _freshness(engine, batch, now)
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


def _freshness(engine: Engine, batch: BarBatch, now: datetime) -> Freshness:
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


def placed_order(engine: Engine, instrument: Instrument, timeframe: Timeframe, bar_close: datetime) -> Order | None:
    """The order that an earlier run made of this very bar, whichever leg it was."""
    account = engine.broker(instrument.venue).account
    for leg in Leg:
        order = engine.ledger.order_for(account, instrument.symbol, timeframe, bar_close, leg)
        if order is not None:
            return order
    return None


def plan_order(engine: Engine, decision: Decision, context: Context, batch: BarBatch) -> Planned:
    """Sizes a BUY or SELL from the venue's own balance, or turns it into a HOLD by the gate that refused it.

    Raises:
        VenueError: balance, specification, quote or position can't be read: no number is made up for it.
    """
    broker, instrument = engine.broker(batch.instrument.venue), batch.instrument
    available_at = engine.clock.now()
    account = broker.account_state(_held_there(engine, instrument))
    spec = broker.spec(instrument)
    engine.ledger.record_spec(spec)
    outcome = plan_trade(
        decision,
        context_atr=context.atr,
        account=account,
        reserved=engine.ledger.reserved(account.venue, account.account, account.currency),
        spec=spec,
        quote=broker.quote(instrument),
        position=broker.position(instrument),
        settings=engine.settings.risk,
        instrument=instrument,
    )
    if isinstance(outcome, Denial):
        return _refused(engine, decision, Author.RISK_GATE, outcome)
    freshness = _freshness(engine, batch, engine.clock.now())
    if not freshness.fresh:
        return _refused(engine, decision, Author.DATA_GATE, Denial(code="stale_bars", reason=freshness.message))
    engine.ledger.record_decision(decision)
    engine.ledger.record_sizing(decision.id, outcome.sizing)
    return Planned(decision=decision, plan=outcome, available=account.available, available_at=available_at)


def _refused(engine: Engine, decision: Decision, author: Author, denial: Denial) -> Planned:
    """HOLD by a gate, with the model's word kept in the reasoning and in the model call it points to."""
    said = f"{decision.action.value} at {decision.confidence} by {decision.decided_by.value}: {decision.reasoning}"
    held = decision.model_copy(
        update={
            "action": Action.HOLD,
            "confidence": 100,
            "decided_by": author,
            "reason_code": denial.code,
            "reasoning": f"{denial.reason} (was {said})",
        }
    )
    engine.ledger.record_decision(held)
    engine.ledger.record_sizing(held.id, None, denial)
    return Planned(decision=held, available_at=engine.clock.now())


def submit(engine: Engine, plan: TradePlan, batch: BarBatch, available: Decimal, available_at: datetime) -> Order:
    """Sends the planned order once and settles it. Bars that went stale on the way here deny it: nothing is sent."""
    intent, now = plan.intent, engine.clock.now()
    freshness = _freshness(engine, batch, now)
    if not freshness.fresh:
        order, created = engine.ledger.plan(intent, now)
        detail = {"message": freshness.message}
        return (
            engine.ledger.transition(order.id, OrderState.DENIED, now, reason="stale_bars", detail=detail)
            if created
            else order
        )
    return _service(engine, intent.venue).execute(intent, available, available_at)


def resume(engine: Engine, order: Order, instrument: Instrument) -> Order:
    """Carries on an order that a crash left unsent; any other is returned as it stands, settled by `recover_venue` before."""
    if order.state not in UNSENT:
        return order
    available_at = engine.clock.now()
    account = engine.broker(order.venue).account_state(_held_there(engine, instrument))
    # The stored row wins over this intent, so its confidence no longer matters.
    intent = Intent(**order.model_dump(include=set(Intent.model_fields)), confidence=0)
    return _service(engine, order.venue).execute(intent, account.available, available_at)


def _held_there(engine: Engine, instrument: Instrument) -> list[Instrument]:
    """Every instrument of the settings in the same account: equity counts what is held of each. A spot account has one quote."""
    spot = instrument.asset_class is AssetClass.CRYPTO
    others = [
        other
        for other in engine.settings.instruments
        if other.venue == instrument.venue and other != instrument and not (spot and other.quote != instrument.quote)
    ]
    return [instrument, *others]


def _service(engine: Engine, venue: str) -> OrderService:
    return OrderService(engine.ledger, engine.broker(venue), engine.clock)


def recover_venue(engine: Engine, venue: str) -> list[Order]:
    """Settles what earlier runs left open at this venue."""
    return recover(engine.ledger, engine.broker(venue), engine.clock)
