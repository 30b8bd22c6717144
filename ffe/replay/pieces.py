"""One file's bars as arrays, before the files of an instrument are put together, and what every kind of file is checked for."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from ffe.errors import ConfigurationError, CorruptFileError
from ffe.market.models import Instrument, Timeframe
from ffe.replay.bars import EXACT, VOLUME_PLACES, decimals_of
from ffe.replay.models import Bars, Floats, Ints

OHLC = ("open", "high", "low", "close")
# A date outside of these is a slip of the pen, and what is laid over every bar's time until then (calendar, timeline) would fill memory.
FIRST_YEAR, LAST_YEAR, MOST_YEARS = 1990, 2100, 50
YEAR = 31_556_952
EARLIEST, LATEST = (
    int(np.datetime64(f"{year}-01-01T00:00:00", "s").astype(np.int64)) for year in (FIRST_YEAR, LAST_YEAR + 1)
)
# Far above any price of anything; a float64 of it still has three decimals.
MOST_PRICE = 1e12
BID, ASK = (tuple(f"{side}_{part}" for part in OHLC) for side in ("bid", "ask"))


class Kind(StrEnum):
    """trades: what was dealt, OHLC and perhaps volume. quotes and bidask: both sides, OHLC each."""

    TRADES = "trades"
    QUOTES = "quotes"
    BIDASK = "bidask"

    @property
    def prices(self) -> tuple[str, ...]:
        return OHLC if self is Kind.TRADES else (*BID, *ASK)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """OHLC of the bid and of the ask, (n, 4) each."""

    bid: Floats
    ask: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """n bars. `mid` (n, 4): what the engine's bars show, None where only both sides are there. `sides` None: only trades.

    `places`: decimals that the sides need, of the trades where there are none. `bars`: the file is a whole export.
    """

    path: Path
    instrument: Instrument
    timeframe: Timeframe
    times: Ints
    mid: Floats | None
    sides: Sides | None
    places: int
    volume: Floats | None = None
    bars: Bars | None = None


def piece_of_kind(
    path: Path,
    instrument: Instrument,
    timeframe: Timeframe | None,
    times: Ints,
    *,
    kind: Kind,
    prices: Floats,
    volume: Floats | None,
    place: "Place",
) -> Piece:
    """A checked piece of one of the three kinds; `prices` in the order of `kind.prices`. Raises what `checked` and `step_of` do."""
    places = checked(path, times, prices, volume, place)
    step = timeframe or step_of(path, times)
    _refuse_closer(path, times, step, place)
    if kind is Kind.TRADES:
        sizes = None if volume is None else whole_volume(volume)
        return Piece(path, instrument, step, times, prices, None, places, sizes)
    return Piece(path, instrument, step, times, None, Sides(prices[:, :4], prices[:, 4:]), places)


def whole_volume(volume: Floats) -> Floats:
    """Without the digits beyond the eighth, which are float noise at every venue."""
    small = np.abs(volume) < EXACT / 10.0**VOLUME_PLACES
    return np.where(small, np.round(np.where(small, volume, 0.0), VOLUME_PLACES), volume)


# Where row i of a file is, in words: `line 7` of text, `row 5` of Parquet.
Place = Callable[[int], str]


def checked(path: Path, times: Ints, prices: Floats, volume: Floats | None, place: Place) -> int:
    """Most decimals of a price, once every number and date is one that can be, and every bar opens after the one before.

    Raises:
        CorruptFileError: names the file, the row and what is wrong with it.
    """
    if not times.size:
        raise CorruptFileError(f"{path}: no rows")
    for values, what in ((prices, "a price"), (volume, "the volume")):
        if values is not None and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise CorruptFileError(f"{path}, {place(row)}: {what} is not a finite number")
    for wrong, limit in ((prices <= 0, "not above zero"), (prices > MOST_PRICE, f"above {MOST_PRICE:g}")):
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            raise CorruptFileError(f"{path}, {place(row)}: a price is {limit}: {prices[row, column]:g}")
    _refuse_times(path, times, place)
    try:
        return decimals_of(prices)
    except ValueError as error:
        raise CorruptFileError(f"{path}: {error}; round them to the venue's own decimals first") from error


def _refuse_times(path: Path, times: Ints, place: Place) -> None:
    """Dates that no bar has, bars that go back in time, and a file over more years than anything was recorded for."""
    odd = np.flatnonzero((times < EARLIEST) | (times >= LATEST))
    if odd.size:
        row = int(odd[0])
        years = f"the years {FIRST_YEAR} to {LAST_YEAR}"
        raise CorruptFileError(f"{path}, {place(row)}: time {_text(times[row])} is outside {years}")
    early = np.flatnonzero(np.diff(times) <= 0)
    if early.size:
        row = int(early[0]) + 1
        raise CorruptFileError(
            f"{path}, {place(row)}: time {_text(times[row])} is not later than {_text(times[row - 1])}"
        )
    if times[-1] - times[0] > MOST_YEARS * YEAR:
        row = int(np.searchsorted(times, times[0] + MOST_YEARS * YEAR, side="right"))
        first = f"the first row's {_text(times[0])}"
        raise CorruptFileError(
            f"{path}, {place(row)}: time {_text(times[row])} is more than {MOST_YEARS} years after {first}"
        )


def _refuse_closer(path: Path, times: Ints, step: Timeframe, place: Place) -> None:
    close = np.flatnonzero(np.diff(times) < step.seconds)
    if close.size:
        row = int(close[0]) + 1
        gap = f"{int(times[row] - times[row - 1])} s after {_text(times[row - 1])}"
        raise CorruptFileError(
            f"{path}, {place(row)}: time {_text(times[row])} is {gap}, closer than bars of {step.value}"
        )


def step_of(path: Path, times: Ints) -> Timeframe:
    """The timeframe whose length is the smallest gap between two bars.

    Raises:
        ConfigurationError: there is no such timeframe.
    """
    gap = int(np.diff(times).min()) if times.size > 1 else 0
    for timeframe in Timeframe:
        if timeframe.seconds == gap:
            return timeframe
    raise ConfigurationError(
        f"{path}: its bars are {gap} s apart, which is none of {', '.join(each.value for each in Timeframe)}"
    )


def _text(seconds: np.int64) -> str:
    return f"{np.datetime_as_string(np.datetime64(int(seconds), 's'))}Z"
