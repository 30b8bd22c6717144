"""Random replays for the compiled engine, and what equal results are."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import middle
from ffe.replay.models import Feed, Fills, Gate, Plan, Result, Signals
from ffe.replay.specs import spec_for
from ffe.settings import RiskSettings, Settings, SizingMethod

SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
# What two ways to compute the same Decimal amount may differ by.
CENT_OF_A_CENT = 1e-6


# Lets trades through; what a replay sets beside it comes from TIGHT.
OPEN_HANDED: dict[str, Any] = {
    "min_confidence": 0,
    "crypto_stop_min": Decimal("0.002"),
    "max_daily_loss": Decimal(1),
    "max_drawdown": Decimal(1),
    "max_correlated": Decimal(60),
    "max_gross": Decimal(60),
    "loss_streak": 300,
    "cooldown_seconds": 0,
    "min_hold_seconds": 0,
    "min_reward_risk": Decimal(0),
}
TIGHT: dict[str, list[Any]] = {
    "per_trade": [Decimal("0.001"), Decimal("0.1")],
    "min_confidence": [70, 90],
    "stop_atr_multiple": [Decimal("0.5"), Decimal(8)],
    "crypto_stop_min": [Decimal("0.0005"), Decimal("0.01")],
    "forex_stop_min": [Decimal("0.00005"), Decimal("0.0002")],
    "reward_risk": [Decimal(1), Decimal(3)],
    "sizing": [SizingMethod.FIXED_FRACTION],
    "fixed_fraction": [Decimal("0.333"), Decimal(7)],
    "max_position": [Decimal("0.9"), Decimal(30)],
    "max_gross": [Decimal("0.2"), Decimal("0.5")],
    "max_correlated": [Decimal("0.2"), Decimal("0.5")],
    "max_leverage": [Decimal("0.2"), Decimal(60)],
    "max_heat": [Decimal("0.0015"), Decimal(1)],
    "max_daily_loss": [Decimal("0.0005"), Decimal("0.005")],
    "max_drawdown": [Decimal("0.0005"), Decimal("0.005")],
    "loss_streak": [1, 2],
    "loss_streak_pause_seconds": [0, 100_000],
    "cooldown_seconds": [300, 5000],
    "min_hold_seconds": [120, 50_000],
    "min_reward_risk": [Decimal("0.1"), Decimal("0.8")],
    "max_spread": [Decimal("0.00008"), Decimal("0.00012")],
    "max_slippage": [Decimal("0.0001"), Decimal("0.09")],
}


def risk(**tight: Any) -> RiskSettings:
    return RiskSettings(**{**OPEN_HANDED, **tight})


def _some(names: list[str]) -> st.SearchStrategy[RiskSettings]:
    return st.fixed_dictionaries({name: st.sampled_from(TIGHT[name]) for name in names}).map(lambda each: risk(**each))


RISKS = st.lists(st.sampled_from(sorted(TIGHT)), max_size=4, unique=True).flatmap(_some)

PLANS: st.SearchStrategy[Plan] = st.builds(
    Plan,
    risk=RISKS,
    capital=st.sampled_from([50.0, 10_000.0, 1_234_567.89]),
    slippage_bps=st.sampled_from([0.0, 1.0, 2.5, 30.0]),
    lookback=st.sampled_from([20, 60, 200]),
    fills=st.sampled_from(list(Fills)),
    lag_seconds=st.sampled_from([0.0, 5.5, 20.0]),
    resume_after_days=st.sampled_from([None, 0.1, 1.0]),
)


def feed(symbol: str, bars: int, seed: int, timeframe: Timeframe = Timeframe.M15, **spec: object) -> Feed:
    """A walk with a few closed, broken and missing bars."""
    random = np.random.default_rng(seed)
    whole = generated(parse_instrument(symbol), timeframe, bars, seed)
    gates = random.choice([0, 1, 2, 3], bars, p=[0.95, 0.02, 0.01, 0.02]).astype(np.int8)
    gates[:20] = Gate.WARM_UP
    rules = spec_for(whole.instrument, Settings()).model_copy(update=spec)
    return thinned(Feed(whole, rules, gates), random.random(bars) > 0.03)


def cheap(symbol: str, bars: int, seed: int, **spec: object) -> Feed:
    """The walk of `feed` at a three-millionth of its price, dealt in ten-millionths of a dollar: a coin of a quarter of a cent."""
    source, places = feed(symbol, bars, seed), 7
    low = {name: np.round(getattr(source.bars, name) / 3e6, places) for name in ("bid", "ask", "after")}
    priced = replace(source.bars, **low, mid=middle(low["bid"], low["ask"], places), places=places)
    rules = spec_for(priced.instrument, Settings(), places=places).model_copy(update=spec)
    return replace(source, bars=priced, spec=rules)


def thinned(source: Feed, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Feed:
    """Without some of the bars, so that timelines differ."""
    arrays = ("times", "mid", "bid", "ask", "volume", "after")
    bars = replace(source.bars, **{name: getattr(source.bars, name)[kept] for name in arrays})
    return Feed(bars, source.spec, source.gates[kept])


def signals(bars: int, seed: int, share: float) -> Signals:
    """BUY and SELL at a `share` of the bars, some of them a fallback's or not asked for."""
    random = np.random.default_rng(seed)
    actions = np.where(random.random(bars) < share, random.choice([-1, 1], bars), 0).astype(np.int8)
    authors = random.choice([0, 1, 2], bars, p=[0.9, 0.05, 0.05]).astype(np.int8)
    return Signals(actions, random.integers(60, 101, bars).astype(np.int64), authors if seed % 2 else None)


def assert_same(fast: Result, slow: Result) -> None:
    """Trade for trade, bar for bar; amounts within a millionth."""
    assert fast.instruments == slow.instruments
    np.testing.assert_array_equal(fast.times, slow.times)
    for name in ("holds", "orders", "denials", "halted_at", "bars", "capital"):
        assert getattr(fast, name) == getattr(slow, name), name
    assert fast.trades.schema == slow.trades.schema
    ours, theirs = fast.trades.to_pydict(), slow.trades.to_pydict()
    for column in (
        "instrument",
        "side",
        "exit_reason",
        "entry_time",
        "exit_time",
        "entry_bar",
        "exit_bar",
        "confidence",
    ):
        assert ours[column] == theirs[column], column
    for column in ("units", "entry_price", "exit_price", "stop_loss", "take_profit"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-14, atol=0, err_msg=column)
    for column in ("pnl", "fees", "slippage", "spread", "notional", "planned_risk"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-12, atol=CENT_OF_A_CENT, err_msg=column)
    np.testing.assert_allclose(fast.pnl, slow.pnl, rtol=0, atol=CENT_OF_A_CENT)
    np.testing.assert_allclose(fast.notional, slow.notional, rtol=1e-12, atol=CENT_OF_A_CENT)
