"""SMA cross: BUY at the bar where the fast average of closes passes above the slow one, SELL where it passes below."""

from ffe.errors import ConfigurationError
from ffe.replay.models import Bars, Codes
from ffe.replay.strategies.windows import rolling_sum, ticks, turns

NAME = "sma-cross"


def lookback(*, fast: int = 20, slow: int = 50) -> int:
    """Both averages at this bar and at the one before."""
    if not 0 < fast < slow:
        raise ConfigurationError(f"{NAME}: fast {fast} and slow {slow} must be 0 < fast < slow")
    return slow + 1


def actions(bars: Bars, *, fast: int = 20, slow: int = 50) -> Codes:
    close = ticks(bars)
    return turns(rolling_sum(close, fast) * slow - rolling_sum(close, slow) * fast)
