"""From an equity curve to the returns that statistics are computed from.

By UTC day where there are at least 20 of them, because the returns of single bars are small, many and dependent; else by bar. A bar that
closes at midnight belongs to the day it ends. Spot forex has five days a week: what prints on Saturday or Sunday belongs to Monday, so that
closed days do not count as days of zero risk.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ffe.market.models import AssetClass, Timeframe
from ffe.replay.models import Floats, Ints

DAY = 86_400
# Fewer daily returns than a month of trading days say less than the bars themselves.
ENOUGH_DAYS = 20
# Conventions of the field, also of empyrical: crypto trades every day, everything else on about 252 of them.
DAYS_PER_YEAR = {AssetClass.CRYPTO: 365.0, AssetClass.FOREX: 252.0}
# As `ffe.cycle.account.bars_per_year`, which would import the whole live engine: crypto always, spot forex 120 hours of 52 weeks.
OPEN_HOURS = {AssetClass.CRYPTO: 365 * 24, AssetClass.FOREX: 52 * 120}
# Surely closed whatever New York's daylight saving: Friday 22:00 to Sunday 21:00 UTC, in hours since Monday.
_CLOSED_HOURS = (4 * 24 + 22, 6 * 24 + 21)
# What is left below this share of the start is nothing: a return on it would be rounding, and may be of any size.
_DUST = 1e-9


class Per(StrEnum):
    DAY = "day"
    BAR = "bar"


@dataclass(frozen=True, slots=True, eq=False)
class Returns:
    """`values` (n): simple returns. `per_year`: how many of them make a year."""

    values: Floats
    per: Per
    per_year: float


def returns_of(
    times: Ints, equity: Floats, *, timeframe: Timeframe, asset_class: AssetClass, capital: float | None = None
) -> Returns:
    """Returns of an equity curve, by UTC day or, under 20 days, by bar.

    `times` (T): moments at which bars closed, epoch seconds. `equity` (T) then. `capital`: before the first; None: the first equity.
    A day without a bar repeats the equity before it. Bars a year are those of the hours that the market is open: 8760 for crypto, 6240 for
    forex. Once nothing is left, every later return is 0.

    Raises:
        ValueError: no moment, another length, times that do not increase, a value that is not finite, or a start that is not positive.
    """
    check(times, equity, capital)
    start = float(equity[0]) if capital is None else capital
    rows = last_of_days(times, asset_class)
    if rows.size >= ENOUGH_DAYS:
        return Returns(_relative(start, equity[rows]), Per.DAY, DAYS_PER_YEAR[asset_class])
    kept = equity[trading(times, asset_class)]
    values = _relative(start, kept if capital is not None else kept[1:])
    return Returns(values, Per.BAR, OPEN_HOURS[asset_class] * 3600 / timeframe.seconds)


def check(times: Ints, equity: Floats, capital: float | None) -> None:
    """Refuses what no statistic can be computed from; see `returns_of`."""
    if times.size == 0 or times.size != equity.size:
        raise ValueError(f"statistics need one equity for each moment, got {equity.size} for {times.size} moments")
    if bool((np.diff(times) <= 0).any()):
        raise ValueError(f"times do not increase at row {int(np.argmax(np.diff(times) <= 0)) + 1}")
    refuse_gaps("equity", equity)
    start = float(equity[0]) if capital is None else capital
    if not start > 0:
        raise ValueError(f"an account starts with {start}, which is not more than 0")


def refuse_gaps(name: str, values: Floats) -> None:
    """Raises ValueError naming the first value that is NaN or infinite: one of them makes every number after it meaningless."""
    finite = np.isfinite(values)
    if not bool(finite.all()):
        row = int(np.argmin(finite))
        raise ValueError(f"{name} is {values[row]} at row {row}")


def last_of_days(times: Ints, asset_class: AssetClass) -> Ints:
    """Row of the last moment of each trading day from the first to the last, a day without any repeating the row before it."""
    days = (times - 1) // DAY
    if asset_class is AssetClass.FOREX:
        weekday = (days + 3) % 7
        days = np.where(weekday > 4, days + 7 - weekday, days)
    grid = np.arange(days[0], days[-1] + 1)
    if asset_class is AssetClass.FOREX:
        grid = grid[(grid + 3) % 7 <= 4]
    return np.asarray(np.searchsorted(days, grid, side="right") - 1, dtype=np.int64)


def trading(times: Ints, asset_class: AssetClass) -> npt.NDArray[np.bool_]:
    """For each moment whether its bar ends in trading hours: a timeline shared with crypto has forex weekends. The first always counts."""
    if asset_class is AssetClass.CRYPTO:
        return np.ones(times.size, dtype=np.bool_)
    hour = ((times - 1) // 3600 + 3 * 24) % (7 * 24)
    opened = np.asarray((hour < _CLOSED_HOURS[0]) | (hour >= _CLOSED_HOURS[1]))
    opened[0] = True
    return opened


def _relative(start: float, equity: Floats) -> Floats:
    before = np.concatenate(([start], equity[:-1]))[: equity.size]
    alive = np.minimum.accumulate(before) > start * _DUST
    return np.where(alive, equity / np.where(alive, before, 1.0) - 1.0, 0.0)
