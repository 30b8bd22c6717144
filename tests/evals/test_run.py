"""What is asked, how often, with which settings; and what ends an evaluation."""

import pytest

from ffe.decision.models import Action, Context
from ffe.decision.prompt import build_messages
from ffe.errors import ModelUnavailableError
from ffe.evals.models import Question
from ffe.evals.run import SEEDS
from ffe.llm.models import Message


def priced(context: Context) -> tuple[Message, ...]:
    """A question that shows price and date, as a later prompt might."""
    return (
        *build_messages(context),
        Message(role="user", content=f"{context.bar_close:%Y-%m-%d} {context.last_close}"),
    )


def test_each_case_is_asked_in_every_turn_with_all_the_others_in_between(scripted, examine, say, cases) -> None:
    results = examine(scripted(lambda *_: say("BUY")), repeats=3)

    names = [case.id for case in cases.cases]
    assert [trial.case_id for trial in results.of(Question.PLAIN)] == names * 3
    assert [trial.case_id for trial in results.of(Question.PLAIN, 1)] == names


def test_a_probe_that_does_not_reach_the_prompt_is_answered_without_a_call(scripted, examine, say) -> None:
    model = scripted(lambda *_: say("SELL"))
    results = examine(model)

    assert [len(trial.calls) for trial in results.of(Question.DATE)] == [0] * 4
    assert [len(trial.calls) for trial in results.of(Question.PRICE)] == [0] * 4
    assert [len(trial.calls) for trial in results.of(Question.TICKER)] == [1] * 4
    assert {trial.action for trial in results.of(Question.DATE)} == {Action.SELL}
    assert not results.of(Question.DATE)[0].valid_first
    assert model.calls == 8 + 4 + 8


def test_a_probe_that_reaches_the_prompt_is_asked(scripted, examine, say) -> None:
    results = examine(scripted(lambda *_: say("SELL")), question=priced)

    for probe in (Question.DATE, Question.TICKER, Question.PRICE):
        assert [len(trial.calls) for trial in results.of(probe)] == [1] * 4


def test_only_the_sampled_question_has_a_temperature_and_each_turn_its_own_seed(scripted, examine, say) -> None:
    seen = []
    examine(scripted(lambda text, sampling, call: seen.append((sampling.temperature, sampling.seed)) or say("HOLD")))

    assert set(seen[:12]) == {(0.0, 7)}
    assert seen[12:] == [(0.7, SEEDS[0])] * 4 + [(0.7, SEEDS[1])] * 4


def test_a_repaired_answer_is_valid_after_repair_and_not_at_first(scripted, examine, say) -> None:
    results = examine(scripted(lambda text, *_: say("BUY") if text.startswith("Refused") else "Well, I would buy."))

    trial = results.of(Question.PLAIN)[0]
    assert (trial.valid_first, trial.action, len(trial.calls)) == (False, Action.BUY, 2)
    assert "prose" in trial.calls[0].error
    assert trial.calls[0].raw_text == "Well, I would buy."


def test_stated_confidence_and_token_probability_are_kept_as_fractions(scripted, examine, say) -> None:
    with_odds = examine(scripted(lambda *_: say("BUY", 85), odds=0.6)).of(Question.PLAIN)[0]
    without = examine(scripted(lambda *_: say("BUY", 85))).of(Question.PLAIN)[0]

    assert (with_odds.stated, with_odds.token) == (0.85, pytest.approx(0.6))
    assert (without.stated, without.token) == (0.85, None)


def test_whoever_watches_hears_each_question_with_its_number_and_their_count(scripted, examine, say, cases) -> None:
    heard = []
    examine(scripted(lambda *_: say("BUY")), told=lambda *told: heard.append(told))

    assert heard[0] == (f"plain {cases.cases[0].id}", 1, 20)
    assert heard[-1] == (f"sampled {cases.cases[3].id}", 20, 20)
    assert [number for _, number, _ in heard] == list(range(1, 21))


def test_an_absent_model_ends_the_evaluation_before_the_first_question(absent, examine) -> None:
    with pytest.raises(ModelUnavailableError, match="connection refused"):
        examine(absent(known=False))


def test_a_model_that_goes_away_half_way_ends_the_evaluation_and_names_the_question(absent, examine, cases) -> None:
    with pytest.raises(ModelUnavailableError, match=f"plain {cases.cases[2].id}: connection refused"):
        examine(absent(good=2))


def test_an_evaluation_is_about_one_model_a_fallback_to_another_ends_it(scripted, examine, say) -> None:
    other = scripted(lambda *_: say("BUY"), digests=lambda call: ("d" if call < 3 else "e") * 64)

    with pytest.raises(ModelUnavailableError, match="about one model"):
        examine(other)


def test_what_loading_took_is_no_latency(scripted, examine, say) -> None:
    class Cold(scripted):
        def complete(self, *request):
            loaded = super().complete(*request)
            return loaded.model_copy(update={"load_ms": 1e6 if self.calls == 1 else 0.0})

    trials = examine(Cold(lambda *_: say("BUY"))).of(Question.PLAIN)

    assert trials[0].calls[0].latency_ms == 0
    assert trials[1].calls[0].latency_ms > 0
