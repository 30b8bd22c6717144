"""Who decided, and whether that one may have."""

from typing import Any

import pytest
from builders import AT
from world import World

MODELS, GATES = {"id": "1" * 32}, {"id": "2" * 32}


@pytest.mark.parametrize(
    ("where", "values", "why"),
    [
        (GATES, {"decided_by": "intern"}, "'intern' is none of the 6 authors"),
        (GATES, {"decided_by": ""}, "'' is none of the 6 authors"),
        (MODELS, {"model_call_id": None}, "no answer of model call None is on record"),
        (GATES, {"action": "BUY"}, "only the model may say BUY in a cycle of mode sim"),
        (GATES, {"decided_by": "fallback", "action": "SELL"}, "only the model may say SELL in a cycle of mode sim"),
    ],
)
def test_a_decision_that_its_author_may_not_have_made_is_found(
    world: World, where: dict[str, Any], values: dict[str, Any], why: str
) -> None:
    world.put("decision", where, **values)
    assert world.why("known-authors") == why


def test_a_hold_of_the_model_whose_call_brought_no_answer_is_found(world: World) -> None:
    world.put("model_call", raw_text=None)
    found = world.only("known-authors")
    assert found.count == 2
    assert {row["why"] for row in found.rows} == {f"no answer of model call {'m' * 32} is on record"}


def test_a_gate_may_close(world: World) -> None:
    world.ledger.start_cycle("flatten-1", "close", "1m", AT)
    world.put("decision", GATES, action="SELL", decided_by="halt", cycle_id="flatten-1")
    assert world.broken() == {}
