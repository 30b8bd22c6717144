"""Always HOLD: what doing nothing makes, and no trade should be less than that."""

import numpy as np

from ffe.replay.models import Bars, Codes

NAME, LOOKBACK = "hold", 1


def actions(bars: Bars) -> Codes:
    return np.zeros(len(bars), np.int8)
