"""From the parts of an Ollama answer to one text with its token odds. A reply in one piece is a stream of one part."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ollama import ChatResponse

from ffe.llm.models import TokenOdds
from ffe.llm.ollama_errors import BrokenOffError, OtherModelError
from ffe.llm.ollama_server import Deadline

# An answer of ours has some hundred characters. A server that ignores `num_predict` and writes white space is not listened to for ever.
KEPT_CHARACTERS = 65_536
# What a token that holds a part of a character reads as.
BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Reply:
    """`last` has the counts and durations. `finish_reason` is the server's, or "length" when we stopped listening."""

    text: str
    finish_reason: str
    last: ChatResponse
    tokens: tuple[TokenOdds, ...]


def gather(parts: Iterable[ChatResponse], deadline: Deadline, model: str) -> Reply:
    """The whole answer of `model`. A server repeats the name that it was asked for; one that leaves it out is believed.

    Raises:
        BrokenOffError: it ended, and no part said that it was done.
        OtherModelError: a part is of another model.
        TimeoutError: the deadline passed between two parts.
    """
    texts: list[str] = []
    tokens: list[TokenOdds] = []
    length = 0
    for part in parts:
        deadline.check()
        if part.model is not None and _tagged(part.model) != _tagged(model):
            raise OtherModelError(part.model)
        texts.append(part.message.content or "")
        tokens.extend(_unplaced(part))
        length += len(texts[-1])
        if length > KEPT_CHARACTERS:
            return Reply("".join(texts)[:KEPT_CHARACTERS], "length", part, ())
        if part.done:
            text = "".join(texts)
            return Reply(text, part.done_reason or "unknown", part, placed(text, tokens))
    raise BrokenOffError(f"no part of {len(texts)} said that the answer was done")


def placed(text: str, tokens: Sequence[TokenOdds]) -> tuple[TokenOdds, ...]:
    """`tokens` with the character of `text` at which each starts; () when they are not what the text is made of.

    A character of several tokens reads as U+FFFD in each of them: from the first to the last such token nothing can be placed. What comes
    before is placed from the front of the text, what comes after from its end.
    """
    if not all(math.isfinite(token.logprob) for token in tokens):
        return ()
    head = list(takewhile(_whole, tokens))
    tail = list(takewhile(_whole, reversed(tokens[len(head) :])))[::-1]
    before, after = _joined(head), _joined(tail)
    broken = len(tokens) - len(head) - len(tail)
    rest = len(text) - len(before) - len(after)
    if not text.startswith(before) or not text.endswith(after) or rest < 0 or (rest > 0) != (broken > 0):
        return ()
    return (*_from(0, head), *_from(len(text) - len(after), tail))


def _tagged(name: str) -> str:
    return name.removesuffix(":latest")


def _unplaced(part: ChatResponse) -> Iterable[TokenOdds]:
    """The tokens of one part, alternatives the likeliest first; one without a finite log-probability is no alternative."""
    for found in part.logprobs or ():
        top = [(other.token, other.logprob) for other in found.top_logprobs or () if math.isfinite(other.logprob)]
        top.sort(key=lambda each: -each[1])
        yield TokenOdds(start=0, text=found.token, logprob=found.logprob, top=tuple(top))


def _whole(token: TokenOdds) -> bool:
    return BROKEN not in token.text


def _joined(tokens: Iterable[TokenOdds]) -> str:
    return "".join(token.text for token in tokens)


def _from(start: int, tokens: Iterable[TokenOdds]) -> Iterable[TokenOdds]:
    for token in tokens:
        yield token.model_copy(update={"start": start})
        start += len(token.text)
