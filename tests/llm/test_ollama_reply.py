"""Log-probabilities of an Ollama answer: placed in the text, or left out where they can't be trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import ModelUnavailableError
from ffe.llm.models import TokenOdds
from ffe.llm.ollama_reply import placed
from ffe.settings import OllamaSettings

MODEL = OllamaSettings().model
PIECES = ['{"', "action", '":', ' "', "B", "UY", '"}']
REFUSED = {"error": 'json: unknown field "logprobs"'}


def odds(*texts: str) -> list[TokenOdds]:
    return [TokenOdds(start=0, text=text, logprob=-0.5) for text in texts]


def spoken(stub, *pieces: str):
    return stub.reply(body=stub.chat("".join(pieces), logprobs=[stub.token(piece) for piece in pieces]))


def test_tokens_carry_their_place_their_odds_and_the_alternatives_likeliest_first(stub, either_way, ask):
    tokens = [stub.token("HO", -1.5, SE=-0.5, BU=-2.5), stub.token("LD", -0.01)]
    stub.chats[MODEL] = [stub.reply(body=stub.chat("HOLD", logprobs=tokens))]

    first, second = ask(either_way).tokens

    assert (first.start, first.text, first.logprob) == (0, "HO", -1.5)
    assert first.top == (("SE", -0.5), ("HO", -1.5), ("BU", -2.5))
    assert (second.start, second.text, second.top) == (2, "LD", (("LD", -0.01),))


def test_every_token_stands_where_it_says(stub, either_way, ask):
    stub.chats[MODEL] = [spoken(stub, *PIECES)]

    completion = ask(either_way)

    assert len(completion.tokens) == len(PIECES)
    for token in completion.tokens:
        assert completion.text[token.start : token.start + len(token.text)] == token.text


def test_a_server_that_does_not_know_log_probabilities_gives_none(stub, either_way, ask):
    completion = ask(either_way)

    assert completion.tokens == ()
    assert stub.asked[0]["logprobs"] is True
    assert len(stub.asked) == 1


def test_a_server_that_refuses_log_probabilities_is_asked_once_without_and_then_always(stub, either_way, question):
    from ffe.decision.answer import answer_schema
    from ffe.llm.models import Sampling
    from ffe.llm.ollama import OllamaModel

    stub.chats[MODEL] = [stub.reply(400, REFUSED), stub.reply(body=stub.chat())]
    model = OllamaModel(either_way)
    for _ in range(2):
        completion = model.complete(question, answer_schema(), Sampling())
        assert completion.finish_reason == "stop"
        assert completion.tokens == ()

    assert ["logprobs" in sent for sent in stub.asked] == [True, False, False]
    assert "top_logprobs" not in stub.asked[1]
    # Another version of the server may know them.
    stub.version = stub.reply(body={"version": "0.99.0"})
    model.complete(question, answer_schema(), Sampling())
    assert "logprobs" in stub.asked[3]


def test_a_server_that_refuses_them_when_they_were_not_asked_for_is_unavailable(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(400, REFUSED)]

    with pytest.raises(ModelUnavailableError, match="unknown field"):
        ask(either_way)
    assert len(stub.asked) == 2


@pytest.mark.parametrize(
    "logprobs", [[{"token": "x", "logprob": None}], [{"token": None, "logprob": -1.0}], "many", [{"id": 7}]]
)
def test_log_probabilities_of_another_shape_cost_a_second_question_and_not_the_answer(stub, either_way, ask, logprobs):
    odd = stub.chat() | {"logprobs": logprobs}
    stub.chats[MODEL] = [stub.reply(body=odd, lines=[odd]), stub.reply(body=stub.chat())]

    assert ask(either_way).finish_reason == "stop"
    assert ["logprobs" in sent for sent in stub.asked] == [True, False]


@pytest.mark.parametrize("pieces", [("HO",), ("HO", "LD", "!"), ("thinking", "HOLD"), ("HO", "ld")])
def test_tokens_that_are_not_the_text_are_given_up(pieces):
    assert placed("HOLD", odds(*pieces)) == ()


def test_no_tokens_are_no_tokens():
    assert placed("HOLD", []) == ()
    assert placed("", []) == ()


def test_an_empty_token_at_the_end_has_its_place():
    assert [token.start for token in placed("HOLD", odds("HOLD", ""))] == [0, 4]


def test_a_character_of_several_tokens_leaves_those_around_it_placed():
    text = "up \N{CHART WITH UPWARDS TREND} BUY"
    tokens = placed(text, odds("up ", "\ufffd", "\ufffd", " BU", "Y"))

    assert [(token.start, token.text) for token in tokens] == [(0, "up "), (4, " BU"), (7, "Y")]


def test_between_two_broken_characters_nothing_is_placed():
    text = "a\N{EURO SIGN}b\N{EURO SIGN}c"

    tokens = placed(text, odds("a", "\ufffd", "\ufffd", "b", "\ufffd", "\ufffd", "c"))

    assert [(token.start, token.text) for token in tokens] == [(0, "a"), (4, "c")]


def test_broken_tokens_that_stand_for_nothing_are_given_up():
    assert placed("ab", odds("a", "\ufffd", "b")) == ()


def test_a_head_and_a_tail_that_would_overlap_are_given_up():
    assert placed("aa", odds("aa", "\ufffd", "a")) == ()


def test_an_infinite_log_probability_is_no_token_and_no_alternative(stub, ask):
    sure = stub.token("HO", -0.1) | {
        "top_logprobs": [{"token": "HO", "logprob": -0.1}, {"token": "SE", "logprob": float("-inf")}]
    }
    settings = OllamaSettings(host=stub.url)
    stub.chats[MODEL] = [stub.reply(body=stub.chat("HO", logprobs=[sure]))]
    assert ask(settings).tokens[0].top == (("HO", -0.1),)

    stub.chats[MODEL] = [stub.reply(body=stub.chat("HO", logprobs=[stub.token("HO", float("-inf"))]))]
    assert ask(settings).tokens == ()


def test_a_token_without_alternatives_is_placed_alone(stub, either_way, ask):
    stub.chats[MODEL] = [stub.reply(body=stub.chat("HO", logprobs=[{"token": "HO", "logprob": -0.2}]))]

    (token,) = ask(either_way).tokens

    assert (token.start, token.top) == (0, ())


@given(st.lists(st.text(alphabet='abé {}:"', max_size=4), max_size=12), st.data())
def test_however_a_text_is_cut_into_tokens_each_is_placed_where_it_stands(pieces, data):
    """Also when a character in the middle is cut in two: what is placed is right, and in order."""
    text = "".join(pieces)
    whole = placed(text, odds(*pieces))
    assert [token.text for token in whole] == pieces
    at = data.draw(st.integers(0, len(pieces)))
    broken = "".join(pieces[:at]) + "\N{EURO SIGN}" + "".join(pieces[at:])

    tokens = placed(broken, odds(*pieces[:at], "\ufffd", "\ufffd", *pieces[at:]))

    assert [token.text for token in tokens] == pieces
    for token in (*whole, *tokens):
        assert (broken if token in tokens else text)[token.start : token.start + len(token.text)] == token.text
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
