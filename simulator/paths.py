"""Log-price paths of the generated market: random access by (seed, name, day), the same in every process and in any order.

Each day starts at an anchor: value noise (random numbers at the points of a grid, smoothly joined) added up over scales of 1 to 256 trading days,
so prices wander for ever and never run away. Inside a day a random walk with a regime for each four hours is bent, in proportion to its variance,
to end exactly at the next day's anchor. Scales are in units of the 1-minute volatility: a day moves by about the square root of its minutes.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simulator.hours import Mask

Floats = npt.NDArray[np.float64]
MINUTES = 1440
BLOCK = 240  # minutes of one regime
# Scale in trading days -> amplitude in 1-minute volatilities. The finest one makes a day's net move typical of its 1440 minutes.
_OCTAVES = {1: 25.0, 4: 50.0, 16: 100.0, 64: 200.0, 256: 300.0}
_NOISE_LIMIT = 2.0
_TREND = 1.5  # net move of a trending block, in standard deviations of an undirected one
_SUNDAY = 0.1  # the two or three open hours of Sunday, as a share of a trading day


@dataclass(frozen=True, slots=True)
class Regime:
    """`direction` +1 and -1 trend, 0 does not; `pinned` ends a block where it began. Volatility and spread are factors."""

    name: str
    volatility: float
    spread: float
    direction: int = 0
    pinned: bool = False


REGIMES = (
    Regime("trend up", 1.0, 1.0, direction=1),
    Regime("trend down", 1.0, 1.0, direction=-1),
    Regime("range", 0.8, 1.0, pinned=True),
    Regime("volatile", 2.2, 2.5),
    Regime("quiet", 0.5, 0.8),
)


def generator(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """Random numbers that belong to this seed, name and numbers alone. The numbers may be negative."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *(number % 2**32 for number in numbers)])


def regimes(seed: int, name: str, day: int) -> list[Regime]:
    """The six regimes of a UTC day (days since 1970-01-01)."""
    picks = generator(seed, f"{name} regimes", day).integers(0, len(REGIMES), MINUTES // BLOCK)
    return [REGIMES[int(pick)] for pick in picks]


def volatility_factors(blocks: list[Regime]) -> Floats:
    return np.repeat([block.volatility for block in blocks], BLOCK)


def log_path(seed: int, name: str, day: int, sigma: float, is_open: Mask, *, forex: bool) -> Floats:
    """Log price relative to the level at the 1441 minute boundaries of a UTC day.

    `sigma` is the usual volatility of one minute; `is_open` (1440) says in which minutes the price may move at all.
    """
    blocks = regimes(seed, name, day)
    scale = sigma * volatility_factors(blocks) * is_open
    steps = generator(seed, f"{name} steps", day).standard_normal(MINUTES) * scale
    for index, block in enumerate(blocks):
        part = slice(index * BLOCK, (index + 1) * BLOCK)
        _shape(steps[part], scale[part], block)
    first, last = (_anchor(seed, name, trading_days(at, forex=forex)) * sigma for at in (day, day + 1))
    variance = scale**2
    if variance.sum() > 0:
        steps += (last - first - steps.sum()) * variance / variance.sum()
    return first + np.concatenate(([0.0], np.cumsum(steps)))


def trading_days(day: int, *, forex: bool) -> float:
    """How many trading days have passed when this UTC day starts. In forex Saturday has none and Sunday only its evening."""
    if not forex:
        return float(day)
    week, weekday = divmod(day + 3, 7)
    return 5.0 * week + (5.0 if weekday >= 5 else weekday + _SUNDAY)


def _shape(steps: Floats, scale: Floats, block: Regime) -> None:
    if block.pinned:
        steps -= steps.mean() * (scale > 0)
    steps += block.direction * _TREND * scale / np.sqrt(BLOCK)


def _anchor(seed: int, name: str, position: float) -> float:
    return sum(amplitude * _smooth(seed, name, scale, position / scale) for scale, amplitude in _OCTAVES.items())


def _smooth(seed: int, name: str, scale: int, position: float) -> float:
    cell = int(np.floor(position))
    share = position - cell
    weight = share * share * (3.0 - 2.0 * share)
    return (1.0 - weight) * _noise(seed, name, scale, cell) + weight * _noise(seed, name, scale, cell + 1)


@lru_cache(maxsize=8192)
def _noise(seed: int, name: str, scale: int, cell: int) -> float:
    draw = float(generator(seed, f"{name} anchors", scale, cell).standard_normal())
    return max(-_NOISE_LIMIT, min(_NOISE_LIMIT, draw))
