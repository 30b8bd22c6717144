"""Every decision has an author; a HOLD that is nobody's opinion carries confidence 100 and its reason."""

import json
from datetime import timedelta

import pytest

from ffe.decision.ask import Verdict, ask
from ffe.decision.models import Action, Author, Decision
from ffe.decision.record import decision_from_verdict, gate_hold
from ffe.errors import FfeError, ModelUnavailableError
from ffe.market.models import Timeframe

GOOD = json.dumps({"reasoning": "The trend is flat.", "action": "HOLD", "confidence": 60})


@pytest.mark.parametrize("author", [author for author in Author if author is not Author.MODEL])
def test_a_gates_hold_is_certain_and_names_its_gate(author, clock):
    decision = gate_hold(
        author,
        "stale_data",
        "newest bar closed 52.0 min ago, limit 15.0 min",
        cycle_id="c1",
        instrument="BTCUSD",
        timeframe=Timeframe.M5,
        decided_at=clock.now(),
    )

    assert (decision.action, decision.confidence, decision.decided_by) == (Action.HOLD, 100, author)
    assert decision.reason_code == "stale_data"
    assert decision.model_call_id is decision.bar_close is decision.batch_id is None


def test_the_models_hold_cannot_be_made_by_a_gate(clock):
    with pytest.raises(FfeError, match="comes from its answer"):
        gate_hold(
            Author.MODEL, "x", "y", cycle_id="c", instrument="BTCUSD", timeframe=Timeframe.M5, decided_at=clock.now()
        )


def test_the_models_own_hold_keeps_its_confidence_and_points_at_its_call(scripted, context, clock):
    verdict = ask(scripted("prose", GOOD), context, clock)

    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now() + timedelta(seconds=3))

    assert (decision.action, decision.confidence, decision.decided_by) == (Action.HOLD, 60, Author.MODEL)
    assert decision.reasoning == "The trend is flat."
    assert decision.reason_code == "model_answer"
    assert decision.model_call_id == verdict.calls[1].id
    assert decision.prompt_sha256 == verdict.calls[1].prompt_sha256
    assert (decision.model, decision.model_digest, decision.seed) == ("scripted", "d" * 64, 7)
    assert decision.latency_ms == sum(call.latency_ms for call in verdict.calls)
    assert (decision.batch_id, decision.quality_report_id) == (context.batch_id, context.quality_report_id)
    assert decision.bar_close == context.bar_close
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (("prose", "prose"), "invalid_answer"),
        ((ModelUnavailableError("out of memory"),), "model_unavailable"),
        (("prose", ModelUnavailableError("out of memory")), "model_unavailable"),
    ],
)
def test_no_usable_answer_is_a_hold_by_fallback_with_the_reason(scripted, context, clock, outcomes, code):
    verdict = ask(scripted(*outcomes), context, clock)

    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now())

    assert (decision.action, decision.confidence, decision.decided_by) == (Action.HOLD, 100, Author.FALLBACK)
    assert decision.reason_code == code
    assert verdict.error in decision.reasoning
    assert decision.model_call_id == verdict.calls[-1].id
    assert decision.bar_close == context.bar_close


def test_a_model_that_was_never_asked_is_said_to_be_so(context, clock):
    verdict = Verdict(calls=(), answer=None, error=None)

    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now())

    assert decision.reason_code == "model_unavailable"
    assert "was not asked" in decision.reasoning
    assert decision.model_call_id is None


def test_two_records_never_share_an_id(scripted, context, clock):
    verdict = ask(scripted(GOOD), context, clock)
    made = [decision_from_verdict(verdict, context, cycle_id="c", decided_at=clock.now()) for _ in range(3)]

    assert len({decision.id for decision in made}) == 3
