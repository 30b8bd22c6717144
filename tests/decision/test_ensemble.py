"""Several opinions: a majority decides with its quorum, everything else is nobody's decision, and in a debate only the judge decides."""

import itertools
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.answer import CONFIDENCE_STEP, REASONING_MAX, Answer
from ffe.decision.ensemble import after, ask_ensemble, majority
from ffe.decision.models import Action, Author, Vote
from ffe.decision.prompt import build_messages, case_text
from ffe.decision.record import decision_from_verdict
from ffe.decision.roles import SYSTEM, Role
from ffe.errors import ModelUnavailableError
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.models import Sampling
from ffe.settings import EmbeddedSettings, EnsembleSettings, EnsembleStrategy

DEBATE = EnsembleSettings(strategy=EnsembleStrategy.DEBATE)
SAMPLES = EnsembleSettings(strategy=EnsembleStrategy.SAMPLES)
GONE = ModelUnavailableError("the model process crashed: signal 9")


def said(action: str, confidence: int = 60, reasoning: str = "2 of 3 frames up.") -> str:
    return json.dumps({"reasoning": reasoning, "action": action, "confidence": confidence})


def of_models(*names: str, **changes) -> EnsembleSettings:
    return EnsembleSettings(strategy=EnsembleStrategy.MODELS, models=names, **changes)


def named(models):
    """`model_for` over models by name; a missing one is unavailable."""

    def find(name):
        if name not in models:
            raise ModelUnavailableError(f"model {name!r} not found")
        return models[name]

    return find


@pytest.fixture
def polled(scripted, context, clock):
    """The verdict of models a, b, c ... that give these outcomes; None is a model that is not there."""

    def poll(*outcomes, quorum=0.6, weights=None):
        names = [chr(ord("a") + index) for index in range(len(outcomes))]
        there = {
            name: scripted(*(each if isinstance(each, list) else [each]))
            for name, each in zip(names, outcomes, strict=True)
            if each is not None
        }
        return ask_ensemble(named(there), context, clock, of_models(*names, quorum=quorum), weights)

    return poll


def test_samples_ask_the_same_question_with_seeds_in_a_row_and_record_their_sampling(scripted, context, clock):
    model = scripted(said("BUY", 60), said("HOLD", 90), said("BUY", 85))
    settings = SAMPLES.model_copy(update={"temperature": 0.9})

    verdict = ask_ensemble(lambda name: model, context, clock, settings, sampling=Sampling(seed=40, max_tokens=99))

    assert model.asked == [build_messages(context)] * 3
    assert [call.sampling for call in verdict.calls] == [
        Sampling(seed=seed, temperature=0.9, max_tokens=99) for seed in (40, 41, 42)
    ]
    assert [call.member for call in verdict.calls] == ["sample-1", "sample-2", "sample-3"]
    assert (verdict.answer.action, verdict.answer.confidence) == (Action.BUY, 70)
    assert verdict.error is None
    assert verdict.ensemble == settings
    assert [(vote.member, vote.action, vote.confidence, vote.weight) for vote in verdict.votes] == [
        ("sample-1", Action.BUY, 60, 1.0),
        ("sample-2", Action.HOLD, 90, 1.0),
        ("sample-3", Action.BUY, 85, 1.0),
    ]


def test_samples_of_one_model_weigh_the_same_whatever_weights_are_known(scripted, context, clock):
    model = scripted(said("BUY"), said("BUY"), said("SELL"))

    verdict = ask_ensemble(lambda name: model, context, clock, SAMPLES, {"sample-3": 9.0})

    assert verdict.answer.action is Action.BUY


def test_models_are_asked_by_name_in_order_at_temperature_0(scripted, context, clock):
    asked = []
    models = {name: scripted(said("SELL", confidence)) for name, confidence in (("x", 70), ("y", 80))}

    def model_for(name):
        asked.append(name)
        return models[name]

    verdict = ask_ensemble(model_for, context, clock, of_models("y", "x"))

    assert asked == ["y", "x"]
    assert [call.member for call in verdict.calls] == ["y", "x"]
    assert {call.sampling for call in verdict.calls} == {Sampling()}
    assert verdict.answer.confidence == 75


def test_without_a_strategy_it_is_one_question(scripted, context, clock):
    verdict = ask_ensemble(lambda name: scripted(said("SELL")), context, clock, EnsembleSettings())

    assert (len(verdict.calls), verdict.votes, verdict.ensemble) == (1, None, None)
    assert verdict.calls[0].member == "model"
    assert verdict.answer.action is Action.SELL


def test_the_words_are_those_of_the_most_confident_winner(polled):
    verdict = polled(
        said("BUY", 55, "meek"), said("BUY", 95, "loud"), said("SELL", 100, "against"), said("BUY", 95, "late")
    )

    assert verdict.answer == Answer(action=Action.BUY, reasoning="loud", confidence=80)


@pytest.mark.parametrize(
    ("confidences", "weights", "mean"),
    [
        ((60, 65), {}, 60),
        ((60, 70), {}, 65),
        ((0, 100), {"b": 3.0}, 75),
        ((0, 100), {"a": 2.0, "b": 1.0}, 30),
        ((100, 100), {"a": 0.1, "b": 0.2}, 100),
        ((5, 0), {}, 0),
    ],
)
def test_confidence_is_the_winners_weighted_mean_rounded_down_to_the_step(polled, confidences, weights, mean):
    verdict = polled(*(said("SELL", confidence) for confidence in confidences), weights=weights)

    assert verdict.answer.confidence == mean


@pytest.mark.parametrize(
    ("outcomes", "quorum", "action"),
    [
        ("BBBSS", 0.6, Action.BUY),
        ("BBBSS", 0.61, None),
        ("BBSHH", 0.51, None),
        ("BS", 0.51, None),
        ("BBB-", 0.75, Action.BUY),
        ("BBB--", 0.75, None),
        ("BB-", 0.6, Action.BUY),
        ("B--", 0.51, None),
        ("BBB", 1.0, Action.BUY),
        ("BB-", 1.0, None),
        ("HHS", 0.6, Action.HOLD),
    ],
)
def test_the_quorum_is_of_all_members_the_silent_ones_too(outcomes, quorum, action):
    meant = {"B": Action.BUY, "S": Action.SELL, "H": Action.HOLD, "-": None}
    votes = [Vote(member=str(index), action=meant[letter]) for index, letter in enumerate(outcomes)]

    assert majority(votes, quorum) is action


def test_a_member_without_an_answer_counts_against_the_quorum_and_says_why(polled):
    verdict = polled(said("BUY"), said("BUY"), ["prose", "prose"], None, GONE)

    assert verdict.answer is None
    assert [vote.action for vote in verdict.votes] == [Action.BUY, Action.BUY, None, None, None]
    assert "prose, not a JSON object" in verdict.votes[2].error
    assert verdict.votes[3].error == "model 'd' not found"
    assert verdict.votes[4].error == str(GONE)
    assert verdict.error.startswith(
        "ensemble disagrees: no action has 0.6 of the weight: a BUY at 60; b BUY at 60; c no "
    )
    assert [call.member for call in verdict.calls] == ["a", "b", "c", "c", "e"]


def test_a_repaired_answer_votes_as_any_other(polled):
    verdict = polled(["prose", said("HOLD", 40)], said("HOLD", 50), said("BUY"))

    assert (verdict.answer.action, verdict.answer.confidence) == (Action.HOLD, 45)


def test_a_majority_for_hold_is_the_models_hold_and_a_tie_is_nobodys(polled, context, clock):
    def author(verdict):
        decision = decision_from_verdict(verdict, context, cycle_id="c1", decided_at=clock.now())
        return decision.action, decision.decided_by

    assert author(polled(said("HOLD"), said("HOLD"), said("BUY"))) == (Action.HOLD, Author.MODEL)
    assert author(polled(said("BUY"), said("SELL"), quorum=0.51)) == (Action.HOLD, Author.FALLBACK)


def test_when_nobody_answers_that_is_an_outage_and_not_a_disagreement(polled):
    verdict = polled(GONE, None, GONE)

    assert verdict.answer is None
    assert verdict.error.startswith("nobody in the ensemble answered: a no answer, the model process crashed")


def test_weights_decide_and_are_written_down(polled):
    outcomes = [said("BUY"), said("SELL"), said("SELL")]

    heavy = polled(*outcomes, weights={"a": 3.0, "unknown": 7.0})
    light = polled(*outcomes, weights={"a": 2.0})

    assert heavy.answer.action is Action.BUY
    assert [vote.weight for vote in heavy.votes] == [3.0, 1.0, 1.0]
    assert light.answer is None
    assert "a (weight 2) BUY at 60; b SELL at 60" in light.error


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_positive_number_is_refused(polled, weight):
    with pytest.raises(ValueError, match="weight of a is"):
        polled(said("BUY"), said("BUY"), weights={"a": weight})


ballots = st.lists(
    st.builds(
        Vote,
        member=st.just("m"),
        action=st.sampled_from([*Action, None]),
        weight=st.floats(min_value=0.01, max_value=100, allow_nan=False),
    ),
    min_size=1,
    max_size=7,
)
quorums = st.floats(min_value=0.5, max_value=1, exclude_min=True)


@given(ballots, quorums, st.randoms(use_true_random=False))
def test_the_order_of_the_members_never_changes_the_action(votes, quorum, random):
    shuffled = random.sample(votes, len(votes))

    assert majority(shuffled, quorum) is majority(votes, quorum)


@given(ballots, quorums)
def test_an_action_wins_exactly_when_it_has_the_quorum_and_never_two_do(votes, quorum):
    weights = {action: sum(Fraction(str(v.weight)) for v in votes if v.action is action) for action in Action}
    total = sum(Fraction(str(vote.weight)) for vote in votes)
    enough = [action for action in Action if weights[action] / total >= Fraction(str(quorum))]

    assert len(enough) <= 1
    assert majority(votes, quorum) is (enough[0] if enough else None)


@given(st.integers(min_value=1, max_value=6), st.sampled_from(list(itertools.permutations(Action, 2))), quorums)
def test_two_camps_of_equal_weight_never_decide(members, camps, quorum):
    votes = [Vote(member="m", action=action) for action in camps * members]

    assert majority(votes, quorum) is None


@given(ballots, quorums)
def test_one_more_silent_member_never_makes_a_majority(votes, quorum):
    before = majority(votes, quorum)

    assert majority([*votes, Vote(member="silent", action=None)], quorum) in (before, None)


def test_permuted_models_give_the_same_action_and_confidence(polled):
    outcomes = [said("SELL", 55), said("SELL", 90), said("SELL", 75), GONE]

    answers = {
        (verdict.answer.action, verdict.answer.confidence, verdict.answer.reasoning)
        for verdict in (polled(*order) for order in itertools.permutations(outcomes))
    }

    assert answers == {(Action.SELL, 70, "2 of 3 frames up.")}
    assert all(confidence % CONFIDENCE_STEP == 0 for _, confidence, _ in answers)


def test_no_new_member_is_asked_after_the_deadline(scripted, context, clock):
    now = [100.0]

    class Slow(scripted):
        def complete(self, *request):
            now[0] += 4.0
            return super().complete(*request)

    model = Slow(*[said("BUY")] * 5)
    settings = SAMPLES.model_copy(update={"samples": 5})

    verdict = ask_ensemble(lambda name: model, context, clock, settings, barred=after(10.0, lambda: now[0]))

    assert len(model.asked) == len(verdict.calls) == 3
    assert verdict.answer.action is Action.BUY
    assert [vote.error for vote in verdict.votes[3:]] == [
        "sample-4 was not asked: 10 s were over",
        "sample-5 was not asked: 10 s were over",
    ]


def test_the_deadline_runs_on_a_clock_that_nobody_can_set_back():
    assert after(60.0)("a") is None
    assert after(0.0)("a") == "a was not asked: 0 s were over"


def test_in_a_debate_each_side_has_its_own_instructions_and_the_judge_hears_both(scripted, context, clock):
    model = scripted(said("BUY", 90, "up: strong"), said("SELL", 35, "RSI 74 is {stretched}"), said("SELL", 65))

    verdict = ask_ensemble(lambda name: model, context, clock, DEBATE)

    assert [messages[0].content for messages in model.asked] == [SYSTEM[role] for role in Role]
    assert [messages[-1].content for messages in model.asked] == [
        case_text(context),
        case_text(context),
        f"{case_text(context)} Bull 90 (up strong). Bear 35 (RSI 74 is stretched).",
    ]
    assert [call.member for call in verdict.calls] == ["bull", "bear", "judge"]
    assert {call.sampling for call in verdict.calls} == {Sampling()}
    assert (verdict.answer.action, verdict.answer.confidence) == (Action.SELL, 65)
    assert [(vote.member, vote.weight) for vote in verdict.votes] == [("bull", 0.0), ("bear", 0.0), ("judge", 1.0)]
    assert verdict.spoken is verdict.calls[-1]


def test_the_sides_cannot_decide_even_together(scripted, context, clock):
    model = scripted(said("BUY", 100), said("BUY", 100), said("HOLD", 50))

    verdict = ask_ensemble(lambda name: model, context, clock, DEBATE)

    assert verdict.answer.action is Action.HOLD
    assert model.asked[2][-1].content.endswith("Bear concedes.")


def test_a_failed_side_is_absent_before_the_judge(scripted, context, clock):
    model = scripted("prose", "prose", said("SELL", 80, "weak"), said("SELL", 70))

    verdict = ask_ensemble(lambda name: model, context, clock, DEBATE)

    assert model.asked[-1][-1].content == f"{case_text(context)} Bull absent. Bear 80 (weak)."
    assert verdict.answer.action is Action.SELL
    assert verdict.votes[0].action is None


@pytest.mark.parametrize("judge", [["prose", ("{", "length")], [GONE]])
def test_without_the_judges_answer_nobody_decides(scripted, context, clock, judge):
    model = scripted(said("BUY"), said("SELL"), *judge)

    verdict = ask_ensemble(lambda name: model, context, clock, DEBATE)

    assert verdict.answer is None
    assert verdict.error.startswith("the judge gave no answer: ")
    assert verdict.votes[2].action is None


def test_when_neither_side_was_heard_the_judge_is_not_asked_alone(scripted, context, clock):
    model = scripted(GONE, GONE, said("BUY"))

    verdict = ask_ensemble(lambda name: model, context, clock, DEBATE)

    assert len(model.asked) == 2
    assert verdict.answer is None
    assert "neither side was heard" in verdict.error


@pytest.mark.slow
def test_the_real_model_debates_within_its_context_and_its_judge_answers(contexts, clock):
    model = EmbeddedModel(EmbeddedSettings())
    try:
        verdict = ask_ensemble(lambda name: model, contexts[0], clock, DEBATE)
    finally:
        model.close()

    assert verdict.error is None
    assert verdict.answer is not None
    assert [call.member for call in verdict.calls] == ["bull", "bear", "judge"]
    assert len({call.raw_text for call in verdict.calls}) == 3
    for call in verdict.calls:
        assert call.prompt_tokens + call.sampling.max_tokens < 800
        assert len(Answer.model_validate_json(call.raw_text).reasoning) <= REASONING_MAX
