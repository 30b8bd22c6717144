"""Coin flips: at about `rate` of the bars a BUY or a SELL, each as likely.

A bar's flip is a hash of its time, its market and the seed, so it is the same one whatever history lies before or after.
"""

import numpy as np

from ffe.errors import ConfigurationError
from ffe.replay.models import Bars, Codes
from ffe.replay.strategies.windows import uniform

NAME, LOOKBACK = "random", 1


def actions(bars: Bars, *, rate: float = 0.02, seed: int = 0) -> Codes:
    if not 0 <= rate <= 1:
        raise ConfigurationError(f"{NAME}: rate {rate} must lie in [0, 1]")
    drawn = uniform(bars, seed)
    return np.where(drawn < rate / 2, 1, np.where(drawn < rate, -1, 0)).astype(np.int8)
