"""The compiled engine: the exact one's trades, bar for bar, on random and on real markets."""

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from compiled_cases import PLANS, SYMBOLS, assert_same, cheap, feed, risk, signals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.market.calendar import calendar_for
from ffe.replay import compiled, exact
from ffe.replay.bars import window, window_starts
from ffe.replay.files import load_bars
from ffe.replay.models import Feed, Fills, Gate, Plan
from ffe.replay.specs import spec_for
from ffe.replay.strategies import find_strategy
from ffe.settings import Settings

DATA = Path(__file__).parent / "data"
FULL = Path(os.environ.get("FFE_TEST_MARKET_DATA", Path(__file__).parents[3] / "shared" / "market-data"))
# Quotes alone are no bars.
FILES = [
    each
    for folder in (DATA, FULL)
    if folder.is_dir()
    for each in sorted(folder.glob("*.csv"))
    if "quotes" not in each.stem
]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compiled.warm_up()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=PLANS,
    symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4, unique=True),
    share=st.sampled_from([0.03, 0.2, 0.9]),
    fee=st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.012")]),
    seed=st.integers(0, 10_000),
)
def test_both_engines_make_the_same_trades(
    plan: Plan, symbols: list[str], share: float, fee: Decimal, seed: int
) -> None:
    feeds = []
    for place, symbol in enumerate(symbols):
        spot = {"taker_fee_rate": fee} if symbol in {"BTCUSD", "ETHUSD"} else {}
        feeds.append(feed(symbol, 260, seed + place, **spot))
    said = [signals(len(each.bars), seed + place, share) for place, each in enumerate(feeds)]
    assert_same(compiled.run(feeds, said, plan), exact.run(feeds, said, plan))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=PLANS,
    seed=st.integers(0, 10_000),
    lot=st.sampled_from([Decimal("0.00000001"), Decimal("0.001"), Decimal("0.05")]),
    tick=st.sampled_from([Decimal("0.01"), Decimal("0.5"), Decimal("25")]),
    least=st.sampled_from([Decimal(1), Decimal(30)]),
    most=st.sampled_from([None, Decimal(400)]),
)
def test_both_engines_know_the_same_venue_rules(
    plan: Plan, seed: int, lot: Decimal, tick: Decimal, least: Decimal, most: Decimal | None
) -> None:
    rules = {"size_increment": lot, "min_size": lot, "price_increment": tick, "taker_fee_rate": Decimal("0.0025")}
    limits = {"min_notional": least, "max_notional": most, "max_size": Decimal("0.3")}
    only = [feed("BTCUSD", 260, seed, **rules, **limits)]
    said = [signals(len(only[0].bars), seed, 0.5)]
    assert_same(compiled.run(only, said, plan), exact.run(only, said, plan))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=PLANS,
    seed=st.integers(0, 10_000),
    lot=st.sampled_from([Decimal("0.1"), Decimal(1), Decimal(50)]),
    share=st.sampled_from([0.03, 0.5]),
    capital=st.sampled_from([50.0, 10_000.0, 8_000_000.0]),
)
def test_both_engines_make_the_same_trades_in_a_cheap_coin(
    plan: Plan, seed: int, lot: Decimal, share: float, capital: float
) -> None:
    plan = replace(plan, capital=capital)
    only = [cheap("DOGEUSD", 260, seed, size_increment=lot, min_size=lot, taker_fee_rate=Decimal("0.001"))]
    said = [signals(len(only[0].bars), seed, share)]
    assert_same(compiled.run(only, said, plan), exact.run(only, said, plan))


def real(path: Path) -> Feed:
    (bars,) = load_bars([path], half_spread_bps=1.0).values()
    bars = window(bars, 0, 2500)
    gates = np.zeros(len(bars), np.int8)
    gates[:60] = Gate.WARM_UP
    starts = window_starts(bars, calendar_for(bars.instrument), 200)
    spec = spec_for(bars.instrument, Settings(_env_file=None)).model_copy(update={"taker_fee_rate": Decimal("0.0005")})
    return Feed(bars, spec, gates, starts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("fills", list(Fills))
def test_both_engines_make_the_same_trades_on_a_recorded_market(path: Path, fills: Fills) -> None:
    only = [real(path)]
    said = [find_strategy("sma-cross", {"fast": 5, "slow": 15}).signals(only[0].bars)]
    plan = Plan(risk=risk(), fills=fills)
    fast = compiled.run(only, said, plan)
    assert fast.trades.num_rows > 10
    assert_same(fast, exact.run(only, said, plan))
