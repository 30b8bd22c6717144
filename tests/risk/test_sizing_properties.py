"""What holds for every planned entry, whatever the venue's rules, the account, what is held and how sizes are found."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ffe.market.models import parse_instrument
from ffe.orders.models import Leg
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.portfolio import Held
from ffe.risk.rules.correlated_exposure import correlated
from ffe.settings import RiskSettings, SizingMethod

CRYPTO, FOREX = ("BTCUSD", "ETHUSD"), ("EURUSD", "GBPUSD", "USDJPY", "EURGBP", "EURJPY", "AUDNZD", "USDCHF")
NAMES_OF_LEVELS = {"stop_min", "stop_max", "price_bound", "min_trailing_distance", "kelly_locked"}
EXACT = Decimal("1e-9")


@st.composite
def specs(draw: st.DrawFn, crypto: bool) -> dict[str, Any]:
    """Any tick, lot and limits."""
    tick = Decimal(1).scaleb(-draw(st.integers(2, 5)))
    lot = Decimal(1).scaleb(-draw(st.integers(0, 8)))
    maybe = st.none() | st.integers(1, 10**7).map(Decimal)
    return {
        "price_increment": tick,
        "size_increment": lot,
        "min_size": lot * draw(st.integers(1, 100)),
        "max_size": draw(maybe),
        "min_notional": draw(st.none() | st.integers(1, 50).map(Decimal)),
        "max_notional": draw(maybe),
        "margin_rate": None if crypto else Decimal(draw(st.integers(1, 50))) / 100,
        "taker_fee_rate": Decimal(draw(st.integers(0, 60))) / 10000,
        "min_trailing_distance": None if crypto else draw(st.integers(1, 200)) * tick,
    }


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Any pair, price, balance, ATR, method and portfolio: sane or not."""
    crypto = draw(st.booleans())
    symbol = draw(st.sampled_from(CRYPTO if crypto else FOREX))
    spec = draw(specs(crypto))
    tick = spec["price_increment"]
    bid = draw(st.integers(1000, 10_000_000)) * tick
    equity = Decimal(draw(st.integers(100, 10**9))) / 100
    available = equity * draw(st.integers(1, 110)) / 100
    held = [
        (
            other,
            draw(st.sampled_from((1, -1))),
            equity * draw(st.integers(0, 20)) / 100,
            draw(st.sampled_from((None, 50, 100))),
        )
        for other in draw(st.lists(st.sampled_from(CRYPTO if crypto else FOREX), max_size=2, unique=True))
        if other != symbol
    ]
    results = st.integers(-200, 400).map(lambda bps: Decimal(bps) / 10000)
    return {
        "symbol": symbol,
        "action": "BUY" if crypto else draw(st.sampled_from(("BUY", "SELL"))),
        "spec": spec,
        "bid": bid,
        "ask": bid + draw(st.integers(0, 4)) * tick,
        "atr": draw(st.integers(0, 3000)) * bid / 100_000,
        "equity": equity,
        "available": available,
        "hold": equity * draw(st.integers(0, 5)) / 100,
        "reserved": available * draw(st.integers(0, 60)) / 100,
        "factor": Decimal(draw(st.integers(1, 2 * 10**12))).scaleb(-10),
        "held": held,
        "results": draw(st.lists(results, min_size=0, max_size=4)) * draw(st.sampled_from((1, 20))),
        "risk": RiskSettings(
            sizing=draw(st.sampled_from(SizingMethod)),
            trailing_stop=draw(st.booleans()),
            per_trade=draw(st.sampled_from((Decimal("0.01"), Decimal("0.0013")))),
            max_heat=draw(st.sampled_from((Decimal("0.06"), Decimal("0.3")))),
            max_var=draw(st.none() | st.just(Decimal("0.02"))),
            loss_streak=100,
            min_reward_risk=Decimal(0),
        ),
        "returns": draw(st.lists(results, min_size=40, max_size=40)),
    }


def plan_of(make: SimpleNamespace, case: dict[str, Any]) -> tuple[Any, Any]:
    symbol = case["symbol"]
    money = parse_instrument(symbol).quote
    factor = Decimal(1) if money == "USD" else case["factor"]
    held = tuple(
        make.holding(name, sign, notional, None if share is None else notional / share)
        for name, sign, notional, share in case["held"]
    )
    returns = tuple(case["returns"])
    book = make.portfolio(
        case["equity"],
        positions=held,
        trades=tuple(make.trade(symbol, result, ago=6000) for result in case["results"]),
        returns=dict.fromkeys((symbol, *(one.instrument for one in held)), returns),
    )
    outcome = plan_trade(
        make.decision(symbol, case["action"]),
        context_atr=case["atr"],
        account=make.account(case["equity"], case["available"], case["hold"], **{money: factor}),
        reserved=case["reserved"],
        spec=make.spec(symbol, **case["spec"]),
        quote=make.quote(symbol, case["bid"], case["ask"]),
        position=make.position(symbol),
        settings=case["risk"],
        instrument=parse_instrument(symbol),
        portfolio=book,
        bars_per_year=Decimal(105120),
    )
    return outcome, (factor, held)


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_a_size_never_breaks_a_limit_whatever_the_spec(make: SimpleNamespace, case: dict[str, Any]) -> None:
    plan, (factor, held) = plan_of(make, case)
    if not isinstance(plan, TradePlan):
        assert plan.code
        assert plan.reason
        return
    assert plan.sizing is not None
    assert plan.intent.leg is Leg.ENTRY
    assert len(plan.verdicts) == 15
    assert all(verdict.allowed for verdict in plan.verdicts)
    assert all(verdict.most is None or plan.intent.units <= verdict.most for verdict in plan.verdicts)
    within_the_venues_rules(plan, case)
    within_the_money(plan, case, factor)
    within_the_portfolio(plan, case, factor, held)
    the_clamps_lead_to_the_size(plan)


def within_the_venues_rules(plan: TradePlan, case: dict[str, Any]) -> None:
    spec, intent = case["spec"], plan.intent
    assert intent.units > 0
    assert intent.units % spec["size_increment"] == 0
    assert intent.units >= spec["min_size"]
    assert spec["max_size"] is None or intent.units <= spec["max_size"]
    assert intent.units * intent.reference_price >= (spec["min_notional"] or 0)
    assert spec["max_notional"] is None or intent.units * intent.reference_price <= spec["max_notional"]
    assert intent.take_profit is not None
    prices = [intent.stop_loss, intent.take_profit, intent.price_bound, intent.trailing_distance]
    sent = [price for price in prices if price is not None]
    assert all(price > 0 and price % spec["price_increment"] == 0 for price in sent)
    trails = case["risk"].trailing_stop and spec["min_trailing_distance"] is not None
    assert (intent.trailing_distance is not None, intent.stop_loss is None) == (trails, trails)
    if intent.trailing_distance is not None:
        assert intent.trailing_distance >= spec["min_trailing_distance"]
    assert plan.sizing is not None
    assert plan.sizing.stop_loss is not None
    low, high = sorted((plan.sizing.stop_loss, intent.take_profit))
    assert low < case["bid"] <= case["ask"] < high


def within_the_money(plan: TradePlan, case: dict[str, Any], factor: Decimal) -> None:
    intent, sizing = plan.intent, plan.sizing
    assert sizing is not None
    assert sizing.stop_loss is not None
    assert 0 < intent.reserve_amount <= case["available"] - case["reserved"]
    spread = case["ask"] - case["bid"] if intent.trailing_distance is not None else Decimal(0)
    at_stop = intent.units * (abs(sizing.entry_price - sizing.stop_loss) + spread) * factor
    assert at_stop <= sizing.risk_amount <= case["risk"].per_trade * case["equity"]
    assert intent.units * sizing.entry_price * factor <= sizing.notional <= case["risk"].max_position * case["equity"]


def within_the_portfolio(plan: TradePlan, case: dict[str, Any], factor: Decimal, held: Sequence[Held]) -> None:
    risk, equity, sizing = case["risk"], case["equity"], plan.sizing
    assert sizing is not None
    rate = case["spec"]["margin_rate"]
    notional = plan.intent.units * sizing.entry_price * factor
    reserved = case["reserved"] / (rate or 1)
    slack = equity * EXACT
    assert notional + reserved + sum(one.notional for one in held) <= risk.max_gross * equity + slack
    mine = parse_instrument(case["symbol"])
    together = [one.notional for one in held if correlated(mine, parse_instrument(one.instrument))]
    assert notional + sum(together) <= risk.max_correlated * equity + slack
    assert sizing.risk_amount + sum(one.at_risk for one in held) <= risk.max_heat * equity + slack
    if rate is not None:
        assert notional + (case["hold"] + case["reserved"]) / rate <= risk.max_leverage * equity + slack
    if risk.max_var is not None:
        signed = notional if case["action"] == "BUY" else -notional
        total = signed + sum(one.notional.copy_sign(one.units) for one in held)
        losses = sorted((-total * share for share in case["returns"]), reverse=True)
        assert losses[1] <= risk.max_var * equity + slack


def the_clamps_lead_to_the_size(plan: TradePlan) -> None:
    assert plan.sizing is not None
    steps = [clamp for clamp in plan.sizing.clamps if clamp.name not in NAMES_OF_LEVELS]
    assert all(clamp.after < clamp.before for clamp in steps)
    assert all(one.after == two.before for one, two in pairwise(steps))
    assert not steps or steps[-1].after == plan.sizing.units
