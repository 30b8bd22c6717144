"""One try, one repair try, then nobody decided: the model's name is never put under a guess."""

import json

import pytest

from ffe.clock import SystemClock
from ffe.decision.answer import answer_schema
from ffe.decision.ask import ask, content_sha256
from ffe.decision.models import Action, ModelCall
from ffe.decision.prompt import PROMPT_VERSION, build_messages
from ffe.errors import ModelUnavailableError
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Completion, Message, ModelIdentity, Sampling, TokenOdds

GOOD = json.dumps({"reasoning": "The trend is up.", "action": "BUY", "confidence": 75})
IDENTITY = ModelIdentity(adapter="embedded", model="scripted", digest="d" * 64, runtime="script 1")


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


def test_the_odds_of_the_action_are_part_of_the_content_and_those_of_other_words_are_not():
    said = Completion(
        text=GOOD, finish_reason="stop", prompt_tokens=1, completion_tokens=1, latency_ms=1.0, identity=IDENTITY
    )
    at = GOOD.index('"BUY"') + 1
    likely, less, elsewhere = (
        said.model_copy(update={"tokens": (TokenOdds(start=start, text="BUY", logprob=odds),)})
        for start, odds in ((at, -0.1), (at, -9.0), (0, -0.1))
    )

    digests = [content_sha256("f", each) for each in (said, likely, less, elsewhere)]
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_the_same_question_with_the_same_answer_has_the_same_content_whenever_it_was_asked(scripted, context, clock):
    first, second = (ask(scripted(GOOD), context, each).calls[0] for each in (clock, SystemClock()))
    other = ask(scripted(GOOD.replace("}", " }")), context, clock).calls[0]

    assert first.content_sha256 == second.content_sha256
    assert other.content_sha256 != first.content_sha256
    assert ask(scripted(ModelUnavailableError("gone")), context, clock).calls[0].content_sha256 not in {
        first.content_sha256,
        other.content_sha256,
    }


def test_another_question_about_the_same_case_is_asked_in_its_members_name(scripted, context, clock):
    question = (Message(role="user", content="Argue for buying."),)
    model = scripted(GOOD)
    verdict = ask(model, context, clock, messages=question, member="bull")

    assert model.asked == [question]
    assert (verdict.calls[0].member, verdict.calls[0].messages) == ("bull", question)


def test_an_answer_with_bytes_that_no_store_keeps_is_an_answer_like_any_other(scripted, context, clock):
    verdict = ask(scripted("\ud800\0 nonsense", GOOD), context, clock)

    assert verdict.calls[0].raw_text == "?\ufffd nonsense"
    assert verdict.calls[0].error is not None
    assert verdict.answer is not None


def test_after_the_deadline_no_repair_is_tried(scripted, context, clock):
    model = scripted("prose", GOOD)
    verdict = ask(model, context, clock, barred=lambda member: f"{member} is late")

    assert (len(model.asked), verdict.answer) == (1, None)
    assert verdict.error == verdict.calls[0].error
