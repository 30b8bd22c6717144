"""Mean reversion: BUY where the close falls below `width` standard deviations under its mean, SELL where it rises as far above.

The bands are Bollinger's: mean and population deviation of the last `window` closes, this one among them.
"""

import numpy as np

from ffe.errors import ConfigurationError
from ffe.replay.models import Bars, Codes
from ffe.replay.strategies.windows import rolling_score, turns

NAME = "mean-reversion"


def lookback(*, window: int = 20, width: float = 2.0) -> int:
    """One window at this bar and at the one before."""
    if window < 2 or not width > 0:
        raise ConfigurationError(f"{NAME}: window {window} must be at least 2 and width {width} positive")
    return window + 1


def actions(bars: Bars, *, window: int = 20, width: float = 2.0) -> Codes:
    score = rolling_score(bars.close, window)
    outside = np.where(score < -width, 1, np.where(score > width, -1, 0))
    return turns(outside)
