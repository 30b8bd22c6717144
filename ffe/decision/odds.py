"""How likely the model held each of the three actions to be, from the log-probabilities at the word it wrote.

No two actions begin with the same letter, so the token that holds the first letter of the written action decides between all
three, whether the word is one token or several (`B` and `UY`). The runtime gives a handful of the likeliest tokens of that place, before
the grammar struck out the impossible ones; those that begin an action are summed for it and renormalised over the three.
This is the model's own leaning, with its habits in it, and no share of decisions that paid: calibration turns it into one.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from ffe.decision.answer import object_span
from ffe.decision.models import Action
from ffe.decision.verdict import Verdict
from ffe.errors import InvalidAnswerError
from ffe.llm.models import Completion, TokenOdds
from ffe.settings import EnsembleStrategy

KEY = "action"
SPACE = " \t\n\r"
OPENING = SPACE + '":,{'
DECODER = json.JSONDecoder()


def action_tokens(completion: Completion) -> tuple[TokenOdds, ...]:
    """The tokens that overlap the value of the key "action" in the completion's text, () when there are none."""
    span = _action_span(completion.text)
    if span is None:
        return ()
    return tuple(
        token for token in completion.tokens if token.start < span[1] and token.start + len(token.text) > span[0]
    )


def action_odds(text: str, tokens: Sequence[TokenOdds]) -> dict[str, float] | None:
    """Probability of BUY, SELL and HOLD, sum 1, where the action was written in `text`; None when the tokens do not tell.

    `tokens` are all of the answer's or those of `action_tokens`: only the one with the action's first letter is read. An action that no
    likely token there begins gets the smallest probability seen there, which is an upper bound: the true one is hidden below it.
    When none of the three is begun by a likely token, the grammar and not the model chose the action, and that is None.
    """
    span = _action_span(text)
    place = None if span is None else next((token for token in tokens if _holds(token, span[0], text)), None)
    if span is None or place is None:
        return None
    lead = place.text[: span[0] - place.start]
    likely = list(_probabilities(place.top))
    if not any(odds > 0 and _begins(token, lead, action) for token, odds in likely for action in Action):
        return None
    chosen = _probabilities([(place.text, place.logprob)])
    seen = likely if place.text in dict(place.top) else [*likely, *chosen]
    mass = {action: math.fsum(odds for token, odds in seen if _begins(token, lead, action)) for action in Action}
    hidden = min(odds for _, odds in seen)
    bounded = {action.value: odds if odds > 0 else hidden for action, odds in mass.items()}
    total = math.fsum(bounded.values())
    return {action: odds / total for action, odds in bounded.items()}


def verdict_odds(verdict: Verdict) -> dict[str, float] | None:
    """`action_odds` of the call that a verdict's answer stands in; None without an answer by a known model.

    The token odds of one vote say nothing about a majority: they are taken of a single question and of a judge only.
    """
    call = verdict.spoken
    alone = verdict.ensemble is None or verdict.ensemble.strategy is EnsembleStrategy.DEBATE
    if not alone or verdict.answer is None or call is None or call.identity is None:
        return None
    return action_odds(call.raw_text or "", call.tokens)


def _action_span(text: str) -> tuple[int, int] | None:
    """First character of the action's name and the one past its last; None when the text does not write one plainly."""
    try:
        position = _value_of(text, *object_span(text))
    except (InvalidAnswerError, ValueError, RecursionError):
        return None
    if position is None:
        return None
    written = next((action for action in Action if text.startswith(f'"{action.value}"', position)), None)
    return None if written is None else (position + 1, position + 1 + len(written.value))


def _value_of(text: str, start: int, end: int) -> int | None:
    """Where the value of KEY begins among the members of the object in `text[start:end]`, not in a string or an object inside it.

    Raises:
        ValueError: not JSON up to there.
    """
    position = _skip(text, start + 1, end)
    while position < end and text[position] == '"':
        name, position = DECODER.raw_decode(text, position)
        position = _skip(text, position, end)
        if text[position : position + 1] != ":":
            raise ValueError(f"no colon at character {position}")
        position = _skip(text, position + 1, end)
        if name == KEY:
            return position
        _, position = DECODER.raw_decode(text, position)
        position = _skip(text, _skip(text, position, end) + 1, end)
    return None


def _skip(text: str, position: int, end: int) -> int:
    while position < end and text[position] in SPACE:
        position += 1
    return position


def _holds(token: TokenOdds, position: int, text: str) -> bool:
    """Whether the token covers that character and says there what the text says."""
    inside = position - token.start
    if not 0 <= inside < len(token.text):
        return False
    return text.startswith(token.text[inside:], position)


def _probabilities(tokens: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Text and probability; what is no logarithm of one is left out."""
    return ((text, math.exp(logprob)) for text, logprob in tokens if logprob <= 0)


def _begins(token: str, lead: str, action: Action) -> bool:
    """Whether `token` could be the start of `action`, or all of it, closing quote and more. `lead` is what the written token had before it."""
    own = token[len(lead) :] if token.startswith(lead) else token.lstrip(OPENING)
    name = action.value
    return own.startswith(f'{name}"') or (own != "" and name.startswith(own))
