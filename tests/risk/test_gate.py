"""From a decision to an order request, or to every reason why not."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.market.models import parse_instrument
from ffe.orders.models import Intent, Leg, Order, OrderState, Side
from ffe.orders.request import request_for
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.models import Denial
from ffe.risk.rules import RULES, SIGNAL_RULES
from ffe.settings import SizingMethod


def plan(make: SimpleNamespace, symbol: str = "BTCUSD", **given: Any) -> Any:
    return plan_trade(
        given.get("decision", make.decision(symbol)),
        context_atr=Decimal(str(given.get("atr", 100))),
        account=given.get("account", make.account()),
        reserved=Decimal(0),
        spec=given.get("spec", make.spec(symbol)),
        quote=given.get("quote", make.quote(symbol)),
        position=given.get("position", make.position(symbol)),
        settings=given.get("settings", make.settings),
        instrument=parse_instrument(symbol),
        portfolio=given.get("portfolio"),
        bars_per_year=given.get("bars_per_year"),
    )


def test_a_confident_buy_becomes_a_protected_order(make: SimpleNamespace) -> None:
    found = plan(make)
    assert isinstance(found, TradePlan)
    intent, request = found.intent, found.request
    assert found.sizing is not None
    assert (intent.leg, intent.side, intent.units) == (Leg.ENTRY, Side.BUY, found.sizing.units)
    assert (intent.venue, intent.account, intent.instrument) == ("coinbase", "acct-1", "BTCUSD")
    assert intent.reference_price == 7000
    assert request.client_order_id == intent.client_order_id
    assert (request.stop_loss, request.take_profit, request.price_bound) == (6800, 7300, 7035)
    assert not request.reduce_only
    assert request.cancel_first == ()
    assert intent.reserve_amount > 0


def test_a_sell_of_what_is_held_closes_all_of_it_and_reserves_nothing(make: SimpleNamespace) -> None:
    found = plan(
        make, decision=make.decision(action="SELL"), position=make.position(units="0.3", protection=("p1", "p2"))
    )
    assert isinstance(found, TradePlan)
    assert found.sizing is None
    assert (found.intent.leg, found.intent.units) == (Leg.EXIT, Decimal("0.3"))
    assert found.intent.reserve_amount == 0
    assert found.request.reduce_only
    assert found.request.cancel_first == ("p1", "p2")
    assert found.request.price_bound == Decimal("6964.51")
    assert (found.request.stop_loss, found.request.take_profit) == (None, None)


def test_a_close_is_cut_to_what_one_order_may_hold(make: SimpleNamespace) -> None:
    sell = make.decision(action="SELL")
    held = make.position(units=5)
    assert plan(make, decision=sell, position=held, spec=make.spec(max_size=Decimal(2))).intent.units == 2
    assert plan(make, decision=sell, position=held, spec=make.spec(max_size=None)).intent.units == 5


def test_hold_submits_nothing(make: SimpleNamespace) -> None:
    found = plan(make, decision=make.decision(action="HOLD", confidence=100))
    assert isinstance(found, Denial)
    assert found.code == "hold"


@pytest.mark.parametrize(
    ("given", "code", "numbers"),
    [
        ({"decision": {"confidence": 69}}, "confidence_below_floor", ("69", "70")),
        ({"spec": {"tradeable": False, "status": "trading_disabled"}}, "not_tradeable", ("trading_disabled",)),
        ({"quote": {"tradeable": False, "status": "halted"}}, "not_tradeable", ("halted",)),
        ({"quote": {"bid": "7100", "ask": "7000"}}, "bad_quote", ("7100", "7000")),
        ({"quote": {"bid": "0", "ask": "7000"}}, "bad_quote", ("0", "7000")),
        ({"quote": {"bid": "6900", "ask": "7000"}}, "spread_too_wide", ("1.4388 %", "0.5 %")),
        ({"decision": {"action": "SELL"}}, "nothing_to_sell", ("0",)),
        ({"position": {"units": "0.5"}}, "already_long", ("0.5",)),
        ({"account": {"equity": 0}}, "no_balance", ("0",)),
        ({"decision": {"bar_close": None}}, "rule_failed", ("belongs to no bar",)),
        ({"atr": "-1"}, "no_atr", ("-1",)),
        ({"atr": "NaN"}, "no_atr", ("NaN",)),
    ],
    ids=str,
)
def test_each_rule_denies_and_names_its_numbers(
    make: SimpleNamespace, given: dict[str, Any], code: str, numbers: tuple[str, ...]
) -> None:
    built = {key: value if key == "atr" else getattr(make, key)(**value) for key, value in given.items()}
    found = plan(make, **built)
    assert isinstance(found, Denial)
    assert found.code == code
    assert all(number in found.reason for number in numbers)


def test_every_broken_rule_is_named_and_the_first_gives_the_code(make: SimpleNamespace) -> None:
    found = plan(
        make,
        decision=make.decision(action="SELL", confidence=10),
        spec=make.spec(tradeable=False, status="halted"),
        quote=make.quote(bid="6900", ask="7000"),
    )
    assert isinstance(found, Denial)
    assert found.code == "not_tradeable"
    assert found.reason.count(";") == 3
    assert all(word in found.reason for word in ("halted", "on spot", "min_confidence", "max_spread"))
    assert [verdict.rule for verdict in found.verdicts if not verdict.allowed] == ["confidence", "spread"]


def test_a_close_is_not_held_back_by_low_confidence_or_a_wide_spread(make: SimpleNamespace) -> None:
    found = plan(
        make,
        decision=make.decision(action="SELL", confidence=5),
        position=make.position(units="0.3"),
        quote=make.quote(bid="6900", ask="7000"),
    )
    assert isinstance(found, TradePlan)


def test_a_close_on_a_halted_market_is_denied(make: SimpleNamespace) -> None:
    found = plan(
        make,
        decision=make.decision(action="SELL"),
        position=make.position(units="0.3"),
        quote=make.quote(tradeable=False, status="halted"),
    )
    assert isinstance(found, Denial)
    assert found.code == "not_tradeable"


def test_a_rule_that_raises_is_a_closed_gate(make: SimpleNamespace) -> None:
    found = plan(make, spec=make.spec(size_increment=Decimal(0)))
    assert isinstance(found, Denial)
    assert found.code == "rule_failed"
    assert "increment 0 is not positive" in found.reason


def test_a_short_entry_at_oanda_is_protected_above(make: SimpleNamespace) -> None:
    found = plan(
        make,
        "EURUSD",
        decision=make.decision("EURUSD", "SELL"),
        quote=make.quote("EURUSD", "1.19990", "1.20000"),
        atr="0.001",
    )
    assert isinstance(found, TradePlan)
    request = found.request
    assert request.stop_loss is not None
    assert request.take_profit is not None
    assert request.price_bound is not None
    assert request.stop_loss > Decimal("1.2") > request.price_bound > request.take_profit


def order_of(intent: Intent) -> Order:
    now = datetime(2018, 4, 4, tzinfo=UTC)
    shared = set(Order.model_fields) & set(Intent.model_fields)
    return Order(
        id="o1",
        client_order_id=intent.client_order_id,
        state=OrderState.UNRESOLVED,
        reason=None,
        venue_order_id=None,
        checkpoint="7",
        filled_units=Decimal(0),
        average_price=None,
        fees=Decimal(0),
        created_at=now,
        updated_at=now,
        **{name: getattr(intent, name) for name in shared},
    )


@pytest.mark.parametrize("action", ["BUY", "SELL"])
def test_the_request_is_rebuilt_from_the_ledgers_order_as_it_was_sent(make: SimpleNamespace, action: str) -> None:
    held = make.position(units="0.3", protection=("p1",)) if action == "SELL" else make.position()
    found = plan(make, decision=make.decision(action=action), position=held)
    assert isinstance(found, TradePlan)
    again = request_for(order_of(found.intent))
    assert again == found.request


def forex(make: SimpleNamespace, action: str = "BUY", **given: Any) -> Any:
    """EURUSD at 1.2 with a stop 0.002 away."""
    book = {"decision": make.decision("EURUSD", action), "quote": make.quote("EURUSD", "1.19990", "1.20000")}
    return plan(make, "EURUSD", **(book | {"atr": "0.001"} | given))


def test_a_plan_keeps_what_every_rule_said(make: SimpleNamespace) -> None:
    found = plan(make)
    assert isinstance(found, TradePlan)
    assert [verdict.rule for verdict in found.verdicts] == [rule.__module__.rpartition(".")[2] for rule in RULES]
    assert all(verdict.allowed for verdict in found.verdicts)


def test_a_refusal_keeps_what_every_rule_said_and_names_each_that_refused(make: SimpleNamespace) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, 6000),), trades=(make.trade(ago=10),))
    found = plan(make, portfolio=book)
    assert isinstance(found, Denial)
    assert found.code == "cooldown"
    assert [verdict.code for verdict in found.verdicts if not verdict.allowed] == ["cooldown", "max_correlated"]
    assert len(found.verdicts) == len(RULES)
    assert found.reason.count("; ") == 1


def test_what_makes_an_entry_impossible_comes_before_what_refuses_it(make: SimpleNamespace) -> None:
    """Without a balance nothing can be sized, yet the rules that need no size are asked."""
    book = make.portfolio(0, peak_equity=Decimal(10000))
    found = plan(make, account=make.account(equity=0), portfolio=book)
    assert isinstance(found, Denial)
    assert found.code == "no_balance"
    assert [verdict.rule for verdict in found.verdicts] == [rule.__module__.rpartition(".")[2] for rule in SIGNAL_RULES]
    assert [verdict.rule for verdict in found.verdicts if verdict.trips] == ["drawdown"]
    assert "below its peak" in found.reason


def test_a_size_that_the_rules_made_too_small_is_denied_with_the_limit_that_did_it(make: SimpleNamespace) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, "4999.5"),))
    found = plan(make, portfolio=book)
    assert isinstance(found, Denial)
    assert found.code == "below_minimum"
    assert "4999.5 of at most 5000 USD" in found.reason
    assert len(found.verdicts) == len(RULES)


@pytest.mark.parametrize("held", ["0.3", "-0.3"])
def test_no_rule_holds_a_close_back(make: SimpleNamespace, held: str) -> None:
    """An account that every rule would stop: it may still leave."""
    book = make.portfolio(
        1,
        day_start_equity=Decimal(10000),
        peak_equity=Decimal(10000),
        positions=(make.holding("BTCUSD", held, 90000, None, 0), make.holding("ETHUSD", 1, 90000, None)),
        trades=(make.trade(ago=0, held=0),) * 9,
    )
    action = "SELL" if held == "0.3" else "BUY"
    settings = make.settings.model_copy(update={"max_var": Decimal("0.01")})
    found = plan(
        make,
        decision=make.decision(action=action, confidence=0),
        position=make.position(units=held),
        account=make.account(1, 0),
        portfolio=book,
        settings=settings,
    )
    assert isinstance(found, TradePlan)
    assert (found.intent.leg, found.verdicts) == (Leg.EXIT, ())


def test_a_trailing_stop_takes_the_place_of_the_fixed_one(make: SimpleNamespace) -> None:
    settings = make.settings.model_copy(update={"trailing_stop": True})
    found = forex(make, settings=settings, spec=make.spec("EURUSD", min_trailing_distance=Decimal("0.0005")))
    assert isinstance(found, TradePlan)
    assert (found.intent.stop_loss, found.intent.trailing_distance) == (None, Decimal("0.00200"))
    assert (found.request.stop_loss, found.request.trailing_distance) == (None, Decimal("0.00200"))
    assert found.request.take_profit == Decimal("1.20300")
    assert found.sizing is not None
    assert found.sizing.stop_loss == Decimal("1.19800")


def test_a_venue_without_trailing_stops_gets_a_fixed_one(make: SimpleNamespace) -> None:
    found = plan(make, settings=make.settings.model_copy(update={"trailing_stop": True}))
    assert (found.intent.stop_loss, found.intent.trailing_distance) == (6800, None)


def test_a_reversal_is_two_plans_and_the_second_opens_the_other_way(make: SimpleNamespace) -> None:
    settings = make.settings.model_copy(update={"reverse": True})
    close = forex(make, "SELL", position=make.position("EURUSD", 1000), settings=settings)
    assert (close.intent.leg, close.intent.units, close.then_reverse) == (Leg.EXIT, 1000, True)
    assert close.request.reduce_only
    long = make.trade("EURUSD", ago=1)
    opening = forex(make, "SELL", settings=settings, portfolio=make.portfolio(trades=(long,)))
    assert isinstance(opening, TradePlan)
    assert (opening.intent.leg, opening.intent.side, opening.then_reverse) == (Leg.ENTRY, Side.SELL, False)
    assert opening.intent.client_order_id != close.intent.client_order_id


def test_a_position_that_was_just_opened_is_closed_but_not_turned_around(make: SimpleNamespace) -> None:
    settings = make.settings.model_copy(update={"reverse": True})
    book = make.portfolio(positions=(make.holding("EURUSD", 1000, 1200, 2, 60),))
    close = forex(make, "SELL", position=make.position("EURUSD", 1000), settings=settings, portfolio=book)
    assert isinstance(close, TradePlan)
    after = make.portfolio(trades=(make.trade("EURUSD", ago=1, held=60),))
    opening = forex(make, "SELL", settings=settings, portfolio=after)
    assert isinstance(opening, Denial)
    assert opening.code == "minimum_hold"


def test_without_a_portfolio_an_account_without_history_is_assumed(make: SimpleNamespace) -> None:
    assert plan(make) == plan(make, portfolio=make.portfolio())


def test_a_method_that_has_nothing_to_go_by_denies(make: SimpleNamespace) -> None:
    settings = make.settings.model_copy(update={"sizing": SizingMethod.VOLATILITY_TARGET})
    found = plan(make, settings=settings)
    assert isinstance(found, Denial)
    assert found.code == "no_volatility"
    assert isinstance(plan(make, settings=settings, bars_per_year=Decimal(105120)), TradePlan)
