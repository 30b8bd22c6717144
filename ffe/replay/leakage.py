"""Does a model answer from what it is shown, or from what it remembers of that market and those days?

The same situation is put again with what could be remembered taken away: 130 weeks later, under another name, at ten times the price,
and all three at once. Indicators and ratios stay, so an answer from the situation stays too; one that changes hung on a
date, a name or a price. The plain question put twice says how much changes for no reason at all. Beside it stands what the words of the
question give away by themselves.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from ffe.clock import Clock
from ffe.decision.ask import ask
from ffe.decision.models import Action, Context
from ffe.decision.prompt import build_messages
from ffe.errors import ModelUnavailableError
from ffe.evals.probes import renamed, rescaled, shifted
from ffe.llm.models import Message
from ffe.llm.protocol import LanguageModel
from ffe.replay.models import Interval

# The normal deviate of a two-sided 95 % interval.
DEVIATE = 1.959963984540054
AGAIN = "again"
# A year, a written date or time, the name of a month or a day.
DATED = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[:/.]\d{2}[:/.]\d{2,4}\b|\b\d{1,2}:\d{2}\b"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
# Fewer digits are those of an RSI or a percentage.
PRICE_DIGITS, PRICE_NEAR = 4, 0.01

Told = Callable[[str, int, int], None]


def masked(context: Context) -> Context:
    """The case under another name, at another price level and another time."""
    return rescaled(renamed(shifted(context)))


MASKS: Mapping[str, Callable[[Context], Context]] = {
    "date": shifted,
    "name": renamed,
    "price": rescaled,
    "all": masked,
}


@dataclass(frozen=True)
class Probed:
    """One way of asking again. `reached`: cases whose question changed by it; only these are asked. `changed`: answers that did."""

    name: str
    reached: int
    changed: int


@dataclass(frozen=True)
class LeakageReport:
    """`asked` masked questions, each wording counted once, `changed` of them answered otherwise than the plain one, `share` of those.

    `interval`: Wilson's for that share, None when nothing was asked. `again`: the plain question put twice. `gives_away`: what the words
    of a question say of market and time, with the number of cases: `name`, `date`, `price`.
    """

    cases: int
    asked: int
    changed: int
    share: float | None
    interval: Interval | None
    again: Probed
    probes: tuple[Probed, ...]
    gives_away: Mapping[str, int]

    def __str__(self) -> str:
        said = ", ".join(f"the {kind} in {count} of {self.cases}" for kind, count in self.gives_away.items() if count)
        words = f"The questions give away {said or 'nothing'}."
        if self.interval is None:
            return f"Leakage: no question changes when date, name and price are masked. {words}"
        low, high = self.interval.low, self.interval.high
        return (
            f"Leakage: {self.changed} of {self.asked} answers ({self.share:.0%}, 95 % interval {low:.0%} to {high:.0%}) changed when date, "
            f"name or price were masked; {self.again.changed} of {self.again.reached} changed when nothing was. {words}"
        )


def leakage(
    model: LanguageModel, contexts: Sequence[Context], clock: Clock, *, told: Told | None = None
) -> LeakageReport:
    """Asks every case plainly, once more, and under each mask that changes its words; the same words are put once only.

    `told` hears the case, its number and how many there are.

    Raises:
        ModelUnavailableError: the model is not there or stopped answering.
    """
    again, asked, changed, found = 0, 0, 0, {name: [0, 0] for name in MASKS}
    for number, context in enumerate(contexts, 1):
        if told is not None:
            told(context.instrument.symbol, number, len(contexts))
        plain = _answer(model, context, clock)
        again += _answer(model, context, clock) is not plain
        for names, answer in _masked_answers(model, context, clock):
            asked += 1
            changed += answer is not plain
            for name in names:
                found[name][0] += 1
                found[name][1] += answer is not plain
    probes = tuple(Probed(name, *counts) for name, counts in found.items())
    return _report(contexts, (asked, changed), Probed(AGAIN, len(contexts), again), probes)


def _masked_answers(model: LanguageModel, context: Context, clock: Clock) -> list[tuple[list[str], Action | None]]:
    """Every question that a mask makes of the case, with the masks that make it and its answer; not the plain one."""
    masks: dict[tuple[Message, ...], list[str]] = {}
    for name, mask in MASKS.items():
        masks.setdefault(build_messages(mask(context)), []).append(name)
    masks.pop(build_messages(context), None)
    return [(names, _answer(model, MASKS[names[0]](context), clock)) for names in masks.values()]


def _answer(model: LanguageModel, context: Context, clock: Clock) -> Action | None:
    """None: no usable answer, which is an answer of its own kind."""
    verdict = ask(model, context, clock)
    if verdict.calls[-1].identity is None:
        raise ModelUnavailableError(f"{context.instrument.symbol}: {verdict.calls[-1].error}")
    return None if verdict.answer is None else verdict.answer.action


def _report(
    contexts: Sequence[Context], counts: tuple[int, int], again: Probed, probes: tuple[Probed, ...]
) -> LeakageReport:
    asked, changed = counts
    given = [gives_away(context) for context in contexts]
    return LeakageReport(
        cases=len(contexts),
        asked=asked,
        changed=changed,
        share=changed / asked if asked else None,
        interval=wilson(changed, asked),
        again=again,
        probes=probes,
        gives_away={kind: sum(kind in each for each in given) for kind in ("name", "date", "price")},
    )


def gives_away(context: Context) -> frozenset[str]:
    """What the words of this case's question say: `name` of the market, a `date`, the `price` level."""
    text = build_messages(context)[-1].content
    said = {
        "name": context.instrument.symbol in text,
        "date": DATED.search(text) is not None,
        "price": _priced(text, context),
    }
    return frozenset(kind for kind, there in said.items() if there)


def _priced(text: str, context: Context) -> bool:
    """Whether a number of four digits or more lies within one percent of the price."""
    last = float(context.last_close)
    numbers = [float(each) for each in NUMBER.findall(text) if len(each.replace(".", "").strip("0")) >= PRICE_DIGITS]
    return any(abs(number / last - 1) < PRICE_NEAR for number in numbers)


def wilson(hits: int, n: int) -> Interval | None:
    """A share with its 95 % interval by Wilson (1927), None of nothing. Unlike hits/n with a normal interval it holds near 0 and 1."""
    if n == 0:
        return None
    share, spread = hits / n, DEVIATE**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
