"""What a failed step was about, and its parameters as a person may read them."""

from decimal import Decimal
from typing import Any

import pytest

from ffe.cycle.bars import Bars
from ffe.cycle.steps import Cycle
from ffe.cycle.subjects import DEPTH, MOST_ITEMS, Subject, merged, readable, subject_of
from ffe.decision.models import Context, Decision
from ffe.market.models import Timeframe, parse_instrument
from ffe.orders.models import Intent, Order
from ffe.risk.gate import TradePlan
from ffe.sources.models import BarBatch

BTC, FIVE = parse_instrument("BTCUSD"), Timeframe.M5
BATCH = BarBatch.model_construct(id="b", instrument=BTC, timeframe=FIVE)
CONTEXT = Context.model_construct(instrument=BTC, timeframe=FIVE, batch_id="b", quality_report_id="q")
DECISION = Decision.model_construct(
    instrument="BTCUSD", timeframe=FIVE, cycle_id="c", batch_id="b", quality_report_id="q"
)
ORDER = Order.model_construct(id="o", instrument="BTCUSD", timeframe=FIVE)


class Unwritable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def plan() -> TradePlan:
    class Named(Intent):
        @property
        def client_order_id(self) -> str:
            return "mine-1"

    return TradePlan.model_construct(intent=Named.model_construct(instrument="BTCUSD", timeframe=FIVE))


@pytest.mark.parametrize(
    ("parameters", "subject"),
    [
        ({}, Subject()),
        ({"instrument": BTC, "timeframe": FIVE}, Subject(instrument="BTCUSD", timeframe=FIVE)),
        ({"fetched": Bars.model_construct(batch=BATCH)}, Subject("BTCUSD", FIVE, batch_id="b")),
        ({"batch": BATCH}, Subject("BTCUSD", FIVE, batch_id="b")),
        ({"context": CONTEXT}, Subject("BTCUSD", FIVE, batch_id="b", report_id="q")),
        ({"cycle": Cycle(id="c", timeframe=FIVE)}, Subject(timeframe=FIVE, cycle_id="c")),
        ({"decision": DECISION}, Subject("BTCUSD", FIVE, "c", "b", "q")),
        (
            {"decision": Decision.model_copy(DECISION, update={"batch_id": None})},
            Subject("BTCUSD", FIVE, "c", None, "q"),
        ),
        ({"order": ORDER}, Subject("BTCUSD", FIVE, order_id="o")),
        ({"plan": plan()}, Subject("BTCUSD", FIVE, order_id="mine-1")),
        ({"cycle_id": "c", "symbol": "ETHUSD", "timeframe": "1h"}, Subject("ETHUSD", Timeframe.H1, "c")),
        ({"timeframe": "nonsense", "venue": "oanda", "days": 3, "instruments": None}, Subject()),
        ({"instrument": "EURUSD", "batch": BATCH}, Subject("EURUSD", FIVE, batch_id="b")),
    ],
)
def test_parameters_say_what_a_step_was_about(parameters: dict[str, Any], subject: Subject) -> None:
    assert subject_of(parameters) == subject


def test_what_is_known_besides_fills_the_gaps_only() -> None:
    assert merged(Subject(instrument="BTCUSD"), instrument="ETHUSD", cycle_id="c") == Subject("BTCUSD", cycle_id="c")


def test_parameters_are_shown_as_json_masked_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", "c4n4ry-value")
    shown = readable(
        {
            "said": "with c4n4ry-value",
            "api_key": "unknown-value",
            "c4n4ry-value": 1,
            "long": "x" * 10_000,
            "many": list(range(MOST_ITEMS + 5)),
            "wide": {str(n): n for n in range(MOST_ITEMS + 2)},
            "few": (1, 2.5, None, True),
            "order": BTC,
            "amount": Decimal("1.50"),
            "odd": object,
            "unwritable": Unwritable(),
        }
    )
    assert shown["said"] == "with <masked>"
    assert shown["api_key"] == "<masked>"
    assert shown["<masked>"] == 1
    assert len(shown["long"]) < 1000
    assert (len(shown["many"]), shown["many"][-1]) == (MOST_ITEMS + 1, "... 5 more")
    assert shown["wide"]["..."] == "2 more"
    assert shown["few"] == [1, 2.5, None, True]
    assert shown["order"]["symbol"] == "BTCUSD"
    assert shown["amount"] == "1.50"
    assert shown["odd"] == "<class 'object'>"
    assert shown["unwritable"] == "<Unwritable>"


def test_what_is_nested_too_deep_is_shown_as_text() -> None:
    value: Any = "leaf"
    for _ in range(DEPTH + 3):
        value = {"in": [value]}
    assert "leaf" in str(readable({"deep": value}))
