"""Time-series momentum: BUY where the close rises above the one `window` bars earlier, SELL where it falls below it.

The sign of an instrument's own past return, held until it changes: Moskowitz, Ooi and Pedersen (2012), on bars instead of months.
"""

import numpy as np

from ffe.errors import ConfigurationError
from ffe.replay.models import Bars, Codes
from ffe.replay.strategies.windows import turns

NAME = "momentum"


def lookback(*, window: int = 50) -> int:
    """The close so long ago, at this bar and at the one before."""
    if window < 1:
        raise ConfigurationError(f"{NAME}: window {window} must be at least 1")
    return window + 2


def actions(bars: Bars, *, window: int = 50) -> Codes:
    change = np.zeros(len(bars), np.int8)
    change[window:] = np.sign(bars.close[window:] - bars.close[:-window])
    return turns(change)
