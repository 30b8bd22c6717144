"""The steps of a cycle from the decision to the order: the kill switch, what is ours to close, sizing and rules, one submission.

The model's BUY or SELL becomes a HOLD here whenever a gate says no, and the HOLD carries that gate's name.
"""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.cycle import readiness
from ffe.cycle.account import bars_per_year, held_there, managed, portfolio_for, trip
from ffe.cycle.bars import freshness_of
from ffe.cycle.engine import Engine
from ffe.cycle.steps import Cycle
from ffe.decision.models import Action, Author, Context, Decision
from ffe.market.models import Instrument, Timeframe
from ffe.money import ZERO, plain
from ffe.orders.models import Intent, Leg, Order, OrderState
from ffe.orders.resolve import UNSENT
from ffe.orders.service import OrderService
from ffe.orders.switch import SwitchState
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.models import Denial
from ffe.sources.models import BarBatch
from ffe.venues.models import Quote

# Legs that a model's decision may lead to; the others belong to protection and to the kill switch.
DECIDED = (Leg.ENTRY, Leg.EXIT)
# As between two sources of the same bars, or five average ranges where a bar spans more.
QUOTE_DIVERGENCE, QUOTE_RANGES = Decimal("0.02"), 5
# Nobody is asked in these positions of the switch.
STOPPED = frozenset({SwitchState.HALT, SwitchState.FLATTEN})


class Planned(BaseModel):
    """The decision as it stands after the risk gate, and the order it leads to, if any."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    plan: TradePlan | None = None
    available: Decimal = ZERO
    available_at: datetime


def halted(engine: Engine, cycle: Cycle, instrument: Instrument) -> Decision | None:
    """HOLD by `halt` while the kill switch keeps everybody from deciding; None otherwise."""
    switch = engine.ledger.switch()
    if switch.state not in STOPPED:
        return None
    reasoning = f"the kill switch is at {switch}"
    return cycle.hold(engine, instrument, Author.HALT, f"kill_switch_{switch.state.name.lower()}", reasoning)


def placed_order(engine: Engine, instrument: Instrument, timeframe: Timeframe, bar_close: datetime) -> Order | None:
    """The order that an earlier run made of this very bar, whichever leg it was."""
    account = engine.broker(instrument.venue).account
    for leg in DECIDED:
        order = engine.ledger.order_for(account, instrument.symbol, timeframe, bar_close, leg)
        if order is not None:
            return order
    return None


def plan_order(engine: Engine, decision: Decision, context: Context, batch: BarBatch) -> Planned:
    """Sizes a BUY or SELL from the venue's own balance, or turns it into a HOLD by the gate that refused it.

    Raises:
        VenueError: balance, specification, quote or position can't be read: no number is made up for it.
    """
    unready = readiness.denial(engine, batch.instrument.venue)
    if unready is not None:
        return _refused(engine, decision, Author.RISK_GATE, unready)
    broker, instrument = engine.broker(batch.instrument.venue), batch.instrument
    available_at = engine.clock.now()
    account = broker.account_state(held_there(engine, instrument))
    spec, quote = broker.spec(instrument), broker.quote(instrument)
    engine.ledger.record_spec(spec)
    elsewhere = _elsewhere(context, quote)
    if elsewhere is not None:
        return _refused(engine, decision, Author.DATA_GATE, elsewhere)
    outcome = plan_trade(
        decision,
        context_atr=context.atr,
        account=account,
        reserved=engine.ledger.reserved(account.venue, account.account, account.currency),
        spec=spec,
        quote=quote,
        position=managed(engine, broker, instrument),
        settings=engine.settings.risk,
        instrument=instrument,
        portfolio=portfolio_for(engine, account, instrument, quote),
        bars_per_year=bars_per_year(instrument, decision.timeframe),
    )
    trip(engine, outcome.verdicts)
    if isinstance(outcome, Denial):
        return _refused(engine, decision, Author.RISK_GATE, outcome)
    freshness = freshness_of(engine, batch, engine.clock.now())
    if not freshness.fresh:
        return _refused(engine, decision, Author.DATA_GATE, Denial(code="stale_bars", reason=freshness.message))
    denial = _stopped(engine, outcome.intent)
    if denial is not None:
        return _refused(engine, decision, *denial)
    engine.ledger.record_decision(decision)
    engine.ledger.record_sizing(decision.id, outcome.sizing, verdicts=outcome.verdicts)
    return Planned(decision=decision, plan=outcome, available=account.available, available_at=available_at)


def _elsewhere(context: Context, quote: Quote) -> Denial | None:
    """Bars whose newest close is nowhere near the quote that would be traded on are of another market, unit or hour.

    A market moves on after its bar closed: several average ranges are allowed, and never less than `QUOTE_DIVERGENCE`.
    """
    middle, close = (quote.bid + quote.ask) / 2, context.last_close
    limit = max(QUOTE_DIVERGENCE, QUOTE_RANGES * context.atr / close)
    apart = abs(middle - close) / close
    if apart <= limit:
        return None
    reason = (
        f"the bars close at {plain(close)} and the venue quotes {plain(middle)}: {apart:.2%} apart, limit {limit:.2%}"
    )
    return Denial(code="quote_divergence", reason=reason)


def _stopped(engine: Engine, intent: Intent) -> tuple[Author, Denial] | None:
    """Why this order may not go out although sizing and rules let it: the kill switch, or an unsettled difference."""
    switch = engine.ledger.switch()
    if not switch.allows(intent.leg):
        text = f"the kill switch is at {switch}"
        return Author.HALT, Denial(code=f"kill_switch_{switch.state.name.lower()}", reason=text)
    differences = engine.ledger.blocking(intent.venue, intent.account, intent.instrument) if intent.leg.opens else []
    if differences:
        text = "; ".join(f"{each.kind} {each.id[:8]}: {each.message}" for each in differences)
        return Author.RISK_GATE, Denial(code="unreconciled", reason=f"{text} (`ffe reconcile`)")
    return None


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
    engine.ledger.record_sizing(held.id, None, denial, denial.verdicts)
    return Planned(decision=held, available_at=engine.clock.now())


def submit(engine: Engine, plan: TradePlan, batch: BarBatch, available: Decimal, available_at: datetime) -> Order:
    """Sends the planned order once and settles it. Bars that went stale on the way here deny it: nothing is sent."""
    intent, now = plan.intent, engine.clock.now()
    freshness = freshness_of(engine, batch, now)
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
    """Carries on an order that a crash left unsent; any other is returned as it stands, settled by reconciliation before.

    Without a preflight that stands it stays unsent, and reconciliation denies it once it is too old.
    """
    if order.state not in UNSENT or readiness.denial(engine, order.venue) is not None:
        return order
    available_at = engine.clock.now()
    account = engine.broker(order.venue).account_state(held_there(engine, instrument))
    # The stored row wins over this intent, so its confidence no longer matters.
    intent = Intent(**order.model_dump(include=set(Intent.model_fields)), confidence=0)
    return _service(engine, order.venue).execute(intent, account.available, available_at)


def _service(engine: Engine, venue: str) -> OrderService:
    return OrderService(engine.ledger, engine.broker(venue), engine.clock)
