"""The probes change everything that goes with the date, the name or the price, and nothing else."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe.decision.models import Action, Context, Remembered
from ffe.decision.prompt import build_messages
from ffe.evals.cases import load_cases
from ffe.evals.models import CaseSet
from ffe.evals.probes import PROBES, SHIFT, renamed, rescaled, shifted
from ffe.llm.models import Message


@pytest.fixture
def context(cases: CaseSet) -> Context:
    found = cases.cases[0].context
    past = Remembered(
        decision_id="d",
        instrument=found.instrument.symbol,
        action=Action.BUY,
        net_return=0.01,
        known_at=found.bar_close - timedelta(hours=1),
        distance=0.1,
    )
    elsewhere = past.model_copy(update={"instrument": "USDJPY"})
    pulse = tuple(frame.model_copy(update={"closes": (1.5, 2.0)}) for frame in found.pulse)
    return found.model_copy(
        update={"memory": (past, elsewhere), "pulse": pulse, "warnings": (f"gaps: 1 in {found.instrument.symbol}",)}
    )


def test_a_date_shift_moves_the_bar_and_what_is_remembered_by_whole_weeks(context: Context) -> None:
    moved = shifted(context)

    assert SHIFT.days % 7 == 0
    assert moved.bar_close == context.bar_close + SHIFT
    assert [past.known_at for past in moved.memory] == [past.known_at + SHIFT for past in context.memory]
    assert moved.model_copy(update={"bar_close": context.bar_close, "memory": context.memory}) == context


def test_a_new_name_goes_everywhere_the_old_one_stood(context: Context) -> None:
    other = renamed(context)

    assert other.instrument.symbol == "DOTUSD"
    assert other.instrument.asset_class is context.instrument.asset_class
    assert [past.instrument for past in other.memory] == ["DOTUSD", "USDJPY"]
    assert other.warnings == ("gaps: 1 in DOTUSD",)
    assert context.instrument.symbol not in other.model_dump_json()


def test_a_stranger_itself_is_given_another_strange_name(context: Context) -> None:
    assert renamed(renamed(context)).instrument.symbol == "LINKUSD"


def test_a_forex_pair_becomes_a_forex_pair() -> None:
    pair = next(case.context for case in load_cases().cases if case.context.instrument.symbol == "EURUSD")

    assert renamed(pair).instrument.symbol == "NZDCAD"


def test_every_value_in_price_units_grows_and_every_ratio_stays(context: Context) -> None:
    grown = rescaled(context)

    assert grown.last_close == context.last_close * 10
    assert grown.atr == context.atr * 10
    assert grown.recent_closes == tuple(close * Decimal(10) for close in context.recent_closes)
    for frame, before in zip(grown.pulse, context.pulse, strict=True):
        assert frame.close == before.close * 10
        assert frame.closes == (15.0, 20.0)
        for name in ("atr", "macd_histogram"):
            value = getattr(before, name)
            assert getattr(frame, name) == (None if value is None else value * 10)
        for name in ("rsi", "adx", "stochastic", "bollinger_position", "change_percent", "trend", "bars"):
            assert getattr(frame, name) == getattr(before, name)


def test_the_prompt_of_today_shows_neither_date_nor_price_but_shows_the_name() -> None:
    for case in load_cases().cases:
        same = {probe.question.value: _same(build_messages, probe.change, case.context) for probe in PROBES}
        assert same == {"date": True, "ticker": False, "price": True}


def _same(
    question: Callable[[Context], tuple[Message, ...]], change: Callable[[Context], Context], context: Context
) -> bool:
    return question(change(context)) == question(context)
