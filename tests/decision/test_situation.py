"""A situation is numbers free of price level, date and instrument, and its distance is one."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.context import build_context
from ffe.decision.models import Context, FramePulse
from ffe.decision.situation import PLACES, distance, situation
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.pulse import consensus, pulse
from ffe.sources.models import BAR_SCHEMA, to_frame

NAMES = ("rsi", "stochastic", "adx", "bollinger", "macd", "change", "trend", "volatility")
SITUATIONS = st.dictionaries(st.sampled_from([f"base.{name}" for name in NAMES]), st.floats(-1, 1), max_size=8)
Make = Callable[..., object]


def changed(table: pa.Table, factor: Decimal, later: timedelta) -> pa.Table:
    """The same bars at `factor` times the price, `later`."""
    rows = table.to_pylist()
    prices = ("open", "high", "low", "close")
    moved = [row | {"time": row["time"] + later} | {name: row[name] * factor for name in prices} for row in rows]
    return pa.Table.from_pylist(moved, schema=BAR_SCHEMA)


def context_of(table: pa.Table, symbol: str, batch: Make, report: Make) -> Context:
    of_table = batch(table, symbol, Timeframe.M1)
    frames = pulse({Timeframe.M1: to_frame(table)}, Timeframe.M1)
    return build_context(of_table, table, report(of_table), frames, consensus(frames))


def test_every_value_is_finite_bounded_and_named_by_its_place(contexts: list[Context]) -> None:
    for context in contexts:
        found = situation(context)
        assert found
        assert all(math.isfinite(value) and -1 <= value <= 1 for value in found.values())
        assert {name.split(".")[0] for name in found} <= set(PLACES)
        assert {name.split(".")[1] for name in found} <= set(NAMES)
        assert f"base.{NAMES[0]}" in found


@pytest.mark.parametrize("factor", ["0.001", "7", "250"])
def test_price_level_date_and_instrument_change_nothing(
    minutes: dict[str, pa.Table], batch: Make, report: Make, factor: str
) -> None:
    real = minutes["BTCUSD"].slice(0, 200)
    other = changed(real, Decimal(factor), timedelta(days=300))
    before = situation(context_of(real, "BTCUSD", batch, report))
    after = situation(context_of(other, "ETHUSD", batch, report))
    assert after == pytest.approx(before, abs=2e-6)
    assert distance(before, after) < 1e-5


def test_other_bars_are_another_situation(contexts: list[Context]) -> None:
    found = [situation(context) for context in contexts]
    assert all(distance(one, other) > 0 for at, one in enumerate(found) for other in found[at + 1 :])


def of_frame(context: Context, **changes: object) -> dict[str, float]:
    """The situation of a base frame that reads as `changes` say and knows nothing else."""
    bare = FramePulse(timeframe=context.timeframe, bars=20, close=100.0, trend="unknown", volatility="unknown")
    return situation(context.model_copy(update={"pulse": (bare.model_copy(update=changes),)}))


def test_what_is_not_known_is_left_out(context: Context) -> None:
    assert of_frame(context) == {}
    assert of_frame(context, rsi=math.nan, macd_histogram=math.nan, change_percent=1.0) == {}
    assert of_frame(context, change_percent=1.0, atr=0.0) == {}
    assert of_frame(context, change_percent=1.0, atr=1.0, close=0.0) == {}
    assert situation(context.model_copy(update={"pulse": ()})) == {}


def test_each_reading_is_brought_to_about_one(context: Context) -> None:
    found = of_frame(context, rsi=61.5, stochastic=80.0, adx=25.0, macd_histogram=-3.0, trend="up", volatility="low")
    assert found == {
        "base.rsi": 0.615,
        "base.stochastic": 0.8,
        "base.adx": 0.25,
        "base.macd": -0.5,
        "base.trend": 1.0,
        "base.volatility": 0.0,
    }
    assert of_frame(context, macd_histogram=0.0) == {"base.macd": 0.0}
    # Twelve bars that rise by one true range of 2 each, seen from a close of 100: 24 % of it.
    assert of_frame(context, change_percent=24.0, atr=2.0) == {"base.change": 1.0}
    assert of_frame(context, bollinger_position=-40.0) == {"base.bollinger": -1.0}


def test_longer_frames_go_by_their_place(context: Context) -> None:
    frames = [
        FramePulse(timeframe=frame, bars=50, close=1.0, trend="unknown", volatility="unknown", rsi=rsi)
        for frame, rsi in ((Timeframe.H1, 30.0), (Timeframe.M5, 20.0), (Timeframe.D1, 40.0), (Timeframe.M1, 10.0))
    ]
    seen = context.model_copy(update={"pulse": tuple(frames), "instrument": parse_instrument("EURUSD")})
    assert situation(seen) == {"base.rsi": 0.1, "next1.rsi": 0.2, "next2.rsi": 0.3}


@given(SITUATIONS, SITUATIONS)
def test_a_distance_is_symmetric_and_never_negative(a: dict[str, float], b: dict[str, float]) -> None:
    assert distance(a, b) == distance(b, a) >= 0
    assert distance(a, a) == (0 if a else math.inf)


def test_situations_that_share_less_than_half_can_not_be_compared() -> None:
    assert distance({}, {}) == math.inf
    assert distance({"a": 1.0, "b": 1.0}, {"b": 1.0, "c": 1.0, "d": 1.0}) == math.inf
    assert distance({"a": 1.0, "b": 1.0}, {"a": 0.0}) == 1.0
    assert distance({"a": 3.0, "b": 4.0}, {"a": 0.0, "b": 0.0}) == pytest.approx(math.sqrt(12.5))
