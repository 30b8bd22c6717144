"""Bars against their neighbours: jumps, bad ticks, frozen and invented stretches. The rules of `rules.py` about price series.

Sizes are natural logarithms of price ratios. A price that is not above zero has none and is left to `rules.positive`.
"""

from datetime import timedelta

import numpy as np
import pandas as pd

from expectations.breach import Breach, Mask, Values, floats, opens_of, rows_breach
from expectations.rules import PRICES
from ffe.market.models import Timeframe

SPIKE_MADS = 12.0
# Under this deviation a feed is flat and every tick would be a spike: a tenth of a basis point.
SPIKE_FLOOR = 1e-5
# A wild market may leave its neighbours this far; never more than three times the limit of a calm one.
TICK_MADS = 20.0
TICK_ROOM = 3.0
# Half of all returns beyond a third of the excursion's limit: two feeds in one, or no feed at all. The wildest recorded hour reaches a
# tenth of the limit.
UNREST = 1 / 3
# Over a longer break than a weekend with a holiday two closes say nothing about each other.
LONGEST_STEP = timedelta(days=4)
# Of all windows of ten recorded closes the straightest strays by 4.7 % of its rise from the line through its ends.
LINE_BARS = 10
LINE_SHARE = 0.02
# With fewer bars than this, all of them may lie on a coarse grid by chance.
GRID_BARS = 20


def unspiked(frame: pd.DataFrame, timeframe: Timeframe) -> Breach | None:
    """No |log return| between neighbouring bars above 12 median absolute deviations. Steps over a gap are not judged."""
    close, opens = floats(frame, "close"), opens_of(frame)
    neighbours = (np.diff(opens) == np.timedelta64(timeframe.duration)) & (close[1:] > 0) & (close[:-1] > 0)
    if not neighbours.any():
        return None
    returns = np.where(neighbours, np.diff(_logs(close)), 0.0)
    centre = np.median(returns[neighbours])
    limit = SPIKE_MADS * max(float(np.median(np.abs(returns[neighbours] - centre))), SPIKE_FLOOR)
    sizes = np.where(neighbours, np.abs(returns - centre), 0.0)
    message = f"log return of {sizes.max():.5f} above {SPIKE_MADS:.0f} MAD = {limit:.5f}"
    return rows_breach(frame, np.concatenate([[False], sizes > limit]), message)


def believable(frame: pd.DataFrame, excursion: float, jump: float) -> Breach | None:
    """No bad tick: no bar that leaves the bars before and after it and comes back, no jump that no market makes.

    Before and after are the medians of three closes, so that three bad bars in a row are seen too. The limit of the excursion grows to
    20 median absolute deviations in a wild market. Bars that nearly all jump are no market either.
    """
    if len(frame) < 2:
        return None
    close = _logs(floats(frame, "close"))
    steps = np.abs(np.diff(close))
    deviation = _deviation(close)
    limit = min(max(TICK_MADS * deviation, excursion), TICK_ROOM * excursion)
    away = _excursions(frame, close)
    jumps = np.where(np.diff(opens_of(frame)) <= np.timedelta64(LONGEST_STEP), steps, 0.0)
    bad = np.concatenate([[False], jumps > jump])
    unrest = float(np.nanmedian(steps)) if np.isfinite(steps).any() else 0.0
    if unrest > UNREST * excursion:
        jumping = np.concatenate([[False], steps > UNREST * excursion])
        message = f"closes are {unrest:.5f} apart in the median, limit {UNREST * excursion:.5f}"
        return rows_breach(frame, jumping, message)
    if bad.any():
        return rows_breach(frame, bad, f"close is {np.nanmax(jumps):.5f} away from the close before, limit {jump:g}")
    return rows_breach(
        frame, away > limit, f"bad tick, {_greatest(away):.5f} away from the bars before and after, limit {limit:.5f}"
    )


def moving(frame: pd.DataFrame, flat: int, copied: int, *, newest_only: bool) -> Breach | None:
    """Not `flat` bars of one price, or `copied` bars with a range, that are all equal in a row: such a feed is frozen."""
    if len(frame) < 2:
        return None
    values = frame[list(PRICES)].to_numpy(dtype=np.float64)
    runs = _runs((values[1:] == values[:-1]).all(axis=1))
    if newest_only:
        runs = [run for run in runs if sum(run) == len(frame) - 1]
    frozen = np.zeros(len(frame), dtype=np.bool_)
    for first, steps in runs:
        if steps + 1 >= (copied if values[first, 1] > values[first, 2] else flat):
            frozen[first : first + steps + 1] = True
    where = "the newest, " if newest_only else ""
    message = f"{where}equal bars in a row, limit {flat} of one price or {copied} with a range"
    return rows_breach(frame, frozen, message, newest=newest_only)


def uninvented(frame: pd.DataFrame) -> Breach | None:
    """No ten closes in a row on one straight line: prices between two known ones were made up."""
    close = floats(frame, "close")
    if close.size < LINE_BARS:
        return None
    close = np.where(np.isfinite(close), close, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(close, LINE_BARS)
    rise = windows[:, -1] - windows[:, 0]
    lines = windows[:, :1] + rise[:, None] * np.linspace(0.0, 1.0, LINE_BARS)
    straight = (rise != 0) & (np.abs(windows - lines).max(axis=1) <= LINE_SHARE * np.abs(rise))
    invented = np.zeros(close.size, dtype=np.bool_)
    for first in np.flatnonzero(straight):
        invented[first : first + LINE_BARS] = True
    return rows_breach(frame, invented, f"closes on a straight line, {LINE_BARS} or more in a row")


def precise(frame: pd.DataFrame, step: float) -> Breach | None:
    """Prices are finer than a grid of `step` of the price: rounded ones lost what they were to tell."""
    prices = frame[list(PRICES)].to_numpy(dtype=np.float64)
    if len(frame) < GRID_BARS or not (prices > 0).all() or not np.isfinite(prices).all():
        return None
    grid = 10.0 ** np.ceil(np.log10(step * np.median(prices)))
    multiples = prices / grid
    if (np.abs(multiples - np.round(multiples)) > 1e-6).any():
        return None
    message = f"every price is a multiple of {grid:g}, coarser than {step:g} of the price"
    return rows_breach(frame, np.ones(len(frame), dtype=np.bool_), message)


def _logs(values: Values) -> Values:
    return np.log(np.where((values > 0) & np.isfinite(values), values, np.nan))


def _deviation(close: Values) -> float:
    """Median absolute deviation of the returns."""
    returns = np.diff(close)
    known = returns[np.isfinite(returns)]
    return float(np.median(np.abs(known - np.median(known)))) if known.size else 0.0


def _excursions(frame: pd.DataFrame, close: Values) -> Values:
    """How far each bar reaches beyond both the bars before it and the bars after it, on its farther side."""
    high, low = _logs(floats(frame, "high")), _logs(floats(frame, "low"))
    count = close.size
    padded = np.concatenate([np.repeat(close[:1], 3), close, np.repeat(close[-1:], 3)])
    before = np.median(np.stack([padded[step : step + count] for step in range(3)]), axis=0)
    after = np.median(np.stack([padded[4 + step : 4 + step + count] for step in range(3)]), axis=0)
    before[0] = _logs(floats(frame, "open")[:1])[0]
    above = high - np.maximum(before, after)
    below = np.minimum(before, after) - low
    return np.asarray(np.fmax(above, below))


def _greatest(sizes: Values) -> float:
    known = sizes[np.isfinite(sizes)]
    return float(known.max()) if known.size else 0.0


def _runs(mask: Mask) -> list[tuple[int, int]]:
    """First index and length of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
