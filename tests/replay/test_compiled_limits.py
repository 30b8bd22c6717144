"""What the compiled engine says no to, and many replays at once."""

import re
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from compiled_cases import cheap, feed, risk, signals

from ffe.errors import ConfigurationError
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay import compiled
from ffe.replay.bars import no_bars
from ffe.replay.engines import AUTO, COMPILED, chosen, engine_run
from ffe.replay.models import Feed, Plan
from ffe.settings import SizingMethod

ONLY = feed("EURUSD", 150, 3)
PLAN = Plan(risk=risk())


def respecified(**spec: object) -> Feed:
    return replace(ONLY, spec=ONLY.spec.model_copy(update=spec))


EMPTY_POUND = Feed(no_bars(parse_instrument("GBPUSD"), Timeframe.M15), ONLY.spec, np.zeros(0, np.int8))
EMPTY = Feed(no_bars(ONLY.bars.instrument, Timeframe.M15), ONLY.spec, np.zeros(0, np.int8))


@pytest.mark.parametrize(
    ("feeds", "plan", "word"),
    [
        ([], PLAN, "no bars"),
        ([EMPTY], PLAN, "no bars"),
        ([ONLY, ONLY], PLAN, "twice"),
        ([ONLY, feed("GBPUSD", 150, 3, Timeframe.H1)], PLAN, "timeframes"),
        ([ONLY], Plan(risk=risk(sizing=SizingMethod.HALF_KELLY)), "half-kelly"),
        ([ONLY], Plan(risk=risk(trailing_stop=True)), "trailing"),
        ([ONLY], Plan(risk=risk(reverse=True)), "reversals"),
        ([ONLY], Plan(risk=risk(max_var=Decimal("0.1"))), "max_var"),
        ([feed("USDJPY", 150, 3)], PLAN, "not quoted in USD"),
        ([respecified(margin_rate=None)], PLAN, "margin rate"),
        ([respecified(tradeable=False)], PLAN, "not tradeable"),
        ([ONLY], Plan(risk=risk(), lag_seconds=900.0), "lag"),
        ([cheap("DOGEUSD", 150, 3)], PLAN, "up to .* lots of 0.00000001 DOGEUSD"),
        ([respecified(size_increment=Decimal("0.00001"))], Plan(risk=risk(), capital=1e7), "lots of 0.00001 EURUSD"),
        ([respecified(price_increment=Decimal("1e-13"))], PLAN, "ticks of 0.0000000000001 in a price of EURUSD"),
        (
            [respecified(size_increment=Decimal(1000))],
            Plan(risk=risk(), capital=1e12),
            "books up to 100000000000 exactly",
        ),
        (
            [feed("BTCUSD", 150, 3, size_increment=Decimal(1))],
            Plan(risk=risk(), capital=1e8),
            "capital of 100000000 for",
        ),
    ],
)
def test_what_it_does_not_know_is_said_before_it_starts(feeds: list[Feed], plan: Plan, word: str) -> None:
    assert re.search(word, str(compiled.supports(feeds, plan)))
    with pytest.raises(ConfigurationError, match=word):
        compiled.run(feeds, [], plan)


def test_it_supports_the_default_rules() -> None:
    assert compiled.supports([ONLY], PLAN) is None
    assert compiled.supports([ONLY, EMPTY_POUND], PLAN) is None


@pytest.mark.parametrize(
    ("rules", "tight", "capital"),
    [
        ({"size_increment": Decimal("0.1")}, {}, 100_000.0),
        ({"max_size": Decimal(900)}, {}, 10_000.0),
        ({"max_notional": Decimal(2)}, {}, 10_000.0),
        ({}, {"max_position": Decimal("0.00005")}, 10_000.0),
        ({}, {"sizing": SizingMethod.FIXED_FRACTION, "fixed_fraction": Decimal("0.0001")}, 10_000.0),
    ],
)
def test_a_cheap_coin_is_no_matter_where_few_lots_of_it_are_allowed(
    rules: dict[str, Decimal], tight: dict[str, object], capital: float
) -> None:
    only, plan = [cheap("DOGEUSD", 150, 3, **rules)], Plan(risk=risk(**tight), capital=capital)
    assert compiled.supports(only, plan) is None


def test_a_cheap_coin_is_left_to_the_exact_engine_and_dealt_there() -> None:
    only = [cheap("DOGEUSD", 150, 3, taker_fee_rate=Decimal(0))]
    plan = Plan(risk=risk(max_position=Decimal(2)), capital=100_000.0)
    said = [signals(len(only[0].bars), 3, 0.5)]
    name, why = chosen(AUTO, only, plan)
    assert "lots of 0.00000001 DOGEUSD" in str(why)
    found = engine_run(name, only, said, plan)
    assert found.engine == "exact"
    assert found.trades.num_rows > 0
    with pytest.raises(ConfigurationError, match="can't replay this: up to"):
        engine_run(COMPILED, only, said, plan)


def test_signals_must_fit_the_bars() -> None:
    short = signals(10, 1, 0.5)
    with pytest.raises(ConfigurationError, match="signals"):
        compiled.run([ONLY], [short], PLAN)
    with pytest.raises(ConfigurationError, match="signals"):
        compiled.signals_only(ONLY.bars, short, capital=1.0, fee_rate=0.0, slippage_bps=0.0)


def test_many_replays_end_where_each_of_them_would() -> None:
    pair = [ONLY, feed("BTCUSD", 150, 4, taker_fee_rate=Decimal(0))]
    sets = [[signals(len(each.bars), seed + place, 0.3) for place, each in enumerate(pair)] for seed in range(5)]
    for said, found in zip(sets, compiled.run_many(pair, sets, PLAN), strict=True):
        whole = compiled.run(pair, said, PLAN)
        assert found.pnl == tuple(whole.pnl[-1])
        assert (found.trades, found.orders, found.halted_at) == (whole.trades.num_rows, whole.orders, whole.halted_at)


def test_a_second_run_gives_the_same_bits() -> None:
    said = [signals(len(ONLY.bars), 8, 0.5)]
    first, second = compiled.run([ONLY], said, PLAN), compiled.run([ONLY], said, PLAN)
    assert first.pnl.tobytes() == second.pnl.tobytes()
    assert first.trades.equals(second.trades)


def test_arrays_that_may_not_be_written_are_taken_too() -> None:
    for array in (ONLY.bars.mid, ONLY.gates):
        array.flags.writeable = False
    said = [signals(len(ONLY.bars), 8, 0.5)]
    assert compiled.run([ONLY], said, PLAN).bars == len(ONLY.bars)
