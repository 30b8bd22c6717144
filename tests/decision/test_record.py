"""Every decision has an author; a HOLD that is nobody's opinion carries confidence 100 and its reason."""

import json
from datetime import timedelta

import pytest

from ffe.decision.answer import Answer
from ffe.decision.ask import ask
from ffe.decision.models import Action, Author, ConfidenceParts, Decision, Vote
from ffe.decision.record import Weighed, decision_from_verdict, gate_hold
from ffe.decision.verdict import Verdict
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


def test_the_confidence_that_gates_is_the_weighed_one_and_its_parts_stay_with_the_decision(scripted, context, clock):
    verdict = ask(scripted(GOOD), context, clock)
    parts = ConfidenceParts(stated=0.6, calibrated=0.48, calibration_id="k", source="calibrated")
    decision = decision_from_verdict(
        verdict, context, cycle_id="c1", decided_at=clock.now(), weighed=Weighed(48, parts)
    )

    assert (decision.confidence, decision.decided_by, decision.confidence_parts) == (48, Author.MODEL, parts)


def test_an_answer_whose_gating_confidence_is_not_known_is_held_by_fallback(scripted, context, clock):
    verdict = ask(scripted(GOOD), context, clock)
    parts = ConfidenceParts(stated=0.6, source="calibrated")
    decision = decision_from_verdict(
        verdict, context, cycle_id="c1", decided_at=clock.now(), weighed=Weighed(None, parts)
    )

    assert (decision.action, decision.decided_by, decision.reason_code) == (
        Action.HOLD,
        Author.FALLBACK,
        "confidence_unknown",
    )
    assert "calibrated confidence" in decision.reasoning
    assert (decision.confidence_parts, decision.model_call_id) == (parts, verdict.calls[0].id)


@pytest.mark.parametrize(
    ("votes", "code"),
    [
        ((Vote(member="a", action=Action.BUY), Vote(member="b", action=Action.SELL)), "ensemble_disagrees"),
        ((Vote(member="a", action=None, error="late"), Vote(member="b", action=None)), "model_unavailable"),
    ],
)
def test_an_ensemble_without_an_answer_is_held_by_fallback_and_keeps_its_votes(context, clock, votes, code):
    verdict = Verdict(calls=(), answer=None, error="ensemble disagrees: BUY 1, SELL 1", votes=votes)
    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now())

    assert (decision.action, decision.decided_by, decision.reason_code) == (Action.HOLD, Author.FALLBACK, code)
    assert decision.votes == votes


def test_a_majoritys_decision_points_at_a_call_of_its_own_side(scripted, context, clock):
    buy, sell = (GOOD.replace("HOLD", action) for action in ("BUY", "SELL"))
    calls = [
        ask(scripted(text), context, clock, member=member).calls[0]
        for member, text in (("a", buy), ("b", buy), ("c", sell))
    ]
    votes = tuple(
        Vote(member=call.member, action=Action(json.loads(call.raw_text)["action"]), confidence=sure)
        for call, sure in zip(calls, (60, 70, 90), strict=True)
    )
    answer = Answer(reasoning="up", action=Action.BUY, confidence=60)
    verdict = Verdict(calls=tuple(calls), answer=answer, error=None, votes=votes)

    assert verdict.spoken == calls[1]
    lost = verdict.model_copy(update={"votes": votes[2:]})
    assert lost.spoken == calls[2]
    decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now())
    assert decision.model_call_id == calls[1].id


def test_the_situation_that_was_decided_on_is_kept_for_the_memory(scripted, context, clock):
    decision = decision_from_verdict(
        ask(scripted(GOOD), context, clock), context, cycle_id="c1", decided_at=clock.now()
    )

    assert decision.situation
    assert all(isinstance(value, float) for value in decision.situation.values())
