"""From a decision through the risk gate to the venue: what the gate plans, both venues take as it is."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ffe.decision.models import Action, Author, Decision
from ffe.market.models import Timeframe
from ffe.orders.models import Leg, OrderState
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.models import Denial
from ffe.settings import RiskSettings

NOW = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)


def planned(market: Any, action: Action, atr_share: str = "0.004", reserved: Decimal = Decimal(0)) -> Any:
    broker, instrument = market.broker, market.instrument
    quote = broker.quote(instrument)
    decision = Decision(
        id="d1",
        cycle_id="c1",
        instrument=instrument.symbol,
        timeframe=Timeframe.M5,
        bar_close=NOW,
        action=action,
        confidence=80,
        decided_by=Author.MODEL,
        reason_code="model",
        reasoning="a test",
        decided_at=NOW,
    )
    return plan_trade(
        decision,
        context_atr=quote.mid * Decimal(atr_share),
        account=broker.account_state([instrument]),
        reserved=reserved,
        spec=broker.spec(instrument),
        quote=quote,
        position=broker.position(instrument),
        settings=RiskSettings(),
        instrument=instrument,
    )


def fresh(plan: TradePlan, name: str) -> Any:
    """The request under an id of its own: these tests trade the same bar again and again."""
    return plan.request.model_copy(update={"client_order_id": name})


def test_a_planned_entry_and_its_planned_close_are_filled_as_they_are(market: Any) -> None:
    name = f"planned-{market.broker.venue}"
    before = market.broker.account_state([market.instrument])
    entry = planned(market, Action.BUY)
    assert isinstance(entry, TradePlan)
    filled = market.submit(fresh(entry, f"{name}-entry"))
    assert filled.state is OrderState.FILLED
    assert filled.filled_units == entry.intent.units
    assert filled.protection_ids
    after = market.broker.account_state([market.instrument])
    assert before.available - after.available <= entry.intent.reserve_amount
    again = planned(market, Action.BUY)
    assert isinstance(again, Denial)
    assert again.code == "already_long"
    close = planned(market, Action.SELL)
    assert isinstance(close, TradePlan)
    assert close.intent.leg is Leg.EXIT
    assert (
        close.intent.cancel_first == close.request.cancel_first == market.broker.position(market.instrument).protection
    )
    assert market.submit(fresh(close, f"{name}-exit")).state is OrderState.FILLED
    assert market.broker.position(market.instrument).units == 0


def test_a_planned_short_is_filled_at_oanda(oanda_market: Any) -> None:
    plan = planned(oanda_market, Action.SELL)
    assert isinstance(plan, TradePlan)
    filled = oanda_market.submit(fresh(plan, "planned-short"))
    assert filled.state is OrderState.FILLED
    assert oanda_market.broker.position(oanda_market.instrument).units == -plan.intent.units


@pytest.mark.parametrize("atr_share", ["0.0000001", "0.9"])
def test_the_tightest_and_the_widest_stop_are_both_taken(market: Any, atr_share: str) -> None:
    plan = planned(market, Action.BUY, atr_share)
    assert isinstance(plan, TradePlan)
    filled = market.submit(fresh(plan, f"{market.broker.venue}-{atr_share}"))
    assert filled.state is OrderState.FILLED


def test_what_is_reserved_elsewhere_is_not_spent_again(coinbase_market: Any) -> None:
    available = coinbase_market.broker.account_state([coinbase_market.instrument]).available
    plan = planned(coinbase_market, Action.BUY, reserved=available - 100)
    assert isinstance(plan, TradePlan)
    assert plan.sizing is not None
    assert "available" in {clamp.name for clamp in plan.sizing.clamps}
    assert 99 < plan.intent.reserve_amount <= 100
