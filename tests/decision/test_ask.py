"""One try, one repair try, then nobody decided: the model's name is never put under a guess."""

import json

import pytest

from ffe.clock import SystemClock
from ffe.decision.answer import answer_schema
from ffe.decision.ask import ask, verdict_of
from ffe.decision.models import Action, ModelCall
from ffe.decision.prompt import PROMPT_VERSION, build_messages
from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Sampling

GOOD = json.dumps({"reasoning": "The trend is up.", "action": "BUY", "confidence": 75})


def test_a_good_answer_needs_one_call_and_the_call_is_recorded_whole(scripted, context, clock):
    verdict = ask(scripted(GOOD), context, clock)

    assert verdict.answer.action is Action.BUY
    assert verdict.error is None
    (call,) = verdict.calls
    assert call.messages == build_messages(context)
    assert call.prompt_version == PROMPT_VERSION
    assert call.answer_schema == answer_schema()
    assert call.prompt_sha256 == prompt_sha256(call.messages, call.answer_schema, call.sampling)
    assert (call.raw_text, call.finish_reason, call.error) == (GOOD, "stop", None)
    assert (call.prompt_tokens, call.completion_tokens) == (9, 3)
    assert call.identity.model == "scripted"
    assert call.started_at == clock.now()
    assert call.latency_ms >= 0
    assert ModelCall.model_validate_json(call.model_dump_json()) == call


def test_an_invalid_answer_is_asked_for_once_more_with_what_was_wrong(scripted, context, clock):
    model = scripted("The next day is not available.", GOOD)

    verdict = ask(model, context, clock)

    assert verdict.answer.confidence == 75
    assert verdict.error is None
    assert "prose" in verdict.calls[0].error
    assert verdict.calls[1].error is None
    assert model.asked[1][: len(model.asked[0])] == model.asked[0]
    assert "prose" in model.asked[1][-1].content
    assert len({call.id for call in verdict.calls}) == 2
    assert len({call.prompt_sha256 for call in verdict.calls}) == 2


@pytest.mark.parametrize("bad", ["", "prose", "{}", (GOOD, "length"), GOOD.replace("75", "72")])
def test_two_invalid_answers_end_without_an_answer(scripted, context, clock, bad):
    model = scripted(bad, bad, GOOD)

    verdict = ask(model, context, clock)

    assert verdict.answer is None
    assert verdict.error == verdict.calls[-1].error
    assert len(verdict.calls) == len(model.asked) == 2
    assert all(call.raw_text is not None for call in verdict.calls)


def test_an_unavailable_model_is_not_asked_again_and_raises_nothing(scripted, context, clock):
    model = scripted(ModelUnavailableError("nothing listens"), GOOD)

    verdict = ask(model, context, clock)

    assert (verdict.answer, verdict.error) == (None, "nothing listens")
    (call,) = verdict.calls
    assert call.raw_text is call.identity is call.finish_reason is call.prompt_tokens is None
    assert call.error == "nothing listens"
    assert len(model.asked) == 1


def test_a_model_that_leaves_during_the_repair_keeps_both_calls(scripted, context, clock):
    verdict = ask(scripted("prose", ModelUnavailableError("crashed")), context, clock)

    assert (verdict.answer, verdict.error) == (None, "crashed")
    assert [call.raw_text for call in verdict.calls] == ["prose", None]


def test_a_bug_in_an_adapter_is_not_taken_for_an_outage(scripted, context, clock):
    with pytest.raises(ZeroDivisionError):
        ask(scripted(ZeroDivisionError()), context, clock)


def test_the_sampling_asked_for_is_used_and_recorded(scripted, context):
    verdict = ask(scripted(GOOD), context, SystemClock(), Sampling(seed=99))

    assert verdict.calls[0].sampling.seed == 99


@pytest.mark.parametrize("outcomes", [(GOOD,), ("prose", GOOD), ("prose", "prose"), (ModelUnavailableError("gone"),)])
def test_recorded_calls_amount_to_the_verdict_they_came_from(scripted, context, clock, outcomes):
    verdict = ask(scripted(*outcomes), context, clock)

    assert verdict_of(verdict.calls) == verdict
