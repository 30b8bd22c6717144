"""Log-probabilities as llama.cpp's chat reply has them, with the place of each token in the text.

The runtime keeps the bytes of an unfinished character back until a later token completes it, so tokens are whole characters here and
the ones kept back are empty. A thinking block that it takes off the text is still among its tokens: those are left out.
"""

from typing import Any

from ffe.llm.models import TokenOdds

TOP = 5
# The runtime's word for "impossible" is the lowest float; JSON has none for minus infinity. exp(-1e4) is 0 all the same.
IMPOSSIBLE = -1e4


def token_odds(choice: dict[str, Any], text: str) -> tuple[TokenOdds, ...]:
    """Tokens of `text`, in order; () when the reply has no log-probabilities or its tokens do not spell the text.

    `choice` is one of the reply's `choices`.
    """
    entries = ((choice.get("logprobs") or {}).get("content")) or []
    spelt = "".join(entry["token"] for entry in entries)
    before = spelt.rfind(text)
    if before < 0 or not text:
        return ()
    found, position = [], -before
    for entry in entries:
        word = entry["token"]
        if word and 0 <= position < len(text):
            found.append(TokenOdds(start=position, text=word, logprob=_finite(entry["logprob"]), top=_top(entry)))
        position += len(word)
    return tuple(found)


def _top(entry: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    return tuple((other["token"], _finite(other["logprob"])) for other in entry.get("top_logprobs") or [])


def _finite(logprob: float | None) -> float:
    return IMPOSSIBLE if logprob is None else max(float(logprob), IMPOSSIBLE)
