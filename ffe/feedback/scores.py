"""How good stated probabilities were: Brier score, expected calibration error and the reliability curve behind it.

Bins have equal width; a probability on an edge belongs to the bin below it, 0 to the first one, as scikit-learn's `calibration_curve` has it.
Every function refuses what it cannot score instead of scoring what is left of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions in (low, high]: how many, what they said on average, and the share of them that came true."""

    low: float
    high: float
    count: int
    mean_probability: float
    share: float


def brier(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Mean squared distance of n probabilities from n outcomes: 0 perfect, 0.25 for always saying one half, 1 always surely wrong.

    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950), in its form for two outcomes.

    Raises:
        ValueError: no predictions, unequal lengths, or a probability outside [0, 1] (NaN is).
    """
    stated, happened = _pairs(probabilities, outcomes)
    return float(np.mean((stated - happened) ** 2))


def ece(probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error, in [0, 1]: mean distance of what was said from what came true over `bins` bins, weighted by their counts.

    Naeini, Cooper and Hauskrecht, AAAI 2015; with this name and equal widths in Guo et al., "On calibration of modern neural networks", ICML 2017.

    Raises:
        ValueError: as `brier`, or fewer than one bin.
    """
    curve = reliability(probabilities, outcomes, bins)
    return sum(each.count * abs(each.mean_probability - each.share) for each in curve) / len(probabilities)


def reliability(probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = BINS) -> list[ReliabilityBin]:
    """The bins that hold a prediction, ascending.

    Raises:
        ValueError: as `brier`, or fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"{bins} bins: at least 1 is needed")
    stated, happened = _pairs(probabilities, outcomes)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], stated)
    return [
        ReliabilityBin(
            low=float(edges[at]),
            high=float(edges[at + 1]),
            count=int(np.sum(place == at)),
            mean_probability=float(np.mean(stated[place == at])),
            share=float(np.mean(happened[place == at])),
        )
        for at in np.unique(place)
    ]


def _pairs(probabilities: Sequence[float], outcomes: Sequence[bool]) -> tuple[Floats, Floats]:
    stated, happened = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    if len(stated) != len(happened):
        raise ValueError(f"{len(stated)} probabilities and {len(happened)} outcomes")
    if len(stated) == 0:
        raise ValueError("no prediction to score")
    if not np.all((stated >= 0) & (stated <= 1)):
        raise ValueError("a probability is outside 0 to 1")
    if not np.all((happened == 0) | (happened == 1)):
        raise ValueError("an outcome is neither true nor false")
    return stated, happened
