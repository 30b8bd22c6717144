"""A market that jumped: quotes and bars of every size tell the same story."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.jumps import Jump, JumpingMarket
from simulator.state import State

MINUTE = timedelta(minutes=1)
TICKS = {"EURUSD": Decimal("0.00001"), "BTCUSD": Decimal("0.01")}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def plain(lab: Any) -> Any:
    return lab.market


@pytest.fixture
def market(plain: Any, state: State) -> JumpingMarket:
    return JumpingMarket(plain, state.table("price_jump", Jump), TICKS)


def test_without_a_jump_it_is_the_market_itself(market: JumpingMarket, plain: Any) -> None:
    now, hour = plain.start(), timedelta(hours=1)
    assert (market.key, market.start(), market.symbols()) == (plain.key, now, plain.symbols())
    assert market.quote("EURUSD", now) == plain.quote("EURUSD", now)
    assert market.bars("EURUSD", 60, now - hour, now) == plain.bars("EURUSD", 60, now - hour, now)


def test_only_what_comes_after_the_jump_has_moved(market: JumpingMarket, plain: Any) -> None:
    now = plain.start().replace(second=0)
    market.jump("EURUSD", now, Decimal("1.1"))
    before, after = market.quote("EURUSD", now - MINUTE), market.quote("EURUSD", now)
    assert before == plain.quote("EURUSD", now - MINUTE)
    assert after is not None
    assert (after.bid, after.ask, after.open) == (Decimal("1.21000"), Decimal("1.21011"), True)
    early, late = market.bars("EURUSD", 60, now - MINUTE, now + MINUTE)
    assert early == plain.bars("EURUSD", 60, now - MINUTE, now)[0]
    assert late.bid.open == late.bid.close == Decimal("1.21000")
    assert market.quote("BTCUSD", now) == plain.quote("BTCUSD", now)
    assert market.quote("EURUSD", now - timedelta(days=20)) is None


def test_the_bar_of_the_jump_reaches_both_levels(market: JumpingMarket, plain: Any) -> None:
    now = plain.start().replace(second=0)
    market.jump("EURUSD", now + timedelta(seconds=20), Decimal("0.9"))
    bar = market.bars("EURUSD", 300, now, now + 5 * MINUTE)[0].bid
    assert (bar.open, bar.high, bar.low, bar.close) == (
        Decimal("1.10000"),
        Decimal("1.10000"),
        Decimal("0.99000"),
        Decimal("0.99000"),
    )
    running = market.bars("EURUSD", 300, now, now + timedelta(seconds=20))[0].bid
    assert running.close == Decimal("1.10000")


moves = st.tuples(st.integers(-3000, 3000), st.decimals(Decimal("0.5"), 2, places=3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(jumps=st.lists(moves, max_size=4), seconds=st.sampled_from([60, 300, 900]))
def test_bars_stay_well_formed_and_end_where_the_quote_is(
    plain: Any, tmp_path_factory: pytest.TempPathFactory, jumps: list[tuple[int, Decimal]], seconds: int
) -> None:
    now: datetime = plain.start()
    state = State(tmp_path_factory.mktemp("jumps"))
    try:
        market = JumpingMarket(plain, state.table("price_jump", Jump), TICKS)
        for at, factor in jumps:
            market.jump("EURUSD", now + timedelta(seconds=at), factor)
        bars = market.bars("EURUSD", seconds, now - timedelta(hours=1), now)
        for bar in bars:
            for side in (bar.trade, bar.bid, bar.ask):
                assert side.low <= min(side.open, side.close) <= max(side.open, side.close) <= side.high
            assert bar.bid.close <= bar.ask.close
        quote = market.quote("EURUSD", now - timedelta.resolution)
        assert quote is not None
        assert bars[-1].bid.close == quote.bid
    finally:
        state.close()
