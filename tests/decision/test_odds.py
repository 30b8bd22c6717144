"""What the tokens at the action's first letter say of all three actions, wherever the answer puts it and however it is cut into tokens."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.answer import answer_schema, parse_answer
from ffe.decision.models import Action
from ffe.decision.odds import action_odds, action_tokens
from ffe.decision.prompt import build_messages
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.models import Completion, ModelIdentity, Sampling, TokenOdds
from ffe.settings import EmbeddedSettings

IDENTITY = ModelIdentity(adapter="embedded", model="m", digest="d", runtime="r")
TEXT = '{"reasoning": "Up.", "action": "BUY", "confidence": 75}'
AT = TEXT.index("BUY")


def odds_of(top, chosen=("BU", -0.2), text=TEXT, start=AT):
    """Odds of an answer whose token at `start` is `chosen`, with `top` beside it; `top` gives probabilities, not logarithms."""
    listed = tuple((word, math.log(odds)) for word, odds in top)
    return action_odds(text, (TokenOdds(start=start, text=chosen[0], logprob=chosen[1], top=listed),))


def completion(text, tokens):
    return Completion(
        text=text,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=len(tokens),
        latency_ms=1,
        tokens=tokens,
        identity=IDENTITY,
    )


@st.composite
def answers(draw):
    """Text of an answer and its tokens, cut anywhere, each with made-up odds beside it."""
    # An answer that speaks of thinking tags is refused as a whole.
    said = st.text(max_size=40).filter(lambda text: "think" not in text)
    reasoning = draw(said | st.just('"action": "SELL"') | st.just('say {"action": "HOLD"} é 🚀'))
    action = draw(st.sampled_from(Action))
    value = {"reasoning": reasoning, "action": action.value, "confidence": 5}
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2])))
    text = draw(st.sampled_from(["", "\n ", "<think>BUY or {SELL}?</think>"])) + text
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=60))})
    words = st.sampled_from(["B", "BU", "BUY", "S", "SELL", "HO", "HOLD", "H", "é", "", 'BUY"', "MO"]) | st.text(
        max_size=4
    )
    tops = st.lists(st.tuples(words, st.floats(-30, 0)), max_size=5).map(tuple)
    tokens = tuple(
        TokenOdds(start=start, text=text[start:end], logprob=draw(st.floats(-30, 0)), top=draw(tops))
        for start, end in pairwise(cuts)
    )
    return action, text, tokens


@given(answers())
def test_odds_are_probabilities_of_all_three_whatever_the_tokens(answer):
    _, text, tokens = answer

    odds = action_odds(text, tokens) or {"BUY": 1.0, "SELL": 0.0, "HOLD": 0.0}
    assert set(odds) == {"BUY", "SELL", "HOLD"}
    assert all(0 <= value <= 1 for value in odds.values())
    assert math.isclose(sum(odds.values()), 1)


@given(answers())
def test_the_trimmed_tokens_spell_the_action_and_tell_the_same_as_all(answer):
    action, text, tokens = answer
    trimmed = action_tokens(completion(text, tokens))

    assert action.value in "".join(token.text for token in trimmed)
    assert "".join(token.text for token in trimmed[1:-1]) in action.value
    assert len(trimmed) <= len(action.value)
    assert action_odds(text, trimmed) == action_odds(text, tokens)
    assert action_odds(text, tokens[::-1]) == action_odds(text, tokens)


@given(answers())
def test_a_token_that_holds_the_place_alone_gives_the_written_action_the_most(answer):
    action, text, tokens = answer
    bare = tuple(token.model_copy(update={"top": ((token.text, -0.1), ("", -3.0))}) for token in tokens)

    odds = action_odds(text, bare)
    assert max(odds, key=odds.get) == action.value


def test_tokens_of_an_action_are_summed_and_renormalised_over_the_three():
    odds = odds_of([("BU", 0.6), ("B", 0.05), ("BUY", 0.05), ("S", 0.2), ("HO", 0.1)])

    assert odds == pytest.approx({"BUY": 0.7, "SELL": 0.2, "HOLD": 0.1})


def test_tokens_that_begin_no_action_count_for_nothing():
    odds = odds_of([("BU", 0.4), ("Buy", 0.2), ("BUYER", 0.1), ("S", 0.1), ("HO", 0.1), ("", 0.05), ("X", 0.05)])

    assert odds == pytest.approx({"BUY": 4 / 6, "SELL": 1 / 6, "HOLD": 1 / 6})


def test_an_action_that_nothing_mentions_gets_the_smallest_probability_seen():
    odds = odds_of([("BU", 0.8), ("S", 0.1), ("MO", 0.05), ("Buy", 0.02)])

    assert odds == pytest.approx({"BUY": 0.8 / 0.92, "SELL": 0.1 / 0.92, "HOLD": 0.02 / 0.92})


def test_a_chosen_token_that_is_not_among_the_likeliest_counts_too():
    odds = odds_of([("Buy", 0.5), ("S", 0.3), ("HO", 0.1)], chosen=("BU", math.log(0.05)))

    assert odds == pytest.approx({"BUY": 0.05 / 0.45, "SELL": 0.3 / 0.45, "HOLD": 0.1 / 0.45})


@pytest.mark.parametrize("word", ["BUY", 'BUY"', 'BUY",', 'BUY", \n'])
def test_a_word_with_what_closes_it_is_the_word(word):
    odds = odds_of([(word, 0.5), ("SELL", 0.3), ('HOLD"', 0.2)], chosen=("BUY", -0.7))

    assert odds["SELL"] == pytest.approx(0.3 if word == "BUY" else 0.3 / (1 + math.exp(-0.7)))


def test_a_token_that_begins_before_the_word_is_compared_without_what_precedes_it():
    opening = [(' "B', 0.5), (' "S', 0.2), ('"S', 0.1), (' "HOLD', 0.1), (' "', 0.05), (" {", 0.05)]

    odds = odds_of(opening, chosen=(' "B', -0.7), start=AT - 2)
    assert odds == pytest.approx({"BUY": 5 / 9, "SELL": 3 / 9, "HOLD": 1 / 9})


def test_an_answer_in_a_fence_or_behind_a_thinking_block_is_read_at_its_own_action():
    text = f'<think>SELL? {{"action": "SELL"}}</think>\n```json\n{TEXT}\n```'
    start = text.rindex("BUY")

    assert odds_of([("BU", 0.9), ("S", 0.1)], text=text, start=start)["SELL"] == pytest.approx(0.1 / 1.1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prose",
        "{",
        "{}",
        '{"action"',
        '{"action" "BUY"}',
        '{"action": BUY}',
        '{"action": "buy"}',
        '{"action": "BUYER"}',
        '{"action": ["BUY"]}',
        '{"action": "\\u0042UY"}',
        '{"reasoning": "\\"action\\": \\"BUY\\""}',
        '{"inner": {"action": "BUY"}}',
        '{"reasoning": "cut',
        '{"n": ' + "9" * 5000 + ', "action": "BUY"}',
        '{"a": ' + '{"a":' * 100_000,
    ],
)
def test_a_text_without_a_plain_action_has_no_odds(text):
    tokens = tuple(TokenOdds(start=at, text=one, logprob=-0.1, top=(("B", -0.1),)) for at, one in enumerate(text[:50]))

    assert action_tokens(completion(text, tokens)) == ()
    assert action_odds(text, tokens) is None


@pytest.mark.parametrize(
    "tokens",
    [
        (),
        (TokenOdds(start=0, text="{", logprob=-0.1, top=(("B", -0.1),)),),
        (TokenOdds(start=AT, text="", logprob=-0.1, top=(("B", -0.1),)),),
        (TokenOdds(start=AT, text="SELL", logprob=-0.1, top=(("B", -0.1),)),),
        (TokenOdds(start=AT + 1, text="UY", logprob=-0.1, top=(("B", -0.1),)),),
        (TokenOdds(start=AT - 400, text="x" * 500, logprob=-0.1, top=(("B", -0.1),)),),
        (TokenOdds(start=AT, text="BUY", logprob=math.nan),),
        (TokenOdds(start=AT, text="BUY", logprob=1e300, top=(("B", 700.0), ("S", math.inf))),),
        (TokenOdds(start=AT, text="BUY", logprob=-1e4, top=(("S", -math.inf), ("HO", -1e5))),),
    ],
)
def test_tokens_that_do_not_fit_the_text_or_carry_no_odds_tell_nothing(tokens):
    assert action_odds(TEXT, tokens) is None


@pytest.mark.parametrize("top", [[], [("Buy", 0.4), ("{", 0.1), ("", 0.1)]])
def test_an_action_that_only_the_grammar_chose_has_no_odds(top):
    assert odds_of(top, chosen=("BUY", -5.0)) is None


@pytest.fixture(scope="module")
def model():
    adapter = EmbeddedModel(EmbeddedSettings())
    adapter.start()
    yield adapter
    adapter.close()


@pytest.mark.slow
def test_the_real_models_action_has_odds(model, context):
    given = model.complete(build_messages(context), answer_schema(), Sampling())
    answer, odds = parse_answer(given), action_odds(given.text, given.tokens)

    assert "".join(token.text for token in given.tokens) == given.text
    assert answer.action.value in "".join(token.text for token in action_tokens(given))
    assert math.isclose(sum(odds.values()), 1)
    assert max(odds, key=odds.get) == answer.action.value
    assert odds == action_odds(given.text, action_tokens(given))


@pytest.mark.slow
def test_the_real_models_tokens_lie_where_they_stand_behind_characters_of_many_bytes(model, context):
    """The schema leaves it no other reasoning than one of rare characters, of which each takes several tokens."""
    schema = answer_schema()
    schema["properties"]["reasoning"] = {"type": "string", "enum": ["龘 𓂀 Ωμέγα — “café” 🚀"]}
    given = model.complete(build_messages(context), schema, Sampling())

    assert "𓂀" in given.text
    assert len(given.tokens) < given.completion_tokens
    assert "".join(token.text for token in given.tokens) == given.text
    assert all(given.text.startswith(token.text, token.start) for token in given.tokens)
    assert "".join(token.text for token in action_tokens(given)).startswith(parse_answer(given).action.value)
