"""Each metric against a model that has exactly the fault it is for."""

import pytest
from sklearn.metrics import brier_score_loss

from ffe.decision.models import Action
from ffe.decision.prompt import build_messages
from ffe.evals.metrics import action_shares, claims, measure, quantization
from ffe.evals.models import Question
from ffe.llm.models import Message


def test_a_steady_model_has_no_faults(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda *_: say("BUY"))))

    assert found["schema_valid_first"] == found["schema_valid_repaired"] == 1
    for name in ("flip", "sampled_flip", "date_flip", "ticker_flip", "price_flip"):
        assert (found[f"{name}_rate"], found[f"{name}_n"]) == (0, 4)
    assert (found["date_prompt_changed"], found["ticker_prompt_changed"]) == (0, 1)
    assert (found["cases"], found["repeats"], found["calls"]) == (4, 2, 20)


def test_a_flipper_flips_in_every_second_turn(scripted, examine, say) -> None:
    """The first turn is calls 0 to 3, the second 4 to 7: two of four cases get another answer then."""
    found = measure(examine(scripted(lambda text, sampling, call: say("SELL" if call in (4, 6) else "BUY"))))

    assert (found["flip_rate"], found["flip_n"]) == (0.5, 4)
    assert found["ticker_flip_rate"] == found["sampled_flip_rate"] == 0


def test_an_answer_that_is_unusable_the_second_time_is_a_flip(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda text, sampling, call: "no idea" if call in (4, 5) else say("BUY"))))

    assert found["flip_rate"] == 0.25
    assert found["schema_valid_repaired"] == 7 / 8


def test_a_model_that_turns_with_the_seed_flips_only_when_it_is_sampled(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda text, sampling, call: say("SELL" if sampling.seed == 102 else "BUY"))))

    assert (found["sampled_flip_rate"], found["sampled_flip_n"], found["flip_rate"]) == (1, 4, 0)


def test_one_turn_gives_no_flip_rate_rather_than_a_good_one(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda *_: say("BUY")), repeats=1))

    assert "flip_rate" not in found
    assert "flip_n" not in found


def test_a_ticker_lover_is_caught_by_the_strange_name(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda text, *_: say("BUY" if "BTCUSD" in text else "HOLD"))))

    assert found["ticker_flip_rate"] == 0.25
    assert found["date_flip_rate"] == found["price_flip_rate"] == found["flip_rate"] == 0


def test_a_price_lover_is_caught_once_the_prompt_shows_prices(scripted, examine, say, cases) -> None:
    def question(context):
        return (*build_messages(context), Message(role="user", content=str(context.last_close)))

    dear = max(float(case.context.last_close) for case in cases.cases)
    lover = scripted(lambda text, *_: say("BUY" if float(text) > dear else "HOLD"))
    found = measure(examine(lover, question=question))

    assert found["price_prompt_changed"] == 1
    assert found["price_flip_rate"] == 0.25
    assert found["ticker_flip_rate"] == found["date_flip_rate"] == 0


def test_a_date_lover_is_caught_once_the_prompt_shows_dates(scripted, examine, say, cases) -> None:
    def question(context):
        return (*build_messages(context), Message(role="user", content=f"{context.bar_close:%F}"))

    known = {f"{case.context.bar_close:%F}" for case in cases.cases}
    found = measure(examine(scripted(lambda text, *_: say("BUY" if text in known else "SELL")), question=question))

    assert found["date_prompt_changed"] == 1
    assert found["date_flip_rate"] == 1


def test_a_prose_talker_has_no_valid_answer_and_no_scores(scripted, examine) -> None:
    found = measure(examine(scripted(lambda *_: "I think the market looks strong.")))

    assert found["schema_valid_first"] == found["schema_valid_repaired"] == 0
    assert action_shares(found) == {"buy": 0, "sell": 0, "hold": 0, "none": 1}
    assert found["entries"] == 0
    assert not {"paid_share", "brier_stated", "ece_token", "stated_n"} & set(found)
    assert found["calls"] == 40


def test_a_talker_that_heeds_the_repair_is_valid_then(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda text, *_: say("HOLD") if text.startswith("Refused") else "Hm.")))

    assert (found["schema_valid_first"], found["schema_valid_repaired"]) == (0, 1)


def test_action_shares_are_those_of_the_first_turn(scripted, examine, say) -> None:
    said = ["BUY", "SELL", "HOLD", "BUY"] + ["SELL"] * 16
    found = measure(examine(scripted(lambda text, sampling, call: say(said[call]))))

    assert action_shares(found) == {"buy": 0.5, "sell": 0.25, "hold": 0.25, "none": 0}


def test_a_slow_models_speed_is_tokens_over_its_own_time(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda *_: say("BUY"), milliseconds=(2000.0, 500.0))))

    assert found["prompt_tokens_per_second"] == pytest.approx(200)
    assert found["generation_tokens_per_second"] == pytest.approx(100)


def test_a_runtime_that_tells_no_time_has_no_speed(scripted, examine, say) -> None:
    untold = measure(examine(scripted(lambda *_: say("BUY"))))
    nothing = measure(examine(scripted(lambda *_: say("BUY"), milliseconds=(0.0, 0.0))))

    assert "prompt_tokens_per_second" not in untold
    assert "generation_tokens_per_second" not in nothing


def test_latency_is_that_of_every_call(scripted, examine, say) -> None:
    results = examine(scripted(lambda *_: say("BUY")))
    calls = [
        trial.model_copy(update={"calls": tuple(c.model_copy(update={"latency_ms": 100.0}) for c in trial.calls)})
        for trial in results.trials
    ]
    slow = calls[0].model_copy(update={"calls": (calls[0].calls[0].model_copy(update={"latency_ms": 2100.0}),)})
    found = measure(results.model_copy(update={"trials": (slow, *calls[1:])}))

    assert found["latency_p50_ms"] == 100
    assert found["latency_p95_ms"] == pytest.approx(200)


def test_scores_look_at_entries_and_at_what_their_side_earned(scripted, examine, say, cases) -> None:
    said = [("BUY", 75), ("SELL", 60), ("HOLD", 90), ("BUY", 85)]
    results = examine(scripted(lambda text, sampling, call: say(*said[call % 4]), odds=0.6))
    found = measure(results)

    sides = [(cases.cases[0].long_return, 0.75), (cases.cases[1].short_return, 0.6), (cases.cases[3].long_return, 0.85)]
    won = [net > 0 for net, _ in sides]
    assert (found["entries"], found["stated_n"], found["token_n"]) == (3, 3, 3)
    assert found["paid_share"] == sum(won) / 3
    assert found["brier_stated"] == pytest.approx(brier_score_loss(won, [claim for _, claim in sides]))
    assert found["brier_token"] == pytest.approx(brier_score_loss(won, [0.6] * 3))
    assert found["ece_token"] == pytest.approx(abs(0.6 - sum(won) / 3))
    assert claims(results, "stated") == ([0.75, 0.6, 0.85], won)


def test_without_log_probabilities_there_is_no_score_of_them(scripted, examine, say) -> None:
    found = measure(examine(scripted(lambda *_: say("BUY"))))

    assert "brier_stated" in found
    assert not {"brier_token", "ece_token", "token_n"} & set(found)


def test_a_hold_is_no_entry(scripted, examine, say) -> None:
    results = examine(scripted(lambda *_: say("HOLD")))

    assert {trial.action for trial in results.of(Question.PLAIN)} == {Action.HOLD}
    assert measure(results)["entries"] == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SmolLM2-135M-Instruct.Q4_1", "Q4_1"),
        ("llama3.2:3b-instruct-q4_0", "Q4_0"),
        ("Qwen2.5-0.5B-Instruct-Q4_K_M", "Q4_K_M"),
        ("gemma-3-270m-Q6_K", "Q6_K"),
        ("phi-IQ3_XXS", "IQ3_XXS"),
        ("llama3.1:8b-instruct-fp16", "FP16"),
        ("model.BF16", "BF16"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("llama3.2:latest", None),
        ("model", None),
        ("sq4_0x", None),
    ],
)
def test_the_quantization_is_what_the_name_says_or_unknown(name: str, said: str | None) -> None:
    assert quantization(name) == said
