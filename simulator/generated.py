"""An endless market drawn from a seed: regimes, spreads, weekends, gaps. Any minute of any day can be asked for, in any order.

Levels, volatilities and spreads are those of the real pairs in quiet years; EURGBP is EURUSD over GBPUSD. A minute opens where the one before it
closed, across midnight too. Minutes without ticks are left out, but never the first of a 5-minute bucket, so no 5m bar goes missing
while the market is open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from ffe.errors import ConfigurationError, UnknownNameError
from simulator.columns import MINUTE, Columns, Sides, concat, epoch, feed_end, mid, window
from simulator.hours import DAY, Ints, Mask, forex_open, last_open
from simulator.market import SimBar, SimQuote
from simulator.paths import BLOCK, MINUTES, Floats, generator, log_path, regimes, volatility_factors

_CACHED_DAYS = 256  # about 150 kB each
_CRYPTO_VOLUME_PLACES = 8


@dataclass(frozen=True, slots=True)
class Spec:
    """`level` is the price that the path wanders around; `sigma` the usual log volatility of a minute; `spread` in ticks of 10**-places;
    `volume` the median of a minute, in base units (crypto) or ticks (forex); `missing` the share of minutes without a tick."""

    level: float
    sigma: float
    places: int
    spread: float
    volume: float
    missing: float
    forex: bool


def _crypto(level: float, sigma: float, spread: float, volume: float) -> Spec:
    return Spec(level, sigma, 2, spread, volume, missing=0.002, forex=False)


def _forex(level: float, sigma: float, places: int, spread: float) -> Spec:
    return Spec(level, sigma, places, spread, volume=60.0, missing=0.005, forex=True)


SPECS = {
    "BTCUSD": _crypto(60_000.0, 6e-4, spread=8.0, volume=4.0),
    "ETHUSD": _crypto(2_500.0, 7e-4, spread=2.0, volume=60.0),
    "EURUSD": _forex(1.09, 7e-5, 5, spread=12.0),
    "GBPUSD": _forex(1.27, 8e-5, 5, spread=16.0),
    "USDJPY": _forex(150.0, 8e-5, 3, spread=13.0),
    "EURGBP": _forex(1.09 / 1.27, 7e-5, 5, spread=15.0),
}
CROSSES = {"EURGBP": ("EURUSD", "GBPUSD")}


# A fresh venue's clock starts here, whatever today is: a Thursday on which both kinds of market trade. Fixed, so that everybody's
# first cycle is the same one; chosen, with the default seed, as a moment at which the embedded model wants something at both venues.
DEMO_START = datetime(2026, 11, 19, 14, 30, 20, tzinfo=UTC)


class GeneratedMarket:
    """Implements `simulator.market.Market`. `start` is the moment at which the venue's clock starts or resumes.

    With `stale_minutes` no symbol has a minute after `start` minus that many minutes; quotes stay at the last one and stay open.

    Raises:
        ConfigurationError: a negative seed.
        ValueError: a negative `stale_minutes`.
    """

    def __init__(self, seed: int, start: datetime, stale_minutes: int = 0) -> None:
        if seed < 0:
            raise ConfigurationError(f"seed {seed} is negative")
        self._seed, self._start = seed, start
        self._end = feed_end(start, stale_minutes)
        self._day = lru_cache(maxsize=_CACHED_DAYS)(self._draw)

    @property
    def key(self) -> str:
        return f"generated-{self._seed}"

    def symbols(self) -> Sequence[str]:
        return tuple(SPECS)

    def start(self) -> datetime:
        return self._start

    def bars(self, symbol: str, seconds: int, start: datetime, end: datetime) -> list[SimBar]:
        """See `Market.bars`. Raises UnknownNameError for a symbol that is not in `symbols()`."""
        _spec(symbol)
        first, last = window(seconds, start, end)
        last = last if self._end is None else min(last, self._end)
        if first >= last:
            return []
        # Aggregating each day at once keeps years of daily bars small; the step divides both the day and the bucket.
        step = math.gcd(seconds, DAY)
        days = range(first // DAY, (last - 1) // DAY + 1)
        minutes = [self._day(symbol, day) for day in days]
        parts = [part.between(first, last).bucket(step) for part in minutes]
        return concat(parts).bucket(seconds).records()

    def quote(self, symbol: str, at: datetime) -> SimQuote | None:
        spec, moment = _spec(symbol), epoch(at)
        is_open = not spec.forex or bool(forex_open(np.array([moment]))[0])
        newest = moment if self._end is None else min(moment, self._end - MINUTE)
        newest = last_open(newest, forex=spec.forex)
        # The first minute of an open 5-minute bucket is never missing, so the day of `newest` has a minute at or before it.
        minutes = self._day(symbol, newest // DAY).between(newest // DAY * DAY, newest + 1)
        return minutes.sides.quote(at, MINUTE, is_open=is_open)

    def _draw(self, symbol: str, day: int) -> Columns:
        """The minutes of one UTC day that have ticks."""
        spec = _spec(symbol)
        times: Ints = day * DAY + np.arange(0, DAY, MINUTE, dtype=np.int64)
        is_open = forex_open(times) if spec.forex else np.ones(MINUTES, dtype=np.bool_)
        random = generator(self._seed, f"{symbol} minutes", day)
        nodes = np.rint(spec.level * 10**spec.places * np.exp(self._path(symbol, day, is_open))).astype(np.int64)
        bid, ask = _sides(self._ohlc(symbol, day, nodes, random), self._spreads(symbol, day, random))
        present = is_open & ((random.random(MINUTES) >= spec.missing) | (np.arange(MINUTES) % 5 == 0))
        sides = Sides(times, bid, ask, spec.places)
        trade, places = mid(sides) if spec.forex else (_last_trades(bid, ask), spec.places)
        volume, volume_places = self._volume(symbol, day, random)
        return Columns(sides, trade, places, volume, volume_places).rows(np.flatnonzero(present))

    def _path(self, symbol: str, day: int, is_open: Mask) -> Floats:
        if symbol in CROSSES:
            over, under = (self._path(part, day, is_open) for part in CROSSES[symbol])
            return over - under
        spec = SPECS[symbol]
        return log_path(self._seed, symbol, day, spec.sigma, is_open, forex=spec.forex)

    def _ohlc(self, symbol: str, day: int, nodes: Ints, random: np.random.Generator) -> Ints:
        """Shape (1440, 4): from each minute boundary to the next, with wicks of about half a minute's volatility."""
        opens, closes = nodes[:-1], nodes[1:]
        scale = SPECS[symbol].sigma * volatility_factors(regimes(self._seed, symbol, day)) * opens / 2
        wicks = np.rint(np.abs(random.standard_normal((2, MINUTES))) * scale).astype(np.int64)
        high, low = np.maximum(opens, closes) + wicks[0], np.minimum(opens, closes) - wicks[1]
        return np.column_stack((opens, high, low, closes))

    def _spreads(self, symbol: str, day: int, random: np.random.Generator) -> Ints:
        factors = np.repeat([block.spread for block in regimes(self._seed, symbol, day)], BLOCK)
        noise = np.exp(0.3 * random.standard_normal(MINUTES))
        return np.maximum(1, np.rint(SPECS[symbol].spread * factors * noise)).astype(np.int64)

    def _volume(self, symbol: str, day: int, random: np.random.Generator) -> tuple[Ints, int]:
        spec, factors = SPECS[symbol], volatility_factors(regimes(self._seed, symbol, day))
        places = 0 if spec.forex else _CRYPTO_VOLUME_PLACES
        sizes = spec.volume * factors * np.exp(0.7 * random.standard_normal(MINUTES)) * 10**places
        return np.maximum(1, np.rint(sizes)).astype(np.int64), places


def _spec(symbol: str) -> Spec:
    if symbol not in SPECS:
        raise UnknownNameError("symbol", symbol, SPECS)
    return SPECS[symbol]


def _sides(middle: Ints, spreads: Ints) -> tuple[Ints, Ints]:
    bid = middle - (spreads // 2)[:, None]
    return bid, bid + spreads[:, None]


def _last_trades(bid: Ints, ask: Ints) -> Ints:
    """Trades print at the ask in a rising minute and at the bid in a falling one."""
    rising = bid[:, 3] > bid[:, 0]
    return np.where(rising[:, None], ask, bid)
