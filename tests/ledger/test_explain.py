"""From any id back to the bars."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    AT,
    BAR,
    bare_decision,
    call,
    context,
    decision,
    fill,
    grade,
    intent,
    record_chain,
    venue_order,
)

from ffe.decision.answer import Answer
from ffe.decision.models import Action, Author
from ffe.decision.verdict import Verdict as AskedFor
from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.risk.models import Denial, Verdict
from ffe.venues.models import VenueOrder


@pytest.fixture
def filled(ledger: Ledger) -> Order:
    record_chain(ledger)
    order, _ = ledger.plan(intent(), AT)
    ledger.reserve(order.id, "USD", order.reserve_amount, order.reserve_amount, AT)
    ledger.transition(order.id, OrderState.SUBMITTING, AT, checkpoint="6410")
    return ledger.book(order.id, venue_order(order, OrderState.FILLED, fill()), AT)


def test_an_order_traces_back_to_bars_quality_prompt_and_raw_answer(ledger: Ledger, filled: Order) -> None:
    found = ledger.explain(filled.id)
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    assert (found["kind"], found["missing"]) == ("order", [])
    assert found["batch"]["sha256"] == "b" * 64
    assert (found["batch"]["path"], found["batch"]["bar_close"]) == ("bars/EURUSD/5m/b.parquet", "2018-04-04T15:30:00Z")
    assert found["quality"]["findings"][0]["check"] == "gaps"
    assert (found["model_call"]["prompt_sha256"], found["model_call"]["raw_text"]) == ("5" * 64, '{"action":"BUY"}')
    assert found["sizing"]["arithmetic"]["clamps"][0]["name"] == "max_position"
    (order,) = found["orders"]
    assert [event["to_state"] for event in order["events"]] == ["PLANNED", "RESERVED", "SUBMITTING", "FILLED"]
    assert order["fills"][0]["price"] == "1.2272"
    assert order["reservation"]["used"] is True
    assert order["position"]["units"] == "4000"


def test_the_chain_has_the_verdict_every_call_behind_it_and_what_became_of_it(ledger: Ledger) -> None:
    made = record_chain(ledger)
    spoken, refused = call(), call(id="2" * 32, error="prose", started_at=AT - timedelta(seconds=3))
    answer = Answer(reasoning="trend up", action=Action.BUY, confidence=75)
    ledger.record_verdict(made.cycle_id, context(), AskedFor(calls=(refused, spoken), answer=answer, error=None), AT)
    ledger.record_grade(grade())
    found = ledger.explain(made.id)
    assert found is not None
    assert (found["model_call"]["id"], [each["id"] for each in found["other_calls"]]) == (spoken.id, [refused.id])
    assert found["verdict"]["answer"]["confidence"] == 75
    assert (found["verdict"]["memory"], found["grade"]["exit"]) == ([], "target")
    assert json.loads(json.dumps(found)) == found


def test_every_id_of_the_chain_and_a_prefix_of_one_lead_to_it(ledger: Ledger, filled: Order) -> None:
    asked = (filled.id, filled.client_order_id, filled.id[:6], filled.client_order_id[:9])
    assert {found["id"] for found in map(ledger.explain, asked) if found is not None} == {filled.id}
    by_decision, by_cycle = ledger.explain("dddddd"), ledger.explain("c" * 32)
    assert by_decision is not None
    assert by_cycle is not None
    assert (by_decision["kind"], by_cycle["kind"]) == ("decision", "cycle")
    assert by_decision["orders"][0]["id"] == by_cycle["decisions"][0]["orders"][0]["id"] == filled.id


@pytest.mark.parametrize("text", ["ddddd", "nothing-has-this", "______", "%%%%%%"])
def test_what_nothing_has_is_none(ledger: Ledger, filled: Order, text: str) -> None:
    assert ledger.explain(text) is None


def test_a_prefix_of_two_ids_is_refused_and_an_exact_id_wins(ledger: Ledger) -> None:
    for cycle_id in ("abcdef1", "abcdef12", "abcdef2"):
        ledger.start_cycle(cycle_id, "sim", "5m", AT)
    with pytest.raises(LedgerError, match="fits several ids: abcdef1, abcdef12, abcdef2"):
        ledger.explain("abcdef")
    found = ledger.explain("abcdef1")
    assert found is not None
    assert found["id"] == "abcdef1"


def test_a_broken_chain_says_what_is_missing(ledger: Ledger) -> None:
    bare_decision(ledger)
    order, _ = ledger.plan(intent(), AT)
    found = ledger.explain(order.id)
    assert found is not None
    assert found["missing"] == ["batch", "quality", "model_call", "sizing"]


def test_a_gates_hold_needs_no_model_call(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    ledger.record_decision(decision(decided_by=Author.DATA_GATE, bar_close=BAR - timedelta(minutes=52)))
    found = ledger.explain("d" * 32)
    assert found is not None
    assert (found["missing"], found["orders"], found["model_call"]) == ([], [], None)


def test_the_orders_that_followed_an_entry_stand_in_its_chain(ledger: Ledger, filled: Order) -> None:
    stop = VenueOrder(
        client_order_id="x", venue_order_id="s", state=OrderState.FILLED, reason=None, fills=(fill(2, price="1.2240"),)
    )
    adopted = ledger.adopt_protection(filled.id, stop, Side.SELL, AT + timedelta(minutes=3))
    for asked, others in ((filled.id, [filled, adopted]), (adopted.id, [adopted, filled])):
        found = ledger.explain(asked)
        assert found is not None
        assert [order["id"] for order in found["orders"]] == [order.id for order in others]
        assert found["missing"] == []


def test_a_close_that_the_risk_gate_asked_for_needs_no_model_call(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    ledger.record_decision(decision(decided_by=Author.RISK_GATE))
    order, _ = ledger.plan(intent(leg=Leg.REPAIR, side=Side.SELL), AT)
    found = ledger.explain(order.id)
    assert found is not None
    assert (found["missing"], found["model_call"]) == ([], None)


def test_the_verdicts_of_the_risk_rules_stand_beside_the_sizing(ledger: Ledger) -> None:
    bare_decision(ledger)
    verdicts = (
        Verdict(rule="spread", allowed=True, code="spread", reason="1.3 pips, limit 5", most=Decimal("12.50")),
        Verdict(rule="daily_loss", allowed=False, code="daily_loss", reason="5.1 %, limit 5 %", trips=True),
    )
    ledger.record_sizing("d" * 32, None, Denial(code="daily_loss", reason="5.1 %, limit 5 %"), verdicts)
    found = ledger.explain("d" * 32)
    assert found is not None
    assert [Verdict.model_validate(kept) for kept in found["sizing"]["verdicts"]] == list(verdicts)


def test_a_denied_decision_shows_why_and_a_cycle_its_incidents(ledger: Ledger) -> None:
    bare_decision(ledger)
    ledger.record_sizing("d" * 32, None, Denial(code="below_minimum", reason="size 0.2 is below min_size 1"))
    ledger.record_incident(type="X", message="m", traceback="t", at=AT, cycle_id="c" * 32)
    found = ledger.explain("c" * 32)
    assert found is not None
    assert found["decisions"][0]["sizing"]["denial_code"] == "below_minimum"
    assert found["incidents"][0]["type"] == "X"


def test_an_incident_is_explained_with_its_cycle(ledger: Ledger) -> None:
    made = record_chain(ledger)
    with_cycle = ledger.record_incident(type="E", message="m", traceback="t", at=AT, cycle_id=made.cycle_id)
    without = ledger.record_incident(type="F", message="m", traceback="t", at=AT)
    found, bare = ledger.explain(with_cycle.id[:10]), ledger.explain(without.id)
    assert found is not None
    assert bare is not None
    assert (found["kind"], found["id"], found["incident"]["message"]) == ("incident", with_cycle.id, "m")
    assert (found["cycle"]["id"], bare["cycle"]) == (made.cycle_id, None)
    assert json.loads(json.dumps(found)) == found
