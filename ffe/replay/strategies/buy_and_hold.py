"""Buy and hold: BUY at every bar, so that it is in the market from the first one on. Replayed without rules and without stops."""

import numpy as np

from ffe.replay.models import Bars, Codes

NAME, LOOKBACK, UNBOUNDED = "buy-and-hold", 1, True


def actions(bars: Bars) -> Codes:
    return np.ones(len(bars), np.int8)
