"""The compiled engine's own Python, not its machine code: the same answers, and every branch of it where a coverage tool can see."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from types import ModuleType

import numba
import numpy as np
import pytest
from compiled_cases import PLANS, SYMBOLS, assert_same, feed, risk, signals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.replay import exact
from ffe.replay.models import Feed, Plan, Signals

PARTS = ("ffe.replay.jit", "ffe.replay.kernel", "ffe.replay.compiled")


@pytest.fixture(scope="module")
def interpreted() -> Iterator[ModuleType]:
    """`ffe.replay.compiled` imported once more, with numba switched off."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(PARTS)}
    for name in before:
        del sys.modules[name]
    numba.config.DISABLE_JIT = 1
    try:
        yield importlib.import_module("ffe.replay.compiled")
    finally:
        numba.config.DISABLE_JIT = 0
        for name in [name for name in sys.modules if name.startswith(PARTS)]:
            del sys.modules[name]
        sys.modules.update(before)
        if "ffe.replay.compiled" in before:
            importlib.import_module("ffe.replay").compiled = before["ffe.replay.compiled"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=PLANS,
    symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4, unique=True),
    share=st.sampled_from([0.05, 0.5]),
    seed=st.integers(0, 10_000),
    least=st.sampled_from([Decimal(1), Decimal(30)]),
)
def test_the_kernels_python_makes_the_exact_engines_trades(
    interpreted: ModuleType, plan: Plan, symbols: list[str], share: float, seed: int, least: Decimal
) -> None:
    feeds = []
    for place, symbol in enumerate(symbols):
        spot = {"taker_fee_rate": Decimal("0.002"), "min_notional": least, "max_notional": Decimal(900)}
        feeds.append(feed(symbol, 110, seed + place, **(spot if symbol in {"BTCUSD", "ETHUSD"} else {})))
    said = [signals(len(each.bars), seed + place, share) for place, each in enumerate(feeds)]
    assert_same(interpreted.run(feeds, said, plan), exact.run(feeds, said, plan))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ticks=st.floats(0, 2.0**53), lot=st.sampled_from([Decimal("0.00000001"), Decimal("0.1"), Decimal(1)]))
def test_down_is_never_more_than_a_thousandth_of_a_lot_up(interpreted: ModuleType, ticks: float, lot: Decimal) -> None:
    assert interpreted is not None
    rounding, increment = importlib.import_module("ffe.replay.kernel_rounding"), float(lot)
    value = ticks * increment
    found, scale = rounding.down(value, increment, 1 / increment), abs(value) * 1e-15
    assert value - increment - scale <= found <= value + 0.001 * increment + scale
    assert rounding.up(value, increment, 1 / increment) >= value - 0.001 * increment - scale


@pytest.mark.parametrize(("lots", "part"), [(3e12, 0.995), (1.7e14, 0.75)])
def test_a_part_of_very_many_lots_is_rounded_down_all_the_same(
    interpreted: ModuleType, lots: float, part: float
) -> None:
    assert interpreted is not None
    rounding = importlib.import_module("ffe.replay.kernel_rounding")
    assert rounding.down(lots + part, 1.0, 1.0) == lots
    assert rounding.up(lots + 1 - part, 1.0, 1.0) == lots + 1
    assert rounding.money(lots + part, 1.0) == lots + 1


RISES, FALLS = (1.0, -1.0)


def one(symbol: str, **spec: object) -> Feed:
    """Bars without gaps, all of which may be decided on."""
    found = feed(symbol, 200, 5, **spec)
    return replace(found, gates=np.zeros(len(found.bars), np.int8))


def every(source: Feed, action: int, confidence: int = 90) -> Signals:
    """BUY and SELL in turn, every fifth bar from the thirtieth on; only `action` where it is not zero."""
    said = np.zeros(len(source.bars), np.int8)
    rows = np.arange(30, 180, 5)
    said[rows] = action or np.where(np.arange(rows.size) % 2, -1, 1)
    return Signals(said, np.full(said.size, confidence, np.int64))


def requoted(source: Feed, bid: float, ask: float) -> Feed:
    """Quotes after every close that stand a share of the price away from it."""
    close = source.bars.close
    after = np.round(np.column_stack((close * bid, close * ask)), source.bars.places)
    return replace(source, bars=replace(source.bars, after=after))


EUR, BTC = "EURUSD", "BTCUSD"
SMALL = {"min_notional": Decimal(30), "taker_fee_rate": Decimal(0)}
REFUSALS = {
    "quote_divergence": (lambda: requoted(one(EUR), 1.05, 1.05001), Plan(risk=risk()), 0),
    "bad_quote": (lambda: requoted(one(EUR), 1.0, 0.9999), Plan(risk=risk()), 1),
    "nothing_to_sell": (lambda: one(BTC), Plan(risk=risk()), -1),
    "already_long": (lambda: one(EUR), Plan(risk=risk(stop_atr_multiple=Decimal(50))), 1),
    "already_short": (lambda: one(EUR), Plan(risk=risk(stop_atr_multiple=Decimal(50))), -1),
    "no_atr": (lambda: replace(one(EUR), starts=np.arange(len(one(EUR).bars)) - 3), Plan(risk=risk()), 1),
    "stop_not_placeable": (
        lambda: requoted(one(EUR), 0.998, 1.002),
        Plan(risk=risk(stop_atr_multiple=Decimal("0.1"))),
        1,
    ),
    "confidence_below_floor": (lambda: one(EUR), Plan(risk=risk(min_confidence=95)), 1),
    "daily_loss": (lambda: one(EUR), Plan(risk=risk(max_daily_loss=Decimal("0.00001"))), 0),
    "drawdown": (lambda: one(EUR), Plan(risk=risk(max_drawdown=Decimal("0.0001"))), 0),
    "loss_streak": (lambda: one(EUR), Plan(risk=risk(loss_streak=1, loss_streak_pause_seconds=90_000)), 0),
    "cooldown": (lambda: one(EUR), Plan(risk=risk(cooldown_seconds=90_000)), 0),
    "minimum_hold": (lambda: one(EUR), Plan(risk=risk(min_hold_seconds=90_000)), 0),
    "spread_too_wide": (lambda: one(EUR), Plan(risk=risk(max_spread=Decimal("0.00001"))), 1),
    "slippage_too_wide": (
        lambda: one(BTC, price_increment=Decimal(1)),
        Plan(risk=risk(max_slippage=Decimal("0.00001"))),
        1,
    ),
    "reward_too_small": (lambda: one(BTC, taker_fee_rate=Decimal("0.05")), Plan(risk=risk()), 1),
    "below_minimum": (lambda: one(EUR), Plan(risk=risk(), capital=0.5), 1),
    "exit_not_placeable": (lambda: one(BTC, **SMALL), Plan(risk=risk(max_position=Decimal("0.0030005"))), 1),
    "desk:BOUNDS_VIOLATION": (lambda: one(EUR), Plan(risk=risk(), slippage_bps=60.0), 1),
    "desk:Immediate or cancel order could not be filled": (
        lambda: one(BTC, taker_fee_rate=Decimal(0)),
        Plan(risk=risk(), slippage_bps=60.0),
        1,
    ),
    "desk:PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL": (
        lambda: one(BTC, **SMALL),
        Plan(risk=risk(max_position=Decimal("0.00315"), max_slippage=Decimal("0.09"))),
        0,
    ),
    "desk:PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE": (
        lambda: one(BTC, max_notional=Decimal(300)),
        Plan(risk=risk(max_slippage=Decimal("0.0001"), stop_atr_multiple=Decimal(40)), slippage_bps=0.0),
        0,
    ),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_an_order_is_refused_for_the_same_reason(interpreted: ModuleType, code: str) -> None:
    made, plan, action = REFUSALS[code]
    only = made()
    said = [every(only, action)]
    slow = exact.run([only], said, plan)
    assert code in slow.denials[0]
    assert_same(interpreted.run([only], said, plan), slow)


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize(
    ("code", "tight"),
    [
        ("max_gross", {"max_gross": Decimal("0.2")}),
        ("max_correlated", {"max_correlated": Decimal("0.2")}),
        ("max_leverage", {"max_leverage": Decimal("0.2")}),
        ("max_heat", {"max_heat": Decimal("0.0002")}),
        (
            "no_balance",
            {
                "max_leverage": Decimal(60),
                "max_position": Decimal(60),
                "per_trade": Decimal("0.1"),
                "max_heat": Decimal(1),
            },
        ),
    ],
)
def test_what_is_held_elsewhere_bounds_an_entry(
    interpreted: ModuleType, code: str, tight: dict[str, Decimal], shift: int
) -> None:
    pair = [one("EURUSD"), one("GBPUSD")]
    later = every(pair[1], 0)
    said = [every(pair[0], 0), replace(later, actions=np.roll(later.actions, shift))]
    plan = Plan(risk=risk(**tight))
    slow = exact.run(pair, said, plan)
    assert code in slow.denials[0] or code in slow.denials[1] or shift == (2 if code != "max_heat" else 0)
    assert_same(interpreted.run(pair, said, plan), slow)


def test_a_tripped_switch_stops_entries_until_it_is_set_back(interpreted: ModuleType) -> None:
    pair = [one("EURUSD"), one("BTCUSD", taker_fee_rate=Decimal(0))]
    said = [every(each, 0) for each in pair]
    plan = Plan(risk=risk(max_daily_loss=Decimal("0.0001")), resume_after_days=0.2)
    slow = exact.run(pair, said, plan)
    assert "kill_switch_reduce_only" in slow.denials[1]
    assert_same(interpreted.run(pair, said, plan), slow)


def test_signals_only_goes_all_in_and_all_out(interpreted: ModuleType) -> None:
    only = one("EURUSD")
    said = every(only, 0)
    found = interpreted.signals_only(only.bars, said, capital=1000.0, fee_rate=0.001, slippage_bps=2.0)
    rows = np.flatnonzero(said.actions)
    worth = 1000.0
    for bought, sold in zip(rows[::2], rows[1::2], strict=False):
        price = only.bars.after[bought, 1] * 1.0002
        worth *= only.bars.after[sold, 0] * 0.9998 * 0.999 / (price * 1.001)
    assert rows.size % 2 == 0
    assert found.equity(0)[-1] == pytest.approx(worth, rel=1e-12)
    assert found.trades["pnl"].to_numpy().sum() == pytest.approx(worth - 1000.0, rel=1e-9)
    assert found.orders == (rows.size,)


def test_signals_only_values_what_is_still_held(interpreted: ModuleType) -> None:
    only = one("EURUSD")
    actions = np.zeros(len(only.bars), np.int8)
    actions[[0, 1]] = 1, -1
    asked = np.array([0, 2] + [0] * (actions.size - 2), np.int8)
    said = Signals(actions, np.full(actions.size, 80, np.int64), asked)
    found = interpreted.signals_only(only.bars, said, capital=1000.0, fee_rate=0.0, slippage_bps=0.0)
    assert found.trades["exit_reason"].to_pylist() == ["open"]
    assert found.equity(0)[-1] == pytest.approx(1000.0 * only.bars.after[-1, 0] / only.bars.after[0, 1], rel=1e-12)
    assert found.trades["stop_loss"].to_pylist() == [None]
