"""How much each member of an ensemble counts, from what its own votes would have earned.

A member's worth is its mean net return against that of all votes, in standard deviations of all votes, drawn towards 0 by `PRIOR` votes'
worth of doubt (the posterior mean under a normal prior); its weight is exponential in that (multiplicative weights: Freund and Schapire, Journal of
Computer and System Sciences 55, 1997). So a newcomer counts about as one, a long record counts for what it is, and nobody is ever silenced: who has
no say has no way back.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

# With 50 votes a member's own record and the doubt in it count alike. The standard error of a mean of 50 is 0.14 deviations: less is noise.
PRIOR = 50
# No worth beyond one deviation either way: the heaviest member then counts e**2, about 7, times the lightest.
WORTH = 1.0


def weights(returns: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Weight of each member by name, above 0, mean 1, from the net returns (fractions) of its votes; a HOLD's is 0.

    Votes on the same questions are meant: a member that was asked about calmer instruments only is not comparable. A return that is no number
    is left out. Members without any, or votes that all earned the same, tell nothing: their weights are equal.
    """
    votes = {name: [each for each in record if math.isfinite(each)] for name, record in returns.items()}
    everything = [each for record in votes.values() for each in record]
    if not everything:
        return dict.fromkeys(votes, 1.0)
    common, spread = fmean(everything), pstdev(everything)
    pull = {name: math.exp(_worth(record, common, spread)) for name, record in votes.items()}
    mean = fmean(pull.values())
    return {name: value / mean for name, value in pull.items()}


def _worth(record: Sequence[float], common: float, spread: float) -> float:
    """In standard deviations, 0 without a record."""
    if not record or spread == 0:
        return 0.0
    seen = len(record) / (len(record) + PRIOR)
    return min(max(seen * (fmean(record) - common) / spread, -WORTH), WORTH)
