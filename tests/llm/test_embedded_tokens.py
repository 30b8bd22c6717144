"""Each token of a chat reply lies where it stands in the text, or there are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.llm.embedded_tokens import IMPOSSIBLE, token_odds


def reply(*words, top=()):
    listed = [{"token": word, "logprob": odds} for word, odds in top]
    return {"logprobs": {"content": [{"token": word, "logprob": -0.5, "top_logprobs": listed} for word in words]}}


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4), min_size=1))
def test_tokens_spell_the_text_at_their_places_and_empty_ones_are_left_out(words):
    text = "".join(words)
    tokens = token_odds(reply(*words), text)

    assert "".join(token.text for token in tokens) == text
    assert all(token.text and text.startswith(token.text, token.start) for token in tokens)
    assert len(tokens) == sum(1 for word in words if word)


def test_the_likeliest_tokens_are_kept_in_their_order():
    (token,) = token_odds(reply("BU", top=[("BU", -0.1), ("S", -3), ("Buy", -4.5)]), "BU")

    assert (token.logprob, token.top) == (-0.5, (("BU", -0.1), ("S", -3.0), ("Buy", -4.5)))


@pytest.mark.parametrize("impossible", [None, -3.4028235e38, float("-inf")])
def test_what_is_impossible_stays_a_number_that_json_can_hold(impossible):
    (token,) = token_odds(reply("x", top=[("y", impossible)]), "x")

    assert token.top == (("y", IMPOSSIBLE),)


def test_a_thinking_block_that_the_runtime_took_off_is_not_among_the_tokens():
    tokens = token_odds(reply("<think>", "BUY", "</think>", '{"', "BUY", '"}', ""), '{"BUY"}')

    assert [(token.start, token.text) for token in tokens] == [(0, '{"'), (2, "BUY"), (5, '"}')]


@pytest.mark.parametrize("choice", [{}, {"logprobs": None}, {"logprobs": {"content": None}}, reply(), reply("BU", "X")])
def test_a_reply_without_log_probabilities_or_with_those_of_another_text_has_no_tokens(choice):
    assert token_odds(choice, "BUY") == ()
    assert token_odds(choice, "") == ()
